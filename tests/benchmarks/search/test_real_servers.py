from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.search import real_servers
from benchmarks.search.real_servers import FILES, HOME, SERVERS, MissingServerError, Server

LOCKED = Path(real_servers.__file__).parent / "servers"


def _install(folder: Path, programs: object) -> None:
    folder.mkdir(parents=True)
    (folder / "package.json").write_text(json.dumps({"bin": programs}))


def test_every_server_is_locked_at_an_exact_version() -> None:
    wanted = json.loads((LOCKED / "package.json").read_text())["dependencies"]
    locked = json.loads((LOCKED / "package-lock.json").read_text())["packages"]
    assert {one.package for one in SERVERS} == wanted.keys() - {"gpt-tokenizer"}
    for package, version in wanted.items():
        assert locked[f"node_modules/{package}"]["version"] == version
    assert len({one.name for one in SERVERS}) == len(SERVERS) >= 20


def test_a_server_is_started_by_the_program_of_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(real_servers, "PACKAGES", tmp_path)
    _install(tmp_path / "@a" / "one", "run.js")
    _install(tmp_path / "two", {"other": "no.js", "two": "yes.js"})
    _install(tmp_path / "three", {"x": "x.js", "y": "y.js"})
    assert Server("1", "@a/one", ("-v",)).command() == ["node", f"{tmp_path}/@a/one/run.js", "-v"]
    assert Server("2", "two").command()[1] == f"{tmp_path}/two/yes.js"
    assert Server("3", "three", program="y").command()[1] == f"{tmp_path}/three/y.js"
    with pytest.raises(MissingServerError, match="three has no program three"):
        Server("3", "three").command()
    with pytest.raises(MissingServerError, match="four is not installed"):
        Server("4", "four").command()


def test_a_server_has_no_variable_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", "real")
    given = Server("1", "one", environment={"KEY": "made-up"}).variables()
    assert given.keys() == {"PATH", "HOME", "KEY"}


def test_a_moved_server_has_other_folders() -> None:
    server = Server("1", "one", (str(FILES),), {"FILE": f"{HOME}/memory"})
    moved = server.moved_to(Path("/h"), Path("/f"))
    assert (moved.arguments, moved.environment) == (("/f",), {"FILE": "/h/memory"})

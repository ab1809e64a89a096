"""Names that lead elsewhere, links that were planted, and who may read what is written (MCP05).

Neighbours: each name, link and mode alone is in `tests/router/test_changes.py`, `test_folders.py`
and `test_logfile.py`; here a real router writes, however its umask is.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e.guarded import ALL, API_URL, SECURITY, ask, rpc
from tests.e2e.processes import RouterProcess
from tests.e2e.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.guarded import Said

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links and modes are POSIX's")

HOSTILE: Final = (
    *("..", ".", "../x", "a/b", "a\\b", "/etc", "a\n", "\na", "a\0b", "%2e%2e", "..%2f", "-rf"),
    *(".hidden", "", " ", "a b", "x" * 101, "x" * 300, "\u202ea", "a\u200b", "~", "$HOME", "a:b"),
    *("\uff41", "é", "\U0001f600", "IDLE", "Idle"),
)
"""The last two differ from `idle`, which is there, in case only."""


def tree(folder: Path) -> dict[str, bytes]:
    """All that is in a folder, without locks."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in sorted(folder.rglob("*"))
        if path.name != ".lock"
    }


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, str, str]]:
    """A router with an instance `idle`; where its REST API and MCP are."""
    site = Site(tmp_path_factory.mktemp("named"))
    site.configure(
        security=SECURITY,
        api={"enabled": True, "port": 0},
        server={"http": {"port": 0}, "allow_instance_management": True},
    )
    site.add_command("idle", "true", isActive=False)
    with site.serve("http") as router:
        router.stderr.wait_for(API_URL)
        yield site, router.stderr.wait_for(API_URL)[1], router.url("/mcp").split("/")[2]


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_hostile_name_is_refused_however_it_comes(named: tuple[Site, str, str], name: str) -> None:
    site, api, mcp = named
    before = tree(site.folder / "data")
    entry = {"command": "true", "isActive": False}
    bodies: list[dict[str, Any]] = [
        {"name": name, "provider": "p", **entry},
        {"provider_name": "p", "config": {"name": name, **entry}},
        {"mcpServers": {name: entry}, "provider": "p"},
        {"name": "fine", "provider": name, **entry},
        {"provider_name": name, "config": {"name": "fine", **entry}},
    ]
    for body in bodies:
        assert ask(api, "POST", "/api/instances", ALL, body)[0] == 422, body
    for arguments in (
        {"provider_name": name, "config": {"name": "fine", **entry}},
        {"provider_name": "p", "config": {"name": name, **entry}},
        {"provider_name": "p", "config": {"mcpServers": {name: entry}}},
    ):
        body = rpc("tools/call", name="mcp.router.add", arguments=arguments)
        status, _, said = ask(mcp, "POST", "/mcp", ALL, body)
        assert (status, json.loads(said)["result"]["isError"]) == (200, True), arguments
    assert tree(site.folder / "data") == before


@pytest.mark.parametrize("length", [1, 100])
def test_name_may_be_as_long_as_a_folder_and_have_any_cjk_letter(
    named: tuple[Site, str, str], length: int
) -> None:
    _, api, _ = named
    name = "文" * length
    entry = {"name": name, "provider": "p" * length, "command": "true", "isActive": False}
    assert ask(api, "POST", "/api/instances", ALL, entry)[0] == 201
    target = "/api/instances/" + "%E6%96%87" * length
    assert json.loads(ask(api, "GET", target, ALL)[2])["name"] == name
    assert ask(api, "DELETE", target, ALL)[0] == 200


# --- Planted links ---------------------------------------------------------------------------


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A folder with what must not be touched."""
    folder = tmp_path / "victim"
    folder.mkdir()
    (folder / "mcp_settings.json").write_text('{"name": "victim", "command": "true"}')
    return folder


def changes(api: str) -> list[Said]:
    """All ways to write in the folder `planted`."""
    entry = {"command": "true", "isActive": False}
    return [
        ask(api, "POST", "/api/instances", ALL, {"name": "fine", "provider": "planted", **entry}),
        ask(api, "PATCH", "/api/instances/victim", ALL, {"args": ["x"]}),
        ask(api, "POST", "/api/instances/victim/disable", ALL),
        ask(api, "DELETE", "/api/instances/victim", ALL),
    ]


@pytest.mark.parametrize("what", ["folder", "file"])
def test_planted_link_is_not_written_through(tmp_path: Path, victim: Path, what: str) -> None:
    site = Site(tmp_path / "site")
    planted = site.folder / "data" / "planted"
    if what == "folder":
        planted.symlink_to(victim)
    else:
        planted.mkdir()
        (planted / "mcp_settings.json").symlink_to(victim / "mcp_settings.json")
    site.configure(security=SECURITY, api={"enabled": True, "port": 0})
    before = tree(victim)
    with site.serve("http") as router:
        for status, _, said in changes(router.stderr.wait_for(API_URL)[1]):
            assert status in (500, 507), said
    assert tree(victim) == before


def test_planted_links_in_the_place_of_config_logs_and_lock_are_not_followed(
    tmp_path: Path, victim: Path
) -> None:
    site = Site(tmp_path / "site")
    site.configure(security=SECURITY, api={"enabled": True, "port": 0})
    (site.folder / "logs").mkdir()
    (site.folder / "logs" / "latest-http.txt").symlink_to(victim / "log")
    (site.folder / "logs" / "latest-http-2.txt").symlink_to(victim / "mcp_settings.json")
    (site.folder / "data" / ".lock").symlink_to(victim / "lock")
    before = tree(victim)
    with site.serve("http") as router:
        api = router.stderr.wait_for(API_URL)[1]
        entry = {"name": "fine", "command": "true", "isActive": False}
        assert ask(api, "POST", "/api/instances", ALL, entry)[0] == 500
    assert tree(victim) == before
    assert not (site.folder / "data" / "fine").exists()


# --- Modes -----------------------------------------------------------------------------------


def permissions(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def started(site: Site, *words: str) -> RouterProcess:
    """A router whose umask hides nothing."""
    before = os.umask(0)
    try:
        return RouterProcess(["serve", "--transport", "http", *words, *site.words])
    finally:
        os.umask(before)


def test_what_is_written_is_for_its_owner_alone(tmp_path: Path) -> None:
    site = Site(tmp_path / "site")
    data, logs = site.folder / "data", site.folder / "logs"
    data.rmdir()
    site.configure(security=SECURITY, api={"enabled": True, "port": 0})
    with started(site) as router:
        api = router.stderr.wait_for(API_URL)[1]
        entry = {"name": "fine", "command": "true", "isActive": False}
        assert ask(api, "POST", "/api/instances", ALL, entry)[0] == 201
        assert ask(api, "PATCH", "/api/instances/fine", ALL, {"args": ["x"]})[0] == 200
    files = [data / "fine" / "mcp_settings.json", data / ".lock", *logs.iterdir()]
    assert {permissions(path) for path in files} == {0o600}
    assert {permissions(path) for path in (data, data / "fine", logs)} == {0o700}


def test_config_that_is_written_is_for_its_owner_alone(tmp_path: Path) -> None:
    site = Site(tmp_path / "site")
    site.config_file.unlink()
    with started(site, "--port", "0") as router:
        router.url("/mcp")
    assert permissions(site.config_file) == 0o600
    assert [path for path in site.folder.iterdir() if path.suffix == ".tmp"] == []


def test_config_is_not_written_through_a_planted_link(tmp_path: Path, victim: Path) -> None:
    site = Site(tmp_path / "site")
    site.config_file.unlink()
    site.config_file.symlink_to(victim / "new")
    before = tree(victim)
    with started(site, "--port", "0") as router:
        router.url("/mcp")
    assert tree(victim) == before

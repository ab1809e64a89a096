"""Names that lead elsewhere, planted links, and who may read the files that are written (MCP05).

Each name, link and mode alone is in the unit tests of `router/files`, `router/instance_files` and
`router/logs`. Here a real router writes, however its umask is.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e.processes import RouterProcess
from tests.e2e.secured_router import ALL, SECURITY, ask, rpc
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.secured_router import Said

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links and modes are POSIX's")

HOSTILE: Final = (
    *("..", ".", "../x", "a/b", "a\\b", "/etc", "a\n", "\na", "a\0b", "%2e%2e", "..%2f", "-rf"),
    *(".hidden", "", " ", "a b", "x" * 101, "x" * 300, "\u202ea", "a\u200b", "~", "$HOME", "a:b"),
    *("\uff41", "é", "\U0001f600", "IDLE", "Idle"),
)
"""The last two differ from `idle`, which is there, in case only."""


def tree(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder and their bytes, without locks."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in sorted(folder.rglob("*"))
        if path.name != ".lock"
    }


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workspace, str, str]]:
    """A router with an instance `idle`; where its REST API and MCP are."""
    workspace = Workspace(tmp_path_factory.mktemp("named"))
    workspace.configure(
        security=SECURITY,
        api={"enabled": True, "port": 0},
        server={"http": {"port": 0}, "allow_instance_management": True},
    )
    workspace.add_command("idle", "true", isActive=False)
    with workspace.serve("http") as router:
        yield workspace, router.netloc(), router.netloc("/mcp")


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_hostile_name_is_refused_however_it_comes(
    named: tuple[Workspace, str, str], name: str
) -> None:
    workspace, api, mcp = named
    before = tree(workspace.path / "data")
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
    assert tree(workspace.path / "data") == before


@pytest.mark.parametrize("length", [1, 100])
def test_name_may_be_as_long_as_a_folder_and_have_any_cjk_letter(
    named: tuple[Workspace, str, str], length: int
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
    """A folder that must not be touched."""
    folder = tmp_path / "victim"
    folder.mkdir()
    (folder / "mcp_settings.json").write_text('{"name": "victim", "command": "true"}')
    return folder


def changes(api: str) -> list[Said]:
    """Try all ways to write in the folder `planted`; return the answers."""
    entry = {"command": "true", "isActive": False}
    return [
        ask(api, "POST", "/api/instances", ALL, {"name": "fine", "provider": "planted", **entry}),
        ask(api, "PATCH", "/api/instances/victim", ALL, {"args": ["x"]}),
        ask(api, "POST", "/api/instances/victim/disable", ALL),
        ask(api, "DELETE", "/api/instances/victim", ALL),
    ]


@pytest.mark.parametrize("what", ["folder", "file"])
def test_planted_link_is_not_written_through(tmp_path: Path, victim: Path, what: str) -> None:
    workspace = Workspace(tmp_path / "workspace")
    planted = workspace.path / "data" / "planted"
    if what == "folder":
        planted.symlink_to(victim)
    else:
        planted.mkdir()
        (planted / "mcp_settings.json").symlink_to(victim / "mcp_settings.json")
    workspace.configure(security=SECURITY, api={"enabled": True, "port": 0})
    before = tree(victim)
    with workspace.serve("http") as router:
        for status, _, said in changes(router.netloc()):
            assert status in (500, 507), said
    assert tree(victim) == before


def test_planted_links_in_the_place_of_config_logs_and_lock_are_not_followed(
    tmp_path: Path, victim: Path
) -> None:
    workspace = Workspace(tmp_path / "workspace")
    workspace.configure(security=SECURITY, api={"enabled": True, "port": 0})
    (workspace.path / "logs").mkdir()
    (workspace.path / "logs" / "latest-http.txt").symlink_to(victim / "log")
    (workspace.path / "logs" / "latest-http-2.txt").symlink_to(victim / "mcp_settings.json")
    (workspace.path / "data" / ".lock").symlink_to(victim / "lock")
    before = tree(victim)
    with workspace.serve("http") as router:
        api = router.netloc()
        entry = {"name": "fine", "command": "true", "isActive": False}
        assert ask(api, "POST", "/api/instances", ALL, entry)[0] == 500
    assert tree(victim) == before
    assert not (workspace.path / "data" / "fine").exists()


# --- Modes -----------------------------------------------------------------------------------


def permissions(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def started(workspace: Workspace, *words: str) -> RouterProcess:
    """Start a router whose umask hides nothing."""
    before = os.umask(0)
    try:
        return RouterProcess(["serve", "--transport", "http", *words, *workspace.words])
    finally:
        os.umask(before)


def test_what_is_written_is_for_its_owner_alone(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    data, logs = workspace.path / "data", workspace.path / "logs"
    data.rmdir()
    workspace.configure(security=SECURITY, api={"enabled": True, "port": 0})
    with started(workspace) as router:
        api = router.netloc()
        entry = {"name": "fine", "command": "true", "isActive": False}
        assert ask(api, "POST", "/api/instances", ALL, entry)[0] == 201
        assert ask(api, "PATCH", "/api/instances/fine", ALL, {"args": ["x"]})[0] == 200
    files = [data / "fine" / "mcp_settings.json", data / ".lock", *logs.iterdir()]
    assert {permissions(path) for path in files} == {0o600}
    assert {permissions(path) for path in (data, data / "fine", logs)} == {0o700}


def test_config_that_is_written_is_for_its_owner_alone(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    workspace.config_file.unlink()
    with started(workspace, "--port", "0") as router:
        router.url("/mcp")
    assert permissions(workspace.config_file) == 0o600
    assert [path for path in workspace.path.iterdir() if path.suffix == ".tmp"] == []


def test_config_is_not_written_through_a_planted_link(tmp_path: Path, victim: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    workspace.config_file.unlink()
    workspace.config_file.symlink_to(victim / "new")
    before = tree(victim)
    with started(workspace, "--port", "0") as router:
        router.url("/mcp")
    assert tree(victim) == before

"""First starts of packages, with a stand-in for `npx` that installs as long as the test says."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e.processes import run_command
from tests.e2e.rest_client import TOKEN, RestClient, configure_rest, rest_router
from tests.e2e.workspace import CHAOS, Workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LIMIT_S: Final = 60.0

NPX: Final = f"""#!{sys.executable} -S
import os, sys, time
folder = os.environ["FOLDER"]
def note(what):
    with open(os.path.join(folder, "notes"), "a") as notes:
        notes.write(what + "\\n")
if not os.path.exists(os.path.join(folder, "installed")):
    note("begin")
    while not os.path.exists(os.path.join(folder, "go")):
        time.sleep(0.02)
    open(os.path.join(folder, "installed"), "w").close()
    note("end")
os.execv({sys.executable!r}, ["server", "-B", {str(CHAOS)!r}, "plain", folder])
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Two instances of one package; a start has a second unless it installs something."""
    workspace = Workspace(tmp_path)
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "npx").write_text(NPX)
    (programs / "npx").chmod(0o755)
    env = {"PATH": str(programs), "FOLDER": str(tmp_path)}
    for name in "ab":
        workspace.add_command(name, "npx", "-y", "@scope/pkg", env=env)
    configure_rest(workspace, mcp_client={"timeout": 1, "start_timeout_s": 1, "max_starting": 2})
    return workspace


def _rows(api: RestClient, are_expected: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    ends_at_s = time.monotonic() + LIMIT_S
    while True:
        rows = {row["name"]: row for row in api.ask("GET", "/api/instances").json}
        if are_expected(rows):
            return rows
        assert time.monotonic() < ends_at_s, rows


def _all_ready(rows: dict[str, Any]) -> bool:
    return all(row["state"] == "ready" for row in rows.values())


def test_first_starts_of_a_package_take_turns_and_time(workspace: Workspace) -> None:
    with rest_router(workspace) as (router, api):
        rows = _rows(api, lambda rows: all("doing" in row for row in rows.values()))
        first, second = sorted(rows, key=lambda name: rows[name]["doing"])
        installing, waiting = rows[first]["doing"], rows[second]["doing"]
        assert installing == "installing @scope/pkg with npx"
        assert waiting == "waiting for another installation of @scope/pkg"

        # Longer than a start may take.
        called = api.call("echo", first)
        assert called.code == "UNAVAILABLE"
        assert called.json["detail"]["error"].endswith(f"not connected: starting: {installing}")
        shown = run_command("status", "--url", api.url, "--token", TOKEN).stdout
        assert installing in shown
        assert waiting in shown
        router.stderr.wait_for(f"{first}: {installing}; it has 300 s for that")

        (workspace.path / "go").touch()
        _rows(api, _all_ready)
        assert (workspace.path / "notes").read_text() == "begin\nend\n"
        assert "is down" not in router.stderr.text

    with rest_router(workspace) as (router, api):
        _rows(api, _all_ready)
        assert "installing" not in router.stderr.text

"""`mcp-router login` opens a real browser, at the SDK's own authorization server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.e2e.browser import chromium
from tests.e2e.identity_provider import sdk_authorization_server, sdk_protected_server
from tests.e2e.processes import router_command
from tests.e2e.secured_router import ask
from tests.e2e.terminal import Terminal
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path


def opener_into(folder: Path) -> tuple[Path, Path]:
    """Return a program that stands for the person's browser, and the file with the URL it got."""
    program, opened = folder / "opener", folder / "opened"
    program.write_text(f'#!/bin/sh\nprintf %s "$1" > "{opened}"\n')
    program.chmod(0o755)
    return program, opened


def test_a_person_logs_in_and_the_server_takes_calls(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.configure(api={"enabled": True, "port": 0})
    program, opened = opener_into(tmp_path)
    with sdk_authorization_server() as issuer, sdk_protected_server(issuer) as url:
        workspace.add("clock", type="http", url=url)
        with chromium() as browser, workspace.serve() as router:
            router.stderr.wait_for("clock needs a login")
            words = router_command("login", "clock", *workspace.words)
            with Terminal(words, BROWSER=str(program), DISPLAY=":1") as terminal:
                terminal.wait_for("Log in to clock in your browser")
                browser.do("goto", opened.read_text())
                browser.do("fill", "[name=password]", "demo_password")
                browser.do("click", "button")
                browser.do("see", "h1", "Logged in to clock")
                terminal.wait_for("clock: logged in at")
                assert terminal.popen.wait(30) == 0
            body = {"instance": "clock", "tool": "get_time"}
            status, _, said = ask(router.netloc(), "POST", "/api/call", None, body)
    assert (status, "current_time" in json.loads(said)["structuredContent"]) == (200, True), said

"""Instances that are added, changed and removed through the REST API of a real router."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import attrs

from tests.e2e.processes import still_running
from tests.e2e.rest_client import LIMIT_S, chaos_entry, configure_rest, rest_router

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.workspace import Workspace

SECRET: Final = "canary-secret-of-an-instance"


def test_instance_is_added_changed_switched_and_removed_and_it_lasts(workspace: Workspace) -> None:
    configure_rest(workspace)
    env = {"TOKEN_OF_MINE": SECRET}
    with rest_router(workspace) as (router, api):
        added = api.ask(
            "POST", "/api/instances?wait=ready", chaos_entry(workspace, "mine", env=env)
        )
        assert (added.status, added.json) == (201, {"status": "success", "instance_name": "mine"})
        assert api.row("mine")["state"] == "ready"
        assert api.call("echo", "mine", text="hi").json["content"][0]["text"] == "hi"

        again = api.ask("POST", "/api/instances", chaos_entry(workspace, "mine"))
        assert (again.status, set(again.json["detail"])) == (409, {"error", "code"})

        changed = api.ask("PATCH", "/api/instances/mine?wait=ready", {"metadata": {"a": 1}})
        assert (changed.status, changed.json["instance_name"]) == (200, "mine")
        assert api.row("mine")["metadata"] == {"a": 1}

        # All but the launcher, which waits for the next start.
        children = [row for row in router.children() if row.parent != router.pid]
        assert len(children) == 2
        off = api.ask("POST", "/api/instances/mine/disable").json
        assert off == {"status": "success", "instance": "mine", "active": False}
        assert api.row("mine")["active"] is False
        assert not still_running(children, 15)

    with rest_router(workspace) as (_, api):
        assert api.row("mine")["active"] is False
        on = api.ask("POST", "/api/instances/mine/enable?wait=ready").json
        assert on == {"status": "success", "instance": "mine", "active": True}
        assert api.row("mine")["state"] == "ready"
        gone = api.ask("DELETE", "/api/instances/mine")
        assert gone.json == {"status": "success", "removed": "mine"}
        for method, target in [
            ("GET", "/api/instances/mine"),
            ("DELETE", "/api/instances/mine"),
            ("PATCH", "/api/instances/mine"),
            ("POST", "/api/instances/mine/enable"),
            ("POST", "/api/instances/mine/disable"),
        ]:
            assert api.ask(method, target, {"args": []}).status == 404


def test_waiting_for_an_instance_that_fails_says_why(workspace: Workspace) -> None:
    configure_rest(workspace)
    with rest_router(workspace) as (_, api):
        entry = {"name": "bad", "provider": "bad", "command": "no-such-program-anywhere"}
        got = api.ask("POST", "/api/instances?wait=ready", entry)
        assert (got.status, got.code) == (503, "UNAVAILABLE")
        assert "no-such-program-anywhere" in got.json["detail"]["error"]
        assert api.row("bad")["name"] == "bad"


def test_what_was_acknowledged_survives_a_kill(workspace: Workspace) -> None:
    configure_rest(workspace)
    with rest_router(workspace) as (router, api):
        assert api.ask("POST", "/api/instances", chaos_entry(workspace, "mine")).status == 201
        router.popen.kill()
        router.popen.wait(LIMIT_S)
    saved = json.loads((workspace.path / "data" / "added" / "mcp_settings.json").read_text())
    assert "mine" in json.dumps(saved)


def test_without_a_token_nothing_can_be_changed(workspace: Workspace, tmp_path: Path) -> None:
    configure_rest(workspace, token="")
    workspace.add_chaos("plain")
    with rest_router(workspace) as (router, known):
        api = attrs.evolve(known, token=None)
        router.stderr.wait_for("plain is ready")
        assert api.call("echo", text="x").status == 200
        for method, target in [
            ("POST", "/api/instances"),
            ("PATCH", "/api/instances/plain"),
            ("DELETE", "/api/instances/plain"),
            ("POST", "/api/instances/plain/disable"),
        ]:
            got = api.ask(method, target, chaos_entry(workspace, "mine"))
            assert (got.status, got.code) == (403, "SECURITY_ERROR")
            assert "token" in got.json["detail"]["error"]
        assert api.ask("GET", "/", Origin="https://ui.example.org").status == 403
    assert not (tmp_path / "data" / "added").exists()

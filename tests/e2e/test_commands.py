"""`mcp-router check`, `status` and `logs`, as a person runs them."""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING, Any, Final

from tests.e2e.processes import RouterProcess, router_command, run_command

if TYPE_CHECKING:
    from tests.e2e.workspace import Workspace

TOKEN: Final = "a-token-of-the-tests"
API: Final[dict[str, Any]] = {"enabled": True, "port": 0, "enable_realtime_logs": True}


def api_url(router: RouterProcess) -> str:
    return f"http://{router.netloc()}"


def test_status_is_a_table_of_the_instances(workspace: Workspace) -> None:
    workspace.configure(api=API, security={"bearer_token": TOKEN})
    workspace.add_chaos("plain").add_command("off", "true", isActive=False)
    with workspace.serve("http") as router:
        url = api_url(router)
        ends_at_s = time.monotonic() + 30
        while (
            "1 of 2 ready"
            not in (done := run_command("status", "--url", url, "--token", TOKEN)).stdout
        ):
            assert done.returncode == 0, done.stderr
            assert time.monotonic() < ends_at_s, done.stdout
        assert [line.split()[:2] for line in done.stdout.splitlines()[:3]] == [
            ["INSTANCE", "STATE"],
            ["off", "disabled"],
            ["plain", "ready"],
        ]
        rows = json.loads(
            run_command("status", "--json", "--url", url, MCP_ROUTER_TOKEN=TOKEN).stdout
        )
        assert [row["name"] for row in rows] == ["off", "plain"]
        for token in ([], ["--token", "wrong"]):
            done = run_command("status", "--url", url, *token)
            assert (done.returncode, done.stdout) == (1, "")
            (line,) = done.stderr.splitlines()
            assert line.endswith("Give --token, or set $MCP_ROUTER_TOKEN")
    done = run_command("status", "--url", url, "--token", TOKEN)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"mcp-router: {url}: no answer (Connection refused)")


def test_logs_are_followed_until_the_router_ends(workspace: Workspace) -> None:
    workspace.configure(api=API, security={"bearer_token": TOKEN})
    with workspace.serve("http") as router:
        words = router_command("logs", "-f", "--url", api_url(router), "--token", TOKEN)
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as follower:
            assert follower.stdout is not None
            assert follower.stdout.readline().startswith("Connected to MCP Router API v")
            assert router.stop() == 0
            rest = follower.stdout.read()
            assert follower.wait(30) == 0
    assert "Listening on" in rest


def test_check_finds_every_mistake_and_starts_nothing(workspace: Workspace) -> None:
    mark = workspace.path / "mark"
    workspace.add_command("fine", "touch", str(mark))
    workspace.add_command("unset", "true", env={"KEY": "${NOT_SET_ANYWHERE}"})
    workspace.add("odd", type="http", url="gopher://x")
    done = run_command("check", *workspace.words)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    assert "data/odd/mcp_settings.json: url" in lines[0]
    assert "data/unset/mcp_settings.json: env.KEY: ${NOT_SET_ANYWHERE} is not set" in lines[1]
    assert done.stdout.startswith("2 problems in ")
    assert "1 instance that can be started" in done.stdout
    assert not mark.exists()

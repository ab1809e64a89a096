"""Start and end: what the router says, what it refuses to start with, and how it stops."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from contextlib import closing
from http.client import HTTPConnection, HTTPResponse
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e.processes import (
    RouterProcess,
    descendants,
    kill_all,
    router_command,
    run_command,
    running_with,
    still_running,
)
from tests.e2e.raw_client import HELLO, HttpClient, StdioRouter
from tests.e2e.secured_router import ask, call, open_session, rpc

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.workspace import Workspace

STUBBORN_LIMIT_S: Final = 10.5
"""Close stdin, wait 5 s, SIGTERM, wait 5 s, SIGKILL; half a second more to end."""


def _one_line(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one readable line on stderr of a router that did not start."""
    assert done.returncode == 1, done
    assert not done.stdout
    assert "Traceback" not in done.stderr
    (line,) = done.stderr.strip().splitlines()
    return line


# --- Not starting ----------------------------------------------------------------------------


def test_half_written_config_is_named_and_ends_the_start(workspace: Workspace) -> None:
    workspace.config_file.write_text('{"server": {"http": {"por')
    assert str(workspace.config_file.name) in _one_line(run_command("serve", *workspace.words))


def test_wrongly_typed_key_is_named_with_its_path(workspace: Workspace) -> None:
    workspace.configure(api={"port": "x"})
    line = _one_line(run_command("serve", *workspace.words))
    assert 'config.json: api.port: expected an integer, got "x"' in line


@pytest.mark.fault(29, "port in use", "exit naming the address, no upstream started")
def test_port_in_use_is_named_and_no_upstream_is_started(workspace: Workspace) -> None:
    started = workspace.path / "started"
    workspace.add_command("marker", "touch", str(started))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = ["serve", "--transport", "http", "--port", str(port), *workspace.words]
        began_s = time.monotonic()
        line = _one_line(run_command(*words))
        assert time.monotonic() - began_s < 5.0
    assert f"127.0.0.1:{port}" in line
    assert not started.exists()


def test_port_in_use_is_told_with_the_next_one_that_it_takes_if_it_may(
    workspace: Workspace,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        workspace.configure(server={"http": {"port": port, "auto_find_port": True}})
        with workspace.add_chaos("plain").serve("http") as router:
            listening = int(router.netloc("/mcp").split(":")[1])
            assert listening > port
            told = f"Port {port} is taken, so http listens on {listening}"
            assert told in router.stderr.text
            client = HttpClient(router.url("/mcp"))
            client.initialize()
            client.close()


def test_unknown_words_end_the_program_with_a_usage_error() -> None:
    done = run_command("serve", "--no-such-option")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr


def test_version_and_help_are_told() -> None:
    assert run_command("--version").stdout.startswith("MCP Router v")
    for words in (["--help"], ["help"]):
        done = run_command(*words)
        assert done.returncode == 0
        assert "serve" in done.stdout


# --- Stopping --------------------------------------------------------------------------------


@pytest.mark.fault(27, "SIGTERM, SIGINT", "drained, exit 0, nothing left")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_router_with_0_and_nothing_left(
    workspace: Workspace, how: signal.Signals
) -> None:
    workspace.add_chaos("plain").add_chaos("parent", "parent")
    with workspace.serve() as router:
        router.url("/mcp")
        router.url("/sse")
        _wait_for_upstreams(router, 2)
        assert router.stop(how) == 0
        assert "Traceback" not in router.stderr.text
    assert not still_running(running_with(str(workspace.path)))


def _wait_for_upstreams(router: RouterProcess, number: int) -> None:
    ends_at_s = time.monotonic() + 30
    while sum("chaos_upstream" in row.command for row in router.children()) < number:
        assert time.monotonic() < ends_at_s, router.stderr.text
        time.sleep(0.01)  # the process table has no event to wait for


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_router_on_stdio_too(workspace: Workspace, how: signal.Signals) -> None:
    with StdioRouter(workspace.add_chaos("plain").stdio_command) as router:
        router.initialize()
        router.popen.send_signal(how)
        assert router.popen.wait(30) == 0
    assert not still_running(running_with(str(workspace.path)))


def test_end_of_stdin_ends_the_router_with_0_and_nothing_left(workspace: Workspace) -> None:
    with StdioRouter(
        workspace.add_chaos("plain").add_chaos("parent", "parent").stdio_command
    ) as router:
        router.initialize()
        assert router.call("plain", "echo", text="x")["content"][0]["text"] == "x"
        assert router.call("parent", "echo", text="y")["content"][0]["text"] == "y"
        router.end_stdin()
        assert router.popen.wait(30) == 0
    assert not still_running(running_with(str(workspace.path)))


def test_answers_are_written_before_the_end_of_stdin_takes_effect(workspace: Workspace) -> None:
    messages: list[dict[str, Any]] = [
        {"jsonrpc": "2.0", "id": number, "method": "ping"} for number in range(100)
    ]
    lines = "".join(json.dumps(message) + "\n" for message in messages)
    done = subprocess.run(
        workspace.stdio_command,
        input=lines,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == list(range(100))


@pytest.mark.fault(10, "upstream ignores SIGTERM", "gone in <= 10.5 s: stdin, TERM, KILL")
def test_upstream_that_ignores_sigterm_is_gone_in_time(workspace: Workspace) -> None:
    with workspace.add_chaos("deaf", "stubborn").serve("http") as router:
        router.url("/mcp")
        _wait_for_upstreams(router, 1)
        began_s = time.monotonic()
        assert router.stop() == 0
        assert time.monotonic() - began_s < STUBBORN_LIMIT_S + 1.0


@pytest.mark.fault(27, "a second signal", "the end at once")
def test_second_signal_ends_the_router_at_once(workspace: Workspace) -> None:
    with workspace.add_chaos("deaf", "stubborn").serve("http") as router:
        router.url("/mcp")
        _wait_for_upstreams(router, 1)
        children = descendants(router.pid)
        router.popen.send_signal(signal.SIGTERM)
        router.stderr.wait_for(r"(?i)stopping")
        began_s = time.monotonic()
        router.popen.send_signal(signal.SIGTERM)
        router.wait()
        assert time.monotonic() - began_s < 3.0
        left = still_running(children)
        kill_all(left)
        assert not left


def test_stop_is_told_before_anything_else_and_the_call_in_flight_comes_to_its_end(
    workspace: Workspace,
) -> None:
    workspace.configure(api={"enabled": True, "port": 0})
    with workspace.add_chaos("plain").serve("http", "sse") as router:
        api, http, sse = router.netloc(), router.netloc("/mcp"), router.netloc("/sse")
        router.stderr.wait_for("plain is ready")
        session = {"Mcp_Session_Id": open_session(http, None)}
        with closing(HTTPConnection(http, timeout=30)) as connection:
            held = _begin_hanging(connection, session["Mcp_Session_Id"])
            assert ask(api, "GET", "/health", None)[0] == 200
            router.popen.send_signal(signal.SIGTERM)
            router.stderr.wait_for(r"Stopping \(SIGTERM\)")
            for netloc, method, path, body in [
                (api, "GET", "/health", None),
                (http, "POST", "/mcp", rpc("initialize", **HELLO)),
                (http, "POST", "/mcp", rpc("ping")),
                (sse, "GET", "/sse", None),
            ]:
                status, headers, _ = ask(netloc, method, path, None, body)
                assert (status, headers["retry-after"]) == (503, "5"), (method, path, body)
            assert ask(http, "POST", "/mcp", None, rpc("ping", 2), **session)[0] == 200
            cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled"}
            over = cancelled | {"params": {"requestId": 1}}
            assert ask(http, "POST", "/mcp", None, over, **session)[0] == 202
            assert b'"code":-32800' in held.read()
        assert router.wait() == 0


def _begin_hanging(connection: HTTPConnection, session: str) -> HTTPResponse:
    """Call a tool that never answers; return its response once the server has the call."""
    asked = call("plain", "hang")
    asked["params"]["_meta"] = {"progressToken": 1}
    headers = {
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
        "Mcp-Session-Id": session,
    }
    connection.request("POST", "/mcp", json.dumps(asked), headers)
    response = connection.getresponse()  # its first event is the progress
    assert response.status == 200
    return response


# --- Where things are ------------------------------------------------------------------------


def test_stdout_carries_mcp_only(workspace: Workspace) -> None:
    with StdioRouter(workspace.add_chaos("plain").stdio_command) as router:
        router.initialize()
        router.call("plain", "steps", count=3)
        router.end_stdin()
        router.popen.wait(30)
        for line in router.lines:
            assert json.loads(line)["jsonrpc"] == "2.0"


def test_missing_config_is_written_with_its_defaults(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    with StdioRouter(router_command("stdio", "-c", str(config))) as router:
        router.initialize()
    http = json.loads(config.read_text())["server"]["http"]
    assert (http["enabled"], http["port"]) == (True, 3000)


def test_log_goes_to_the_log_folder_beside_the_config(workspace: Workspace) -> None:
    with StdioRouter(workspace.add_chaos("plain").stdio_command) as router:
        router.initialize()
        assert len(router.request("tools/list")["tools"]) == 4
        assert router.call("plain", "echo", text="x")
    assert (workspace.path / "logs" / "latest-stdio.txt").exists()

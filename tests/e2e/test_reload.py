"""Hot reload: what changes in `data/` and `config.json` takes effect in a running router."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any, Final

import pytest

from router.instance_files.reader import load_instances
from tests.e2e import concurrent_editor, rest_client
from tests.e2e.ports import free_port
from tests.e2e.processes import descendants
from tests.e2e.raw_client import HttpClient, StdioRouter
from tests.e2e.workspace import CHAOS, CONFIG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.processes import RouterProcess
    from tests.e2e.workspace import Workspace

LIMIT_S: Final = 30.0
"""For what is to happen within seconds, on a busy machine."""

Rows = dict[str, dict[str, Any]]


@pytest.fixture
def watched(workspace: Workspace) -> Workspace:
    """A workspace that is watched, with two upstreams."""
    workspace.configure(watcher={})
    return workspace.add_chaos("one").add_chaos("two")


@pytest.fixture
def router(watched: Workspace) -> Iterator[StdioRouter]:
    """A router on it, with both upstreams ready."""
    with StdioRouter(watched.stdio_command) as router:
        router.initialize()
        until(router, lambda rows: states(rows) == {"one": "ready", "two": "ready"})
        yield router


def until(router: StdioRouter, fits: Callable[[Rows], bool]) -> Rows:
    """Ask for the rows of the instances until they fit; return them."""
    ends_at_s = time.monotonic() + LIMIT_S
    while not fits(rows := router.listed()):
        assert time.monotonic() < ends_at_s, rows
        time.sleep(0.02)  # there is no event for a client without a session of its own
    return rows


def states(rows: Rows) -> dict[str, str]:
    return {name: row["state"] for name, row in rows.items()}


def pid(router: StdioRouter, instance: str) -> str:
    return router.call(instance, "pid")["content"][0]["text"]


def entry(workspace: Workspace, **more: Any) -> dict[str, Any]:
    argv = ["-B", str(CHAOS), "plain", str(workspace.path)]
    return {"command": sys.executable, "args": argv, **more}


def write(workspace: Workspace, name: str, text: str) -> None:
    (workspace.path / "data" / name / "mcp_settings.json").write_text(text)


def log_of(workspace: Workspace) -> str:
    return (workspace.path / "logs" / "latest-stdio.txt").read_text()


def until_logged(workspace: Workspace, text: str) -> None:
    ends_at_s = time.monotonic() + LIMIT_S
    while text not in log_of(workspace):
        assert time.monotonic() < ends_at_s, log_of(workspace)
        time.sleep(0.02)  # a file that another process writes has no event either


# --- data/ -----------------------------------------------------------------------------------


def test_only_what_changed_is_touched(watched: Workspace, router: StdioRouter) -> None:
    unchanged, changed = pid(router, "one"), pid(router, "two")

    watched.add_chaos("three")
    until(router, lambda rows: states(rows).get("three") == "ready")
    assert router.call("three", "echo", text="x")["content"][0]["text"] == "x"

    write(watched, "two", json.dumps(entry(watched, env={"NEW": "1"})))
    until(router, lambda rows: rows["two"]["state"] == "ready" and pid(router, "two") != changed)

    shutil.rmtree(watched.path / "data" / "three")
    until(router, lambda rows: set(rows) == {"one", "two"})
    assert pid(router, "one") == unchanged


def test_what_is_only_shown_changes_without_a_restart(
    watched: Workspace, router: StdioRouter
) -> None:
    before = pid(router, "one")
    settings = entry(watched, provider="one", name="one", type="stdio", metadata={"note": "new"})
    write(watched, "one", json.dumps(settings))
    until(router, lambda rows: rows["one"]["metadata"] == {"note": "new"})
    assert pid(router, "one") == before


def test_instance_is_switched_off_and_on(watched: Workspace, router: StdioRouter) -> None:
    write(watched, "one", json.dumps(entry(watched, isActive=False)))
    until(router, lambda rows: rows["one"]["state"] == "disabled")
    write(watched, "one", json.dumps(entry(watched)))
    until(router, lambda rows: rows["one"]["state"] == "ready")


def test_call_in_flight_on_what_changed_comes_to_its_end_first(
    watched: Workspace, router: StdioRouter
) -> None:
    before = pid(router, "two")
    wanted = {"instance_name": "two", "tool_name": "hang", "arguments": {}}
    params = {"name": "mcp.router.call", "arguments": wanted}
    router.send(id="slow", method="tools/call", params=params)
    router.listed()  # so the call is on its way
    write(watched, "two", json.dumps(entry(watched, env={"NEW": "1"})))
    until(router, lambda rows: rows["two"]["state"] != "ready")
    assert any(row.pid == int(before) for row in descendants(router.popen.pid))
    router.send(method="notifications/cancelled", params={"requestId": "slow"})
    until(router, lambda rows: rows["two"]["state"] == "ready")
    assert pid(router, "two") != before


@pytest.mark.fault(24, "500 edits a second", "the last one wins, the others keep their pids")
def test_500_edits_a_second_end_in_the_last_state(watched: Workspace, router: StdioRouter) -> None:
    unchanged = pid(router, "one")
    for edit in range(1500):
        write(watched, "two", json.dumps(entry(watched, env={"EDIT": str(edit)})))
        time.sleep(0.002)
    write(watched, "two", json.dumps(entry(watched, metadata={"edit": "last"}, isActive=False)))
    until(router, lambda rows: rows["two"]["metadata"] == {"edit": "last"})
    rows = until(router, lambda rows: rows["two"]["state"] == "disabled")
    assert rows["one"]["state"] == "ready"
    assert pid(router, "one") == unchanged


@pytest.mark.fault(23, "half-written configuration", "the last good one stays, the error is seen")
def test_half_written_file_keeps_the_last_good_state(
    watched: Workspace, router: StdioRouter
) -> None:
    before = pid(router, "one"), pid(router, "two")
    write(watched, "one", json.dumps(entry(watched))[:-20])
    until_logged(watched, "data/one/mcp_settings.json: line 1, column ")
    watched.add_chaos("three")
    rows = until(router, lambda rows: states(rows).get("three") == "ready")
    assert set(rows) == {"one", "two", "three"}
    assert (pid(router, "one"), pid(router, "two")) == before
    write(watched, "one", json.dumps(entry(watched, metadata={"is": "mended"})))
    until(router, lambda rows: rows["one"]["metadata"] == {"is": "mended"})


def test_swapped_folder_ends_in_the_new_state(watched: Workspace, router: StdioRouter) -> None:
    unchanged = pid(router, "one")
    data, new = watched.path / "data", watched.path / "new"
    shutil.copytree(data, new)
    shutil.rmtree(new / "two")
    data.rename(watched.path / "old")
    new.rename(data)
    until(router, lambda rows: set(rows) == {"one"})
    assert pid(router, "one") == unchanged


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="signals of POSIX")
def test_hang_up_reads_again_what_is_not_watched(workspace: Workspace) -> None:
    with StdioRouter(workspace.add_chaos("one").stdio_command) as router:
        router.initialize()
        until(router, lambda rows: states(rows) == {"one": "ready"})
        before = pid(router, "one")
        workspace.add_chaos("two")
        router.popen.send_signal(signal.SIGHUP)
        until(router, lambda rows: states(rows) == {"one": "ready", "two": "ready"})
        assert pid(router, "one") == before


# --- config.json -----------------------------------------------------------------------------


def test_settings_that_can_change_do_and_the_others_are_named(
    watched: Workspace, router: StdioRouter
) -> None:
    before = pid(router, "one")
    server = CONFIG["server"] | {"tool_names": "underscored", "drain_s": 7}
    watched.configure(watcher={}, server=server)
    until_logged(watched, "restart the router to apply: server.drain_s")
    assert router.request("tools/list")["tools"][0]["name"] == "mcp_router_use"
    assert pid(router, "one") == before


def test_invalid_config_keeps_the_settings(watched: Workspace, router: StdioRouter) -> None:
    before = pid(router, "one")
    watched.config_file.write_text('{"server": {"http": {"por')
    until_logged(watched, "config.json: line 1, column ")
    watched.configure(watcher={}, api={"port": "x"})
    until_logged(watched, 'config.json: api.port: expected an integer, got "x"')
    watched.config_file.unlink()
    until_logged(watched, "config.json: is gone")
    assert not watched.config_file.exists()
    watched.configure(watcher={}, mcp_client={"enabled": False})
    until(router, lambda rows: not rows["one"]["connected"])
    watched.configure(watcher={})
    until(router, lambda rows: rows["one"]["connected"])
    assert pid(router, "one") != before


@pytest.fixture
def listening(watched: Workspace) -> Iterator[RouterProcess]:
    """A router on `watched` that listens on the network."""
    with watched.serve() as router:
        yield router


def move_http(workspace: Workspace, **http: Any) -> None:
    workspace.configure(watcher={}, server=CONFIG["server"] | {"http": http})


def port_of(router: RouterProcess) -> int:
    """Return the port of the first listener for streamable HTTP."""
    return int(router.stderr.wait_for(r"Listening on http://127\.0\.0\.1:(\d+)/mcp$")[1])


def mcp_on(port: int) -> HttpClient:
    client = HttpClient(f"http://127.0.0.1:{port}/mcp")
    client.initialize()
    return client


def pid_over_http(client: HttpClient) -> str:
    return client.call(1, "one", "pid")["content"][0]["text"]


@contextmanager
def open_stream(url: str) -> Iterator[Callable[[], str]]:
    """Open the stream of an SSE client; yields a function that reads the data of its next event."""
    connection = HTTPConnection(url.split("/")[2], timeout=LIMIT_S)
    with closing(connection):
        connection.request("GET", "/sse")
        with connection.getresponse() as stream:

            def data() -> str:
                while not (line := stream.readline()).startswith(b"data: "):
                    assert line, "the stream has ended"
                return line.removeprefix(b"data: ").decode().strip()

            yield data


def test_listener_moves_and_nobody_else_notices(
    watched: Workspace, listening: RouterProcess
) -> None:
    old = port_of(listening)
    port = free_port()
    with closing(mcp_on(old)) as client, open_stream(listening.url("/sse")) as data:
        before = pid_over_http(client)
        endpoint = data()
        move_http(watched, port=port)
        listening.stderr.wait_for(rf"Listening on http://127\.0\.0\.1:{port}/mcp$")
        with closing(mcp_on(port)) as moved:
            assert pid_over_http(moved) == before
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", old), timeout=LIMIT_S)
        post(listening.url("/sse"), endpoint, {"jsonrpc": "2.0", "id": "x", "method": "ping"})
        assert json.loads(data()) == {"jsonrpc": "2.0", "id": "x", "result": {}}


def test_listener_whose_new_port_is_in_use_stays(
    watched: Workspace, listening: RouterProcess
) -> None:
    old = port_of(listening)
    with closing(mcp_on(old)) as client:
        before = pid_over_http(client)
        port = free_port()
        with socket.create_server(("127.0.0.1", port)):
            move_http(watched, port=port)
            listening.stderr.wait_for(
                rf"127\.0\.0\.1:{port}: already in use\. .*server\.http\.port"
            )
            assert pid_over_http(client) == before
    if hasattr(signal, "SIGHUP"):
        listening.popen.send_signal(signal.SIGHUP)
        listening.stderr.wait_for(rf"Listening on http://127\.0\.0\.1:{port}/mcp$")


def test_rest_api_moves_and_takes_up_what_else_is_new(workspace: Workspace) -> None:
    api, port = {"enabled": True, "port": 0}, free_port()
    workspace.configure(watcher={}, api=api)
    with rest_client.rest_router(workspace) as (router, client):
        origin = "https://app.example.org"
        assert client.ask("GET", "/api/config", Origin=origin).status == 403
        workspace.configure(watcher={}, api=api | {"port": port, "cors_origin": origin})
        router.stderr.wait_for(rf"Listening on http://127\.0\.0\.1:{port}$")
        got = rest_client.RestClient(port).ask("GET", "/api/config", Origin=origin)
        assert got.headers["access-control-allow-origin"] == origin
        assert (got.json["settings"]["api"]["port"], got.json["problems"]) == (port, [])


def post(url: str, target: str, message: Any) -> None:
    connection = HTTPConnection(url.split("/")[2], timeout=LIMIT_S)
    with closing(connection):
        headers = {"Content-Type": "application/json"}
        connection.request("POST", target, json.dumps(message), headers)
        assert connection.getresponse().status == 202


# --- Several processes -----------------------------------------------------------------------


def test_two_processes_that_edit_at_once_lose_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    words = [[sys.executable, "-m", concurrent_editor.__name__, str(data), who] for who in "ab"]
    editors = [subprocess.Popen(one) for one in words]
    assert [editor.wait(LIMIT_S) for editor in editors] == [0, 0]
    names = {spec.name for spec in load_instances(data, {}).specs}
    assert names == {*concurrent_editor.names("a"), *concurrent_editor.names("b")}

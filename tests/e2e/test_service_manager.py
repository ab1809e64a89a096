"""The router as a service: what it tells systemd, and the sockets that it is handed."""

from __future__ import annotations

import http.client
import json
import os
import queue
import re
import signal
import socket
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import pytest

from tests.e2e.service_manager import ServiceManager
from tests.e2e.workspace import CONFIG, Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.processes import RouterProcess

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is no systemd")

LIMIT_S: Final = 30.0
RESTARTS: Final = 2


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path / "router")
    workspace.configure(server=CONFIG["server"] | {"drain_s": 20})
    return workspace.add_chaos("a")


def posted(connection: http.client.HTTPConnection, tool: str, **arguments: Any) -> Any:
    """Call a tool in a lone request; return the text of its result."""
    wanted = {"instance_name": "a", "tool_name": tool, "arguments": arguments}
    params = {"name": "mcp.router.call", "arguments": wanted}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    headers = {"Content-Type": "application/json"}
    connection.request("POST", "/mcp", json.dumps(message), headers)
    response = connection.getresponse()
    body = response.read()
    assert response.status == 200, body
    return json.loads(body)["result"]["content"][0]["text"]


class Load:
    """Clients that go on calling, each time on a new connection, until they are told to stop.

    Half of the calls are answered at once, the others after up to a second.
    """

    def __init__(self, port: int, clients: int = 8) -> None:
        self._port = port
        self._enough = threading.Event()
        self._outcomes: queue.Queue[Exception | None] = queue.Queue()
        self._threads = [
            threading.Thread(target=self._call, args=(number,)) for number in range(clients)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join(LIMIT_S)

    def wait_for(self, calls: int) -> None:
        """Wait until so many more calls have succeeded.

        Raises:
            Exception: a call has failed.
        """
        for _ in range(calls):
            self._raise(self._outcomes.get(timeout=LIMIT_S))

    def end(self) -> None:
        """End the load.

        Raises:
            Exception: a call has failed.
        """
        self.__exit__()
        while not self._outcomes.empty():
            self._raise(self._outcomes.get())

    def _raise(self, outcome: Exception | None) -> None:
        if outcome is not None:
            raise outcome

    def _call(self, number: int) -> None:
        while not self._enough.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=LIMIT_S)
            try:
                if number % 2:
                    assert posted(connection, "echo", text="x") == "x"
                else:
                    assert posted(connection, "later", ms=400 + 100 * number) == "later"
            except Exception as exc:  # noqa: BLE001 - for the test to raise
                self._outcomes.put(exc)
                return
            finally:
                connection.close()
            self._outcomes.put(None)


@pytest.mark.fault(27, "restarts under load, with a socket of systemd", "no call is lost")
def test_restarts_under_load_lose_no_call(workspace: Workspace) -> None:
    """Each call is on a new connection.

    A client that sends on a connection that was idle may find it closed at that very moment, with
    any server (RFC 9112 section 9.3.1). It has to try again.
    """
    with ServiceManager(workspace) as manager:
        port = manager.listen("http")
        router = manager.start("http")
        with Load(port) as load:
            for _ in range(RESTARTS):
                with router:
                    load.wait_for(40)
                    router.popen.send_signal(signal.SIGTERM)
                    assert router.wait() == 0, router.stderr.text
                router = manager.start("http")
            with router:
                load.wait_for(40)
                load.end()


class UnixConnection(http.client.HTTPConnection):
    """A connection to a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=LIMIT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(LIMIT_S)
        self.sock.connect(self._path)


def got(connection: http.client.HTTPConnection, path: str, **headers: str) -> tuple[int, bytes]:
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, body


def until_status(manager: ServiceManager, status: str) -> None:
    while not any(f"STATUS={status}" in message for message in manager.messages):
        manager.receive()


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[ServiceManager, RouterProcess, str, int]]:
    """A service with a Unix socket for the API and a socket for clients, and their addresses."""
    workspace = Workspace(tmp_path_factory.mktemp("service"))
    workspace.configure(
        api={"enabled": True, "port": 0}, security={"bearer_token": "secret-token-of-this-test"}
    )
    workspace.add_chaos("a").add_chaos("silent", "silent")
    with ServiceManager(workspace, watchdog_s=1.0) as manager:
        path, port = manager.listen_unix("api"), manager.listen("http")
        with manager.start("http", "api") as router:
            yield manager, router, path, port


Service = tuple[ServiceManager, "RouterProcess", str, int]


def test_ready_waits_for_no_upstream_and_the_status_counts_them(service: Service) -> None:
    manager, router, path, _ = service
    ready = manager.wait_for("READY=1")
    assert ready[1].startswith("STATUS=")
    until_status(manager, "1/2 upstreams ready")
    address = re.escape(f"http://unix:{path}:/")
    router.stderr.wait_for(f"Listening on {address}")
    router.stderr.wait_for(r"the socket for api \(/.*\): api.host and api.port do not matter")


@pytest.mark.parametrize("place", ["tcp", "unix"])
def test_probes_need_no_token_on_this_machine(service: Service, place: str) -> None:
    manager, _, path, port = service
    until_status(manager, "1/2 upstreams ready")
    new: Any = partial(http.client.HTTPConnection, "127.0.0.1", port)
    connection = new() if place == "tcp" else UnixConnection(path)
    assert got(connection, "/livez") == (200, b"ok\n")
    status, body = got(connection, "/readyz")
    instances = {"ready": 1, "total": 2, "not_ready": {"silent": "starting"}}
    assert (status, json.loads(body)) == (200, {"status": "ready", "instances": instances})
    assert got(connection, "/readyz", **{"X-Forwarded-For": "203.0.113.7"})[0] == 401
    assert got(connection, "/readyz", Host="evil.test")[0] == 403
    refused = "/mcp" if place == "tcp" else "/api/instances"
    assert got(connection, refused)[0] == 401


def test_upstreams_inherit_neither_variables_nor_sockets(service: Service) -> None:
    manager, router, *_ = service
    inodes = {f"socket:[{inode}]" for inode in manager.inodes()}
    children = router.children()
    assert children
    for child in children:
        proc = Path(f"/proc/{child.pid}")
        environ = (proc / "environ").read_bytes()
        assert not re.search(rb"NOTIFY_SOCKET|WATCHDOG_|LISTEN_", environ), child
        links = {os.readlink(link) for link in (proc / "fd").iterdir()}
        assert not links & inodes, child


def test_reload_is_told_and_a_mistake_shown(service: Service) -> None:
    manager, router, *_ = service
    config = manager.workspace.config_file
    before = config.read_text()
    for text, status in ((before + "x", "invalid JSON"), (before, "1/2 upstreams ready")):
        config.write_text(text)
        at_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        router.popen.send_signal(signal.SIGHUP)
        begun = manager.wait_for("RELOADING=1")
        assert int(begun[1].removeprefix("MONOTONIC_USEC=")) >= at_us
        assert status in manager.wait_for("READY=1")[1]


@pytest.mark.fault(32, "the process does not run", "watchdog pings stop, and go on with it")
def test_watchdog_is_pinged_until_the_process_does_not_run(service: Service) -> None:
    manager, router, *_ = service
    manager.wait_for("WATCHDOG=1")
    router.popen.send_signal(signal.SIGSTOP)
    assert manager.falls_silent(for_s=2.0)
    router.popen.send_signal(signal.SIGCONT)
    manager.wait_for("WATCHDOG=1")


def test_stop_is_told_first_with_the_time_that_it_takes(service: Service) -> None:
    manager, router, *_ = service
    manager.messages.clear()
    assert router.stop() == 0
    told = manager.wait_for("STOPPING=1")
    assert told[1] == "EXTEND_TIMEOUT_USEC=60000000"  # drain_s, and time to end the servers
    before = [lines for lines in manager.messages[:-1] if lines != ["WATCHDOG=1"]]
    assert all(lines[0].startswith("STATUS=") for lines in before)
    router.stderr.wait_for(r"Stopped: 0 calls in flight finished, 0 cut off, after [0-9.]+ s")
    assert "Ctrl+C" not in router.stderr.text  # nobody sits there


def test_socket_that_others_reach_needs_a_token(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with ServiceManager(workspace) as manager:
        manager.listen("http", "0.0.0.0")
        router = manager.start("http")
        assert router.wait() == 1
    problem = 'LISTEN_FDS: the socket for http: "0.0.0.0" can be reached from other machines'
    assert router.stderr.text.startswith(f"mcp-router: {problem}, and no token is set.")
    for pipe in (router.popen.stdout, router.popen.stderr):
        assert pipe is not None
        pipe.close()

"""More sessions and connections than there is room for: it makes room or refuses, and lives on.

All of this is with the limits that a router has by itself. That idle sessions expire is shown with
a clock that can be moved, in `tests/transports/listen/test_http_sessions.py`.
"""

from __future__ import annotations

import json
import re
import resource
import socket
import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING, Any, Final, Self

import pytest

from benchmarks.internals.raw_http import whole_answer
from tests.e2e.process_resources import (
    MIB,
    file_limit,
    has_files,
    lowest_free_file,
    open_files,
    open_files_at_most,
    resident_bytes,
)
from tests.e2e.raw_client import HELLO, HttpClient
from tests.e2e.secured_router import ALL, LIMIT_S, SECURITY, A, B, ask, rpc
from transports.listen.http.sessions.session_table import SessionLimits
from transports.listen.serving.hosting.listener import connection_limit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.processes import RouterProcess
    from tests.e2e.workspace import Workspace

FLOOD: Final = 10_000
OF_ONE: Final = SessionLimits().per_principal
OF_ALL: Final = SessionLimits().total
MORE_BYTES: Final = 10 * MIB
"""How much memory may grow while all is refused; sessions for the whole flood would take 40 MiB."""

CALLERS: Final = 8
FILES: Final = 4 * OF_ALL
"""Open files with which a listener has all of its connections."""

needs_files = pytest.mark.skipif(not has_files(FILES), reason=f"needs {FILES} open files")


@pytest.fixture
def secured_workspace(workspace: Workspace) -> Workspace:
    """Three principals, and one well-behaved upstream."""
    workspace.configure(security=SECURITY)
    return workspace.add_chaos("plain")


@pytest.fixture
def many_files() -> Iterator[None]:
    """As many as one listener, and one client of all its connections, can use."""
    with file_limit(FILES):
        yield


# --- Clients ---------------------------------------------------------------------------------


def connect(netloc: str) -> socket.socket:
    host, port = netloc.split(":")
    return socket.create_connection((host, int(port)), timeout=LIMIT_S)


def request(method: str, path: str, token: str, message: dict[str, Any] | None = None) -> bytes:
    """Return the bytes of a request."""
    body = b"" if message is None else json.dumps(message).encode()
    return (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        "Accept: application/json, text/event-stream\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def answers(netloc: str, sent: bytes, times: int) -> list[tuple[bytes, bytes]]:
    """Send a request over and over on one connection; return head and body of each answer."""
    found: list[tuple[bytes, bytes]] = []
    with closing(connect(netloc)) as sock:
        for _ in range(times):
            sock.sendall(sent)
            data = b""
            while (answer := whole_answer(data)) is None:
                more = sock.recv(1 << 16)
                assert more, "The router closed the connection"
                data += more
            found.append(answer)
    return found


class Flood:
    """Callers that each initialise over and over, and the answers that they get."""

    def __init__(self, netloc: str, token: str, times: int) -> None:
        sent = request("POST", "/mcp", token, rpc("initialize", **HELLO))
        shares = [times // CALLERS + (n < times % CALLERS) for n in range(CALLERS)]
        self._threads = ThreadPoolExecutor(CALLERS)
        self._callers = [self._threads.submit(answers, netloc, sent, share) for share in shares]
        self.sessions: list[str] = []
        self.last_sessions: list[str] = []
        self.refusals: list[tuple[bytes, bytes]] = []

    def goes_on(self) -> bool:
        """Wait a moment; return whether the flood goes on."""
        return bool(wait(self._callers, timeout=0.05).not_done)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown()
        for caller in self._callers:
            sessions: list[str] = []
            for head, body in caller.result():
                if head.startswith(b"HTTP/1.1 200 "):
                    sessions.append(value_of(b"mcp-session-id", head))
                else:
                    self.refusals.append((head, body))
            self.sessions += sessions
            self.last_sessions += sessions[-1:]


def value_of(name: bytes, head: bytes) -> str:
    """Return the value of a header."""
    return head.partition(b"\r\n" + name + b": ")[2].partition(b"\r\n")[0].decode()


def flooded(netloc: str, token: str, times: int) -> Flood:
    """Return a flood that is over."""
    with Flood(netloc, token, times) as flood:
        pass
    return flood


def initialize(netloc: str, token: str) -> int:
    """Try to open one more session; return the status."""
    return ask(netloc, "POST", "/mcp", token, rpc("initialize", **HELLO))[0]


def keeper(router: RouterProcess, token: str) -> HttpClient:
    """Return a client that has its session before all others come."""
    client = HttpClient(router.url("/mcp"), token)
    client.initialize()
    assert_served(client)
    return client


def assert_served(client: HttpClient) -> None:
    content = client.call(1, "plain", "echo", text="here")["content"]
    assert content == [{"type": "text", "text": "here"}]


# --- Sessions --------------------------------------------------------------------------------


@pytest.mark.fault(34, "10,000 initialises without DELETE", "the longest idle makes room")
def test_ten_thousand_initialises_end_the_longest_idle_sessions_and_memory_stays_flat(
    secured_workspace: Workspace,
) -> None:
    with secured_workspace.serve("http") as router, closing(keeper(router, A)) as client:
        netloc = router.netloc("/mcp")
        files = open_files(router.pid)
        first = flooded(netloc, A, OF_ONE - 1)  # with that of the client there is no room left
        assert_served(client)  # so it is not the longest idle any more
        memory_bytes = resident_bytes(router.pid)
        with Flood(netloc, A, FLOOD - OF_ONE) as rest:
            while rest.goes_on():
                assert_served(client)
        assert not first.refusals + rest.refusals
        assert resident_bytes(router.pid) - memory_bytes < MORE_BYTES
        assert open_files_at_most(router.pid, files) <= files
        assert_served(client)  # in the session that was there first, because it was in use
        assert len({*first.sessions, *rest.sessions}) == FLOOD - 1
        assert not any(is_alive(netloc, A, session) for session in first.sessions[:20])
        # The newest is the last one of the caller that ended last.
        assert any(is_alive(netloc, A, session) for session in rest.last_sessions)
    counts = told(r"make room for new ones \(so far (\d+) since", router)
    assert len(counts) == 2, "at once, and at the end"
    assert sum(counts) == FLOOD - OF_ONE


def told(pattern: str, router: RouterProcess) -> list[int]:
    """Return the counts in the lines of the log that match the pattern."""
    return [int(count) for count in re.findall(pattern, router.stderr.text)]


def is_alive(netloc: str, token: str, session: str) -> bool:
    """Return whether there is such a session; its use makes it the least idle one."""
    status, _, body = ask(netloc, "POST", "/mcp", token, rpc("ping"), Mcp_Session_Id=session)
    assert (status == 200) == (b"initialize again" not in body), body
    return status == 200


def test_who_has_all_of_its_sessions_leaves_room_for_others_and_then_makes_room_for_them(
    secured_workspace: Workspace,
) -> None:
    with secured_workspace.serve("http") as router:
        netloc = router.netloc("/mcp")
        b, a = flooded(netloc, B, OF_ONE), flooded(netloc, A, OF_ONE + 1)
        assert [len(b.sessions), len(a.sessions)] == [OF_ONE, OF_ONE + 1]
        assert 2 * OF_ONE == OF_ALL
        assert [initialize(netloc, ALL) for _ in range(20)] == [200] * 20
        assert initialize(netloc, A) == 200
        assert is_alive(netloc, A, a.sessions[-1])
        assert is_alive(netloc, B, b.sessions[-1])


@needs_files
@pytest.mark.usefixtures("many_files")
def test_streams_of_one_principal_are_capped_and_those_that_end_make_room(
    secured_workspace: Workspace,
) -> None:
    with secured_workspace.serve("sse") as router, ExitStack() as streams:
        netloc = router.netloc("/sse")
        router.stderr.wait_for("plain is ready")
        files = open_files(router.pid)
        targets = [opened(netloc, A, streams)[1] for _ in range(OF_ONE)]
        memory_bytes = resident_bytes(router.pid)
        refusals = [ask(netloc, "GET", "/sse", A) for _ in range(200)]
        assert {status for status, _, _ in refusals} == {503}
        assert all(int(headers["retry-after"]) > 0 for _, headers, _ in refusals)
        assert resident_bytes(router.pid) - memory_bytes < MORE_BYTES
        assert ask(netloc, "POST", targets[0], A, rpc("ping"))[0] == 202
        assert ask(netloc, "GET", "/sse", B)[0] == 200
        streams.close()
        assert open_files_at_most(router.pid, files) <= files
        assert ask(netloc, "GET", "/sse", A)[0] == 200


def opened(netloc: str, token: str, among: ExitStack) -> tuple[socket.socket, str]:
    """Open a stream; return it and the address to post to."""
    sock = among.enter_context(closing(connect(netloc)))
    sock.sendall(request("GET", "/sse", token))
    data = b""
    while b"\n\n" not in (found := data.partition(b"event: endpoint\ndata: ")[2]):
        more = sock.recv(1 << 16)
        assert more, data
        data += more
    return sock, found.partition(b"\n")[0].decode()


# --- Connections -----------------------------------------------------------------------------

HALF: Final = request("POST", "/mcp", A, rpc("ping"))[:-1]
"""A request that goes on waiting for its last byte."""


def assert_turned_away(netloc: str) -> None:
    """Assert that a new connection is told to come back, and closed."""
    with closing(connect(netloc)) as sock:
        assert is_turned_away(sock)


def is_turned_away(sock: socket.socket) -> bool:
    """Read until the end; return whether it came at once, or after a 503."""
    data = b""
    try:
        while more := sock.recv(1 << 16):
            data += more
    except ConnectionResetError:
        pass
    if not data:
        return True
    head, _, body = data.partition(b"\r\n\r\n")
    told = {"detail": "Too many connections; try again later"}
    is_503 = head.startswith(b"HTTP/1.1 503 ") and int(value_of(b"retry-after", head)) > 0
    return is_503 and json.loads(body) == told


@pytest.mark.parametrize(
    ("sent", "files_of_all"),
    [pytest.param(b"", FILES, marks=needs_files), (HALF, 1024)],
    ids=["silent", "half"],
)
def test_connections_beyond_the_cap_get_503_and_there_is_room_once_others_end(
    secured_workspace: Workspace, sent: bytes, files_of_all: int
) -> None:
    with (
        file_limit(files_of_all),
        secured_workspace.serve("http") as router,
        closing(keeper(router, A)) as client,
    ):
        netloc = router.netloc("/mcp")
        files = open_files(router.pid)
        with ExitStack() as held:
            for number in range(connection_limit() - 1):
                held.enter_context(closing(connect(netloc))).sendall(sent)
                if number % 200 == 0:
                    assert_served(client)  # and it has time to accept them
            assert_turned_away(netloc)
            memory_bytes = resident_bytes(router.pid)
            for _ in range(500):
                assert_turned_away(netloc)
            assert_served(client)
            assert resident_bytes(router.pid) - memory_bytes < MORE_BYTES
            away = told(r"All \d+ places for connections are taken; turned away: (\d+)", router)
            assert away[0] <= 501
            assert len(away) <= 2, "the rest of the 501 is counted, not told one by one"
        assert open_files_at_most(router.pid, files) <= files
        assert initialize_when_there_is_room(netloc, B) == 200


def initialize_when_there_is_room(netloc: str, token: str) -> int:
    """Return the first status but 503: a place is free a moment after its file is closed."""
    ends_at_s = time.monotonic() + LIMIT_S
    while True:
        with suppress(ConnectionError):
            status = initialize(netloc, token)
            if status != 503:
                return status
        assert time.monotonic() < ends_at_s, "there is no room"


HEALTHY_S: Final = 5.0
"""From when there are files again until new clients are served; the promise of row 30."""

FEW_FILES: Final = 256
"""What a shell lets a program open on some systems."""


@pytest.fixture
def cramped(secured_workspace: Workspace) -> RouterProcess:
    """A router with all its listeners, and few open files."""
    secured_workspace.configure(security=SECURITY, api={"enabled": True, "port": 0})
    with file_limit(FEW_FILES):
        return secured_workspace.serve("http", "sse")


def test_flood_on_two_listeners_leaves_files_for_the_third_and_for_servers(
    cramped: RouterProcess,
) -> None:
    with cramped as router, closing(keeper(router, A)) as client, ExitStack() as held:
        api = router.netloc()
        for path in ("/mcp", "/sse"):
            fill(router.netloc(path), held)
        assert open_files(router.pid) < FEW_FILES
        for action in ("disable", "enable?wait=ready"):
            status, _, body = ask(api, "POST", f"/api/instances/plain/{action}", ALL)
            assert status == 200, body
        assert_served(client)
    assert "Too many open files" not in router.stderr.text


@pytest.mark.fault(30, "out of file descriptors", "one log line, with a count; healthy again")
@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs prlimit")
def test_lack_of_files_is_logged_once_with_a_count_and_serving_goes_on_when_there_are_some(
    secured_workspace: Workspace,
) -> None:
    with secured_workspace.serve("http") as router, closing(keeper(router, A)) as client:
        netloc = router.netloc("/mcp")
        before = resource.prlimit(router.pid, resource.RLIMIT_NOFILE)
        limit = lowest_free_file(router.pid)
        resource.prlimit(router.pid, resource.RLIMIT_NOFILE, (limit, before[1]))
        with closing(connect(netloc)) as waiting:
            waiting.sendall(request("POST", "/mcp", B, rpc("ping")))
            router.stderr.wait_for(r"No connection can be accepted \(Too many open files\)")
            assert_served(client)
            time.sleep(2.0)  # twenty tries
            resource.prlimit(router.pid, resource.RLIMIT_NOFILE, before)
            free_at_s = time.monotonic()
            assert waiting.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
            assert time.monotonic() - free_at_s < HEALTHY_S
        assert initialize(netloc, B) == 200
    counts = told(r"ERROR.* No connection can be accepted .* failed tries: (\d+)", router)
    assert counts[0] == 1
    assert len(counts) == 2, "at once, and at the end"
    assert len(re.findall("ERROR", router.stderr.text)) == 2


def fill(netloc: str, among: ExitStack) -> None:
    """Take all places of a listener: the last one to come is turned away."""
    socks = [among.enter_context(closing(connect(netloc))) for _ in range(FEW_FILES)]
    assert is_turned_away(socks[-1])


@pytest.mark.parametrize(("listener", "path"), [("/mcp", "/mcp"), ("/sse", "/nothing")])
def test_clients_that_have_left_take_no_places(
    cramped: RouterProcess, listener: str, path: str
) -> None:
    with cramped as router:
        netloc = router.netloc(listener)
        statuses = [ask(netloc, "GET", path, A)[0] for _ in range(2 * FEW_FILES)]
        assert set(statuses) <= {400, 404}
        files = open_files(router.pid)
        assert files < FEW_FILES // 4

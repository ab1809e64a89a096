"""Messages and requests that are hostile in themselves, played against a real router."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e.raw_client import StdioRouter
from tests.e2e.secured_router import (
    ALL,
    LIMIT_S,
    READER,
    SECURITY,
    SecuredRouter,
    ask,
    call,
    ping,
    rpc,
    secured_router,
    sse_stream,
    text_of,
)
from transports.listen.serving.hosting.listener import HEAD_LIMIT_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.workspace import Workspace


API: Final = {"enabled": True, "port": 0}


# --- Hostile JSON and parser disagreement ----------------------------------------------------

DEEP: Final = b"[" * 63 + b"]" * 63
HOSTILE: Final = {
    "Method": (b'{"jsonrpc":"2.0","id":1,"Method":"ping","method":"ping"}', -32600),
    "ID": (b'{"jsonrpc":"2.0","ID":2,"id":1,"method":"ping"}', -32600),
    "deep": (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":' + DEEP + b"}}", -32700),
    "NaN": (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":NaN}}', -32700),
    "Infinity": (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":-Infinity}}', -32700),
    "UTF-8": (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":"\xff"}}', -32700),
    "lone": (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":"\\ud800"}}', -32700),
    "cut": (b'{"jsonrpc":"2.0","id":1', -32700),
    "deepest": (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":' + b'{"a":' * 99_999, -32700),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_json_over_http_is_refused_and_the_router_lives(
    secured: SecuredRouter, name: str
) -> None:
    body, code = HOSTILE[name]
    status, _, said = ask(secured.http, "POST", "/mcp", ALL, body)
    assert (status, json.loads(said)["error"]["code"]) == (400, code)
    with sse_stream(secured, ALL) as target:
        status, _, said = ask(secured.sse, "POST", target, ALL, body)
        assert (status, json.loads(said)["error"]["code"]) == (400, code)
    ping(secured)


def test_hostile_json_on_stdio_is_refused_and_the_router_lives(workspace: Workspace) -> None:
    with StdioRouter(workspace.stdio_command) as router:
        for body, code in HOSTILE.values():
            router.send_line(body)
            assert router.read()["error"]["code"] == code
        assert router.request("ping") == {}


def test_integers_and_deep_arguments_reach_the_server_as_they_are(secured: SecuredRouter) -> None:
    arguments = {"n": 2**70 + 1, "m": -(10**30), "deep": [[[["x"]]]], "sql": "SELECT 1; --"}
    said = ask(secured.http, "POST", "/mcp", ALL, call("snooping", "arguments", **arguments))
    assert json.loads(text_of(said)) == {"name": "arguments", "arguments": arguments}


def test_server_sees_the_one_of_two_equal_keys_that_the_router_read(
    secured: SecuredRouter,
) -> None:
    body = (
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"nothing",'
        b'"name":"mcp.router.call","arguments":{"instance_name":"missing","instance_name":"snooping",'
        b'"tool_name":"environment","tool_name":"arguments","arguments":{}}}}'
    )
    said = ask(secured.http, "POST", "/mcp", ALL, body)
    assert json.loads(text_of(said)) == {"name": "arguments", "arguments": {}}


@pytest.mark.parametrize(
    "params",
    [
        b'{"name":"mcp.router.call","Name":"x","arguments":{"instance_name":"snooping",'
        b'"tool_name":"arguments","arguments":{}}}',
        b'{"name":"mcp.router.call","arguments":{"instance_name":"snooping","Instance_Name":"remote",'
        b'"tool_name":"arguments","arguments":{}}}',
    ],
)
def test_key_that_differs_in_case_only_is_refused(secured: SecuredRouter, params: bytes) -> None:
    body = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":' + params + b"}"
    status, _, said = ask(secured.http, "POST", "/mcp", ALL, body)
    answer = json.loads(said)
    assert status == 200
    assert "error" in answer or answer["result"]["isError"], answer


# --- What is checked, and what is left alone -------------------------------------------------

DANGEROUS: Final = (
    rb'{ "q":"SELECT * FROM t WHERE a=\u0027x\u0027; DROP TABLE t; -- <script>alert(1)</script>",'
    rb'"path": "../../etc/passwd%00", "sh":"$(id) `id` && rm -rf / | ${HOME} %2e%2e",'
    rb'"n":1.0E+2 , "big": 18446744073709551617,"html":"&lt;img src=x onerror=alert(1)&gt;" }'
)


def test_what_looks_dangerous_reaches_the_server_byte_for_byte(secured: SecuredRouter) -> None:
    head = rb'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"mcp.router.call",'
    body = head + rb'"arguments":{"instance_name":"remote","tool_name":"echo","arguments":'
    assert ask(secured.http, "POST", "/mcp", ALL, body + DANGEROUS + b"}}}")[0] == 200
    assert DANGEROUS.decode() in secured.upstream.seen[-1]
    body = b'{"instance": "remote", "tool": "echo", "params": '
    assert ask(secured.api, "POST", "/api/call", ALL, body + DANGEROUS + b"}")[0] == 200
    assert DANGEROUS.decode() in secured.upstream.seen[-1]


@pytest.mark.parametrize("enabled", [True, False])
def test_validation_switched_off_switches_no_check_off(
    workspace: Workspace, *, enabled: bool
) -> None:
    workspace.configure(security={**SECURITY, "enable_validation": enabled}, api=API)
    workspace.add_chaos("plain")
    with workspace.serve("http") as router:
        api, mcp = router.netloc(), router.netloc("/mcp")
        router.stderr.wait_for("plain is ready")
        for token, status in [(None, 401), ("wrong", 401), (READER, 403)]:
            assert ask(mcp, "POST", "/mcp", token, rpc("ping"))[0] == status
        assert ask(mcp, "POST", "/mcp", ALL, rpc("ping"), Host="evil.test")[0] == 403
        body, code = HOSTILE["deep"]
        assert json.loads(ask(mcp, "POST", "/mcp", ALL, body)[2])["error"]["code"] == code
        for entry in ({"name": "../x", "command": "true"}, {"name": "x", "url": "file:///etc"}):
            assert ask(api, "POST", "/api/instances", ALL, entry)[0] == 422
        loading = {"name": "x", "command": "true", "env": {"LD_PRELOAD": "x"}}
        assert ask(api, "POST", "/api/instances", ALL, loading)[0] == 403


# --- HTTP abuse ------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["fast lane", "hypercorn"])
def either_way(
    secured: SecuredRouter,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[SecuredRouter]:
    """A router with a fast lane, then one without."""
    if request.param == "fast lane":
        yield secured
        return
    with secured_router(tmp_path_factory.mktemp("hypercorn"), fast_lane=False) as router:
        yield router


def raw_answer(netloc: str, *parts: bytes) -> bytes:
    """Return all bytes of the answer, until the router closes the connection."""
    host, port = netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=LIMIT_S) as sock:
        for part in parts:
            sock.sendall(part)
        answer = b""
        while data := sock.recv(1 << 16):
            answer += data
        return answer


PING: Final = json.dumps(rpc("ping")).encode()
HEAD: Final = (
    f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {ALL}\r\n"
    "Content-Type: application/json\r\n"
).encode()


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n" % len(PING),
        b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n" % len(PING),
        b"Content-Length: %d\r\nHost: evil.test\r\n" % len(PING),
        b"Content-Length: %d\r\nContent-Length: 7\r\n" % len(PING),
        b"Content-Length: -1\r\n",
        b"Content-Length: +%d\r\n" % len(PING),
        b"Content-Length: 99999999999999999999\r\n",
        b"Transfer-Encoding:\r\n chunked\r\nContent-Length: %d\r\n" % len(PING),
        b"Transfer-Encoding : chunked\r\nContent-Length: %d\r\n" % len(PING),
        b"Transfer-Encoding: \x0bchunked\r\nContent-Length: %d\r\n" % len(PING),
        b"X: a\rContent-Length: 1\r\nContent-Length: %d\r\n" % len(PING),
        b"X: a\0b\r\nContent-Length: %d\r\n" % len(PING),
    ],
    ids=[
        *("CL+TE", "TE+CL", "two-Hosts", "two-lengths", "negative", "plus", "huge", "folded"),
        *("space", "tab", "return", "NUL"),
    ],
)
@pytest.mark.parametrize("listener", ["http", "sse", "api"])
def test_ambiguous_request_is_400_and_the_connection_is_closed(
    either_way: SecuredRouter, listener: str, lines: bytes
) -> None:
    """Bytes after the head are never taken for another request."""
    path = {"http": b"/mcp", "sse": b"/messages", "api": b"/api/call"}[listener]
    head = HEAD.replace(b"/mcp", path, 1)
    answer = raw_answer(getattr(either_way, listener), head + lines + b"\r\n" + PING)
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.count(b"HTTP/1.1") == 1
    ping(either_way)


@pytest.mark.parametrize(
    "coding", [b"gzip, chunked", b"chunked, identity", b"identity", b"xchunked"]
)
def test_unknown_transfer_coding_is_501_and_the_connection_is_closed(
    either_way: SecuredRouter, coding: bytes
) -> None:
    lines = b"Transfer-Encoding: " + coding + b"\r\n\r\n0\r\n\r\n"
    answer = raw_answer(either_way.http, HEAD + lines + HEAD + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 501")
    assert answer.count(b"HTTP/1.1") == 1


HTTP_2: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"


@pytest.mark.parametrize("listener", ["http", "sse", "api"])
def test_http_2_is_not_spoken(either_way: SecuredRouter, listener: str) -> None:
    netloc = getattr(either_way, listener)
    assert raw_answer(netloc, HTTP_2).startswith(b"HTTP/1.1 505")
    offer = b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nConnection: Upgrade, close\r\n"
    answer = raw_answer(netloc, HEAD.replace(b"POST /mcp", b"GET /none") + offer + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 404")


HANDSHAKE: Final = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
)
KEY: Final = b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"


@pytest.mark.parametrize(
    "lines",
    [
        b"",
        KEY + b"Sec-WebSocket-Protocol: \xff\r\n",
        KEY.replace(b"AA==", b"\xff=="),
        KEY + b"\r\nx",
    ],
    ids=["no-key", "protocol", "key", "early"],
)
@pytest.mark.parametrize("listener", ["http", "sse", "api"])
def test_broken_handshake_of_a_stranger_is_closed_and_not_worth_a_line_in_the_log(
    either_way: SecuredRouter, listener: str, lines: bytes
) -> None:
    before = lines_about_clients(either_way)
    answer = raw_answer(getattr(either_way, listener), HANDSHAKE + lines + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 400")
    ping(either_way)
    assert lines_about_clients(either_way) == before


def lines_about_clients(secured: SecuredRouter) -> list[str]:
    """Return the lines of the log, but for those of instances that cannot be reached."""
    lines = secured.router.stderr.text.splitlines()
    about_servers = ("mcp_router.dispatch", "mcp_router.upstream")
    return [line for line in lines if not any(name in line for name in about_servers)]


def test_head_that_is_too_large_is_refused(either_way: SecuredRouter) -> None:
    for line in (b"X: " + b"x" * HEAD_LIMIT_BYTES, b"X: y\r\n" * HEAD_LIMIT_BYTES):
        # One byte too much, so that nothing is left unread: closing would then lose the answer.
        answer = raw_answer(either_way.http, (HEAD + line)[: HEAD_LIMIT_BYTES + 1])
        assert answer.startswith(b"HTTP/1.1 431")
    ping(either_way)


def test_body_over_10_mb_is_413_whether_announced_or_not(either_way: SecuredRouter) -> None:
    announced = raw_answer(
        either_way.http, HEAD + b"Content-Length: 10485761\r\nConnection: close\r\n\r\n",
        b"x" * 10_485_761,
    )  # fmt: skip
    assert announced.startswith(b"HTTP/1.1 413")
    assert b"Request body too large. Maximum size: 10485760 bytes" in announced
    chunks = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    unannounced = raw_answer(
        either_way.http,
        HEAD + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
        chunks * 11 + b"0\r\n\r\n",
    )
    assert unannounced.startswith(b"HTTP/1.1 413")
    ping(either_way)


def test_silent_and_dripping_connections_keep_nobody_waiting(either_way: SecuredRouter) -> None:
    """`tests/transports/listen` shows when such a connection is closed; here nobody else waits."""
    host, port = either_way.http.split(":")
    with ExitStack() as stack:
        for sent in [b"", b"POST", HEAD, HEAD + b"Content-Length: 100\r\n\r\n{"] * 10:
            sock = stack.enter_context(socket.create_connection((host, int(port)), LIMIT_S))
            sock.sendall(sent)
        ping(either_way)

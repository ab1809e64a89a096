"""Messages and requests that are hostile in themselves, played against a real router."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e.guarded import (
    ALL,
    LIMIT_S,
    Guarded,
    ask,
    call,
    ping,
    rpc,
    sse_stream,
    text_of,
)
from tests.e2e.wire import StdioRouter

if TYPE_CHECKING:
    from tests.e2e.site import Site


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
def test_hostile_json_over_http_is_refused_and_it_lives(guarded: Guarded, name: str) -> None:
    body, code = HOSTILE[name]
    status, _, said = ask(guarded.http, "POST", "/mcp", ALL, body)
    assert (status, json.loads(said)["error"]["code"]) == (400, code)
    with sse_stream(guarded, ALL) as target:
        status, _, said = ask(guarded.sse, "POST", target, ALL, body)
        assert (status, json.loads(said)["error"]["code"]) == (400, code)
    ping(guarded)


def test_hostile_json_on_stdio_is_refused_and_it_lives(site: Site) -> None:
    with StdioRouter(site.stdio_command) as router:
        for body, code in HOSTILE.values():
            router.send_line(body)
            assert router.read()["error"]["code"] == code
        assert router.request("ping") == {}


def test_integers_and_deep_arguments_reach_the_server_as_they_are(guarded: Guarded) -> None:
    arguments = {"n": 2**70 + 1, "m": -(10**30), "deep": [[[["x"]]]], "sql": "SELECT 1; --"}
    said = ask(guarded.http, "POST", "/mcp", ALL, call("nosy", "arguments", **arguments))
    assert json.loads(text_of(said)) == {"name": "arguments", "arguments": arguments}


def test_of_two_equal_keys_the_server_sees_the_one_that_was_looked_at(guarded: Guarded) -> None:
    body = (
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"nothing",'
        b'"name":"mcp.router.call","arguments":{"instance_name":"missing","instance_name":"nosy",'
        b'"tool_name":"environment","tool_name":"arguments","arguments":{}}}}'
    )
    said = ask(guarded.http, "POST", "/mcp", ALL, body)
    assert json.loads(text_of(said)) == {"name": "arguments", "arguments": {}}


@pytest.mark.parametrize(
    "params",
    [
        b'{"name":"mcp.router.call","Name":"x","arguments":{"instance_name":"nosy",'
        b'"tool_name":"arguments","arguments":{}}}',
        b'{"name":"mcp.router.call","arguments":{"instance_name":"nosy","Instance_Name":"remote",'
        b'"tool_name":"arguments","arguments":{}}}',
    ],
)
def test_key_that_differs_in_case_only_is_refused(guarded: Guarded, params: bytes) -> None:
    body = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":' + params + b"}"
    status, _, said = ask(guarded.http, "POST", "/mcp", ALL, body)
    answer = json.loads(said)
    assert status == 200
    assert "error" in answer or answer["result"]["isError"], answer


# --- HTTP abuse ------------------------------------------------------------------------------


def raw_answer(netloc: str, *parts: bytes) -> bytes:
    """Everything that is answered until the connection is closed from the other side."""
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
    ],
    ids=["CL+TE", "TE+CL", "two-Hosts", "two-lengths", "negative"],
)
def test_ambiguous_request_is_400_and_the_connection_is_closed(
    guarded: Guarded, lines: bytes
) -> None:
    answer = raw_answer(guarded.http, HEAD + lines + b"\r\n" + PING)
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.count(b"HTTP/1.1") == 1
    ping(guarded)


def test_head_that_is_too_large_is_refused(guarded: Guarded) -> None:
    answer = raw_answer(guarded.http, HEAD + b"X: " + b"x" * 200_000 + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 4")
    ping(guarded)


def test_body_over_10_mb_is_413_whether_announced_or_not(guarded: Guarded) -> None:
    announced = raw_answer(
        guarded.http, HEAD + b"Content-Length: 10485761\r\nConnection: close\r\n\r\n",
        b"x" * 10_485_761,
    )  # fmt: skip
    assert announced.startswith(b"HTTP/1.1 413")
    assert b"Request body too large. Maximum size: 10485760 bytes" in announced
    chunks = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    unannounced = raw_answer(
        guarded.http,
        HEAD + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
        chunks * 11 + b"0\r\n\r\n",
    )
    assert unannounced.startswith(b"HTTP/1.1 413")
    ping(guarded)


def test_silent_and_dripping_connections_keep_nobody_waiting(guarded: Guarded) -> None:
    """When they are given up is in `tests/transports/listen`; here, that they are alone with it."""
    host, port = guarded.http.split(":")
    with ExitStack() as stack:
        for sent in [b"", b"POST", HEAD, HEAD + b"Content-Length: 100\r\n\r\n{"] * 10:
            sock = stack.enter_context(socket.create_connection((host, int(port)), LIMIT_S))
            sock.sendall(sent)
        ping(guarded)

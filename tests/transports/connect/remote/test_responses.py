"""Single HTTP responses, and the stand-ins that the SDK gets for them."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import attrs
import httpx2
import pytest
import trio
import trio.testing
from msgspec import Raw

from router.messages.errors import SESSION_LOST
from router.messages.frames import ErrorResponse, Response
from tests.transports.connect.remote.fake_server import Call, error_of, initialized, session_server
from transports.connect.remote.event_streams import Progress
from transports.connect.remote.responses import (
    SHORT_BODY_BYTES,
    SHORT_BODY_S,
    TooLarge,
    error_in,
    has_media_type,
    is_within_origin,
    read_body,
    read_short_body,
    resumable,
    stub,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

URL = "https://me:key@there:8443/mcp"
POST = httpx2.Request("POST", URL)


@attrs.define
class Body(httpx2.AsyncByteStream):
    """A body that comes in parts, and then ends, breaks off, or never goes on."""

    parts: list[bytes]
    broken: bool = False
    endless: bool = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self.parts:
            await trio.lowlevel.checkpoint()
            yield part
        if self.broken:
            raise httpx2.ReadError("cut")
        if self.endless:
            await trio.sleep_forever()


def response_with(body: Body) -> httpx2.Response:
    return httpx2.Response(200, stream=body, request=POST)


# --- Heads ---


@pytest.mark.parametrize(
    ("content_type", "is_json"),
    [
        ("application/json", True),
        ("Application/JSON ; charset=utf-8", True),
        ("application/json-seq", False),
        ("text/html", False),
        (None, False),
    ],
)
def test_media_type_is_compared_without_case_and_parameters(
    content_type: str | None, is_json: bool
) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    response = httpx2.Response(200, headers=headers)
    assert has_media_type(response, "application/json") is is_json


@pytest.mark.parametrize(
    ("method", "url", "is_within"),
    [
        ("POST", "https://me:key@there:8443/other?x=1", True),
        ("POST", "https://there:8443/mcp", True),
        ("GET", URL, False),
        ("POST", "http://there:8443/mcp", False),
        ("POST", "https://other:8443/mcp", False),
        ("POST", "https://there/mcp", False),
        ("POST", "https://you:key@there:8443/mcp", False),
    ],
)
def test_redirect_is_within_the_origin_if_nothing_but_the_path_differs(
    method: str, url: str, is_within: bool
) -> None:
    assert is_within_origin(POST, httpx2.Request(method, url)) is is_within


# --- Bodies ---


async def test_body_is_read_up_to_its_limit() -> None:
    assert await read_body(response_with(Body([b"ab", b"cd"])), 4) == b"abcd"
    with pytest.raises(TooLarge):
        await read_body(response_with(Body([b"ab", b"cd", b"e"], endless=True)), 4)


async def test_short_body_is_read() -> None:
    assert await read_short_body(response_with(Body([b"ab", b"cd"]))) == b"abcd"


@pytest.mark.parametrize(
    ("body", "after_s"),
    [
        (Body([b"x" * (SHORT_BODY_BYTES + 1)]), 0.0),
        (Body([b"x"], broken=True), 0.0),
        (Body([b"x"], endless=True), SHORT_BODY_S),
    ],
    ids=["too long", "broken", "too slow"],
)
async def test_body_that_is_not_short_and_whole_is_empty(
    body: Body, after_s: float, autojump_clock: trio.testing.MockClock
) -> None:
    began_s = trio.current_time()
    assert await read_short_body(response_with(body)) == b""
    assert trio.current_time() - began_s == after_s


def test_error_is_found_in_a_body() -> None:
    frame = error_in(b'{"jsonrpc":"2.0","id":null,"error":{"code":-5,"message":"no"}}')
    assert isinstance(frame, ErrorResponse)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<p>",
        b'{"jsonrpc":"2.0","id":1,"result":{}}',
        b'{"jsonrpc":"2.0","id":1,"error":{"code":-5,"message":5}}',
        b'{"jsonrpc":"2.0","id":1,"error":"no"}',
    ],
)
def test_body_without_a_json_rpc_error_has_none(body: bytes) -> None:
    assert error_in(body) is None


# --- Stand-ins ---


@pytest.mark.parametrize("headers", [{}, {"mcp-session-id": "s1"}])
def test_stand_ins_keep_the_session_id_and_nothing_else(headers: dict[str, str]) -> None:
    response = httpx2.Response(500, headers={"x-other": "1", **headers}, request=POST)
    for stand_in in (stub(POST, response), resumable(response, Progress(last_id="e1"))):
        assert stand_in.status_code == 200
        assert "x-other" not in stand_in.headers
        assert stand_in.headers.get("mcp-session-id") == headers.get("mcp-session-id")


@pytest.mark.parametrize(
    ("progress", "event"),
    [
        (Progress(last_id="e1", retry_ms=5), b"id: e1\nretry: 5\n\n"),
        (Progress(last_id="e1"), b"id: e1\n\n"),
        (Progress(retry_ms=0), b"retry: 0\n\n"),
        (Progress(), b": \n\n"),
    ],
)
def test_interrupted_stream_tells_the_sdk_where_to_resume(progress: Progress, event: bytes) -> None:
    assert resumable(httpx2.Response(200, request=POST), progress).content == event


async def test_an_answer_that_is_compressed_twice_is_not_unpacked() -> None:
    async def play(call: Call) -> None:
        if call.rpc == "bad":
            bomb = gzip.compress(gzip.compress(bytes(1_000_000)))
            await call.reply(200, bomb, content_encoding="gzip, gzip")
        else:
            await call.result()

    async with initialized(session_server(play)) as talk:
        code, message = error_of(await talk.request(3, "bad"))
        assert code == SESSION_LOST
        assert message.endswith("broke: its answer is not encoded as it says")
        assert await talk.request(5, "good") == Response(5, Raw(b"{}"))

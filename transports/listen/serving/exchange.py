"""One HTTP exchange with an endpoint, without the HTTP around it.

Job: name what goes into an endpoint (method, path, headers, a body to be read) and what comes out
(an answer, a stream of events, or the promise of one of the two), and the answers that all
endpoints give. Neighbours: `http` and `sse` are endpoints; `asgi` is a way in. No I/O.

Invariants: an endpoint never touches a connection, so any way in can carry it. Every answer says
`nosniff`. Header names are lower case.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

import attrs
import msgspec
import trio
from msgspec import Struct

from router.messages.errors import INVALID_REQUEST, HttpRefusal
from router.messages.frames import Request
from transports import json_rpc

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from msgspec import Raw

    from router.messages.frames import ErrorResponse, Frame, RequestId

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]

NOSNIFF: Final = (b"x-content-type-options", b"nosniff")
JSON_TYPE: Final = (b"content-type", b"application/json")
EVENT_HEADERS: Final[Headers] = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    # nginx would otherwise hold events back until its buffer is full.
    (b"x-accel-buffering", b"no"),
    NOSNIFF,
)

RETRY_AFTER: Final = (("Retry-After", "5"),)
"""Sent with 503: long enough for streams to end and sessions to expire, short for a person."""


class ClientGone(Exception):
    """The client closed its connection; there is nobody to answer."""


@attrs.frozen
class Rejected(Exception):
    """A request that is answered with an HTTP error and a JSON-RPC error in it.

    This is how the MCP transports say what is wrong with a message; `router.errors.Refused` is
    for what is wrong with the HTTP around it.
    """

    status: int
    error: ErrorResponse

    @classmethod
    def because(cls, status: int, message: str, request_id: RequestId | None = None) -> Rejected:
        """Reject with -32600."""
        return cls(status, json_rpc.FrameError(INVALID_REQUEST, message, request_id).to_frame())


class HttpRequest(Struct, frozen=True, gc=False):
    """A request whose head has been read.

    `read_body` returns all of the body; it raises `Refused` (413, 408) or `ClientGone`.
    `root_path` is where the application is mounted; `path` does not begin with it.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    read_body: Callable[[], Awaitable[bytes]]
    query: str = ""
    root_path: str = ""


class Answer(Struct, frozen=True, gc=False):
    """A whole response. `headers` lack `content-length`."""

    status: int
    headers: Headers
    body: bytes = b""


class Events(ABC):
    """A response (200) whose body is a stream of server-sent events.

    Attributes:
        headers: of the response.
        opening: sent at once, before everything else; may be empty.
    """

    headers: Headers
    opening: bytes

    @abstractmethod
    async def next_chunk(self) -> bytes | None:
        """Whole events, or a comment when there were none for a while; None at the end.

        Where there is something to be read, it is returned without a checkpoint: what follows
        is that it is sent.
        """

    @abstractmethod
    def leave(self) -> None:
        """This response ends here, whether all was read or not. Must be called."""


class Waiting(ABC):
    """A response that is not decided yet. It waits; how long is for the way in to say."""

    __slots__ = ()

    @abstractmethod
    async def outcome(self) -> Answer | Events:
        """Wait for it. May be cancelled and called again."""

    @abstractmethod
    def commit(self) -> Events | None:
        """Decide for an event stream, after `KEEP_ALIVE_S` of silence.

        None where the client takes none; it has to wait for its answer.
        """

    @abstractmethod
    def abandon(self) -> None:
        """The client is gone, or this task ends: nobody will read the outcome.

        Must be called if neither `outcome` nor `commit` has returned one.
        """


class Endpoint(Protocol):
    """The logic behind a listening socket."""

    async def respond(self, request: HttpRequest) -> Answer | Events | Waiting:
        """Take one request; what is wrong with it becomes an answer.

        Raises:
            ClientGone: its connection closed before its body was read.
        """
        ...

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """What has to go on beside the requests; until cancelled."""
        ...

    def end(self) -> None:
        """End every stream and session; whoever asks from here on is told to come back later."""
        ...


# --- Answers ---------------------------------------------------------------------------------


def json_answer(body: bytes, status: int = 200, extra: Headers = ()) -> Answer:
    """An answer whose body is JSON."""
    return Answer(status, (JSON_TYPE, NOSNIFF, *extra), body)


def empty_answer(status: int) -> Answer:
    """An answer without a body."""
    return Answer(status, (NOSNIFF,))


def refusal(refused: HttpRefusal) -> Answer:
    """The answer to a request that is not let in."""
    extra = tuple((k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in refused.headers)
    return json_answer(msgspec.json.encode({"detail": refused.detail}), refused.status, extra)


def rejection(rejected: Rejected) -> Answer:
    """The answer to a message that is not taken."""
    return json_answer(json_rpc.encode(rejected.error), rejected.status)


# --- Request headers -------------------------------------------------------------------------


def headers_of(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Request headers as one dict; repeated ones are joined (RFC 9110 section 5.3).

    Those of MCP are no lists, and others on the way may have read only one of them: they are joined
    with what cannot be in a header, so that they never equal one that was sent once.

    Args:
        pairs: as they came in, names in lower case.

    Raises:
        Refused: 400, two `Host` headers (RFC 9112 section 3.2), or two ways to tell the length of
            the body, on which this server and a proxy might disagree (RFC 9112 section 6.3).
    """
    headers: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if name in headers:
            if name == "host":
                raise HttpRefusal(400, "More than one Host header", (("Connection", "close"),))
            separator = "\n" if name.startswith("mcp-") else ", "
            value = f"{headers[name]}{separator}{value}"
        headers[name] = value
    if "transfer-encoding" in headers and "content-length" in headers:
        problem = "Both Content-Length and Transfer-Encoding"
        raise HttpRefusal(400, problem, (("Connection", "close"),))
    return headers


@attrs.frozen
class Accepts:
    """What kinds of answer a client takes.

    Attributes:
        json: an `application/json` body.
        events: a `text/event-stream`, said in so many words. A wildcard does not count: whoever
            sends `*/*` to a JSON endpoint (curl does) reads one body.
        wildcard: anything would do.
    """

    json: bool
    events: bool
    wildcard: bool


@lru_cache(maxsize=64)  # clients send very few different ones, and each of them all the time
def accepts(header: str | None) -> Accepts:
    """Read an `Accept` header (RFC 9110 section 12.5.1); None is no header: anything."""
    kinds = {
        part.partition(";")[0].strip().lower()
        for part in ("*/*" if header is None else header).split(",")
    }
    wildcard = "*/*" in kinds
    return Accepts(
        json=wildcard or bool(kinds & {"application/json", "application/*"}),
        events=bool(kinds & {"text/event-stream", "text/*"}),
        wildcard=wildcard,
    )


def is_json(content_type: str | None) -> bool:
    """Does this `Content-Type` name JSON?"""
    if content_type == "application/json":
        return True
    return (content_type or "").partition(";")[0].strip().lower() == "application/json"


# --- Server-sent events ----------------------------------------------------------------------

KEEP_ALIVE_S: Final = 15.0
"""Silence on a stream before a comment is sent; proxies cut at 30 s or later."""

KEEP_ALIVE: Final = b": keep-alive\n"
"""A comment is a line; no blank line follows, on which some clients would see an empty event."""


def event(data: bytes, kind: bytes = b"message", event_id: bytes = b"") -> bytes:
    """One event (WHATWG HTML, Server-sent events).

    Args:
        data: one line, with or without its newline.
    """
    head = (
        b"event: %b\nid: %b\ndata: " % (kind, event_id) if event_id else b"event: %b\ndata: " % kind
    )
    return head + data.rstrip(b"\n") + b"\n\n"


# --- What a listener has to know of a message -------------------------------------------------


def batch_of(body: bytes, revision: str) -> list[Frame]:
    """The messages of a batch from a session of this revision (empty: not from a session).

    Raises:
        FrameError: it is no batch of messages, or it must not be one.
    """
    messages = [
        json_rpc.decode_from_client(one) for one in json_rpc.batch_from_client(body, revision)
    ]
    if any(isinstance(one, Request) and one.method == "initialize" for one in messages):
        # MCP 2025-03-26, Lifecycle: "The initialize request MUST NOT be part of a JSON-RPC batch".
        raise json_rpc.FrameError(INVALID_REQUEST, "Invalid request: initialize in a batch")
    return messages


class _Agreed(Struct):
    protocolVersion: str = ""


class _Coded(Struct):
    code: int = 0


_agreed: Final = msgspec.json.Decoder(_Agreed)
_coded: Final = msgspec.json.Decoder(_Coded)


def revision_of(result: Raw) -> str:
    """The protocol revision in the result of `initialize`; empty where there is none."""
    try:
        return _agreed.decode(result).protocolVersion
    except msgspec.MsgspecError:
        return ""


def code_of(error: Raw) -> int:
    """The code of a raw JSON-RPC error; 0 where there is none."""
    try:
        return _coded.decode(error).code
    except msgspec.MsgspecError:
        return 0

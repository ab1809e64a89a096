"""The request that goes into an endpoint, and the response that comes out of it.

An endpoint takes an `HttpRequest` and returns an `Answer`, an `EventStream`, or a `PendingResponse`
that becomes one of the two. No I/O.

Invariants:

- An endpoint never touches a connection, so any server can carry it.
- Every answer has `X-Content-Type-Options: nosniff`.
- Header names are lower case.
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
from transports import json_rpc

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from router.messages.frames import ErrorResponse, RequestId
    from transports.listen.serving.unread_bytes import Peer, UnreadBytes

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]

Locate: TypeAlias = "Callable[[str, Iterable[tuple[bytes, bytes]]], tuple[str, str]]"
"""The IP address of the other end of a connection (empty for a Unix socket) and the headers of a
request -> the address of the client, and the path prefix that it sees."""

NOSNIFF: Final = (b"x-content-type-options", b"nosniff")
"""Keeps a browser from taking an answer for something else than its content type says."""

JSON_TYPE: Final = (b"content-type", b"application/json")


class ClientGone(Exception):
    """The client closed its connection before it was answered."""


@attrs.frozen
class Rejected(Exception):
    """A request that is answered with an HTTP error status and a JSON-RPC error as its body.

    The MCP transports reject a message in this way. `HttpRefusal` is for a request whose HTTP part
    is wrong.

    Attributes:
        status: the HTTP status.
        error: the body.
    """

    status: int
    error: ErrorResponse

    @classmethod
    def because(cls, status: int, message: str, request_id: RequestId | None = None) -> Rejected:
        """Return a rejection with the code -32600 (invalid request)."""
        return cls(status, json_rpc.FrameError(INVALID_REQUEST, message, request_id).to_frame())


class HttpRequest(Struct, frozen=True, gc=False):
    """A request of which only the head has been read.

    Attributes:
        method: in upper case, such as `POST`.
        path: without `root_path` in front.
        headers: names in lower case; see `headers_of`.
        read_body: returns the whole body; raises `HttpRefusal` (408, 413) or `ClientGone`.
        query: everything behind the `?`, still encoded.
        root_path: the path at which the application is mounted, such as a reverse proxy's prefix.
        peer: the other end of the connection, if the server tells; the endpoint says whose it is.
        address: the IP address of the client, as far as trusted proxies tell; empty without one.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    read_body: Callable[[], Awaitable[bytes]]
    query: str = ""
    root_path: str = ""
    peer: Peer | None = None
    address: str = ""


class Answer(Struct, frozen=True, gc=False):
    """A whole response; the server adds `content-length` to the headers."""

    status: int
    headers: Headers
    body: bytes = b""


class EventStream(ABC):
    """A response with status 200 whose body is a stream of server-sent events.

    Attributes:
        headers: of the response.
        opening: bytes that are sent before all events; may be empty.
        peer: the other end of the connection that reads the stream; set by the server if it knows.
    """

    headers: Headers
    opening: bytes
    peer: Peer | None = None

    @abstractmethod
    async def next_chunk(self) -> bytes | None:
        """Return the next bytes of the body, or None at the end.

        The bytes are whole events, or a keep-alive comment after a silence. Events that are there
        already are returned without a checkpoint: sending them is one.
        """

    @abstractmethod
    def close(self) -> None:
        """End this response, whether everything was read or not. The server must call this."""


class PendingResponse(ABC):
    """A response that is not known yet; the server decides how long it waits."""

    __slots__ = ()

    @abstractmethod
    async def outcome(self) -> Answer | EventStream:
        """Wait for the response. A cancelled call can be repeated."""

    @abstractmethod
    def commit(self) -> EventStream | None:
        """Make the response an event stream, because the client has waited in silence for long.

        None means that the client accepts no event stream and has to wait for its answer.
        """

    @abstractmethod
    def abandon(self) -> None:
        """Give up the response: its client is gone, or the server's task ends.

        The server must call this unless `outcome` or `commit` has returned a response.
        """


class Endpoint(Protocol):
    """The logic behind a listening socket.

    Attributes:
        unread: bounds what is held for its clients; `run` runs it.
    """

    unread: UnreadBytes

    async def respond(self, request: HttpRequest) -> Answer | EventStream | PendingResponse:
        """Take one request; a request that is wrong gets an answer too.

        Raises:
            ClientGone: the connection closed before the body was read.
        """
        ...

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Do the endpoint's background work until cancelled."""
        ...

    def end(self) -> None:
        """End every stream and session; answer later requests with 503."""
        ...


# --- Answers ---------------------------------------------------------------------------------


def json_answer(body: bytes, status: int = 200, extra: Headers = ()) -> Answer:
    """Return an answer whose body is JSON; `extra` are more headers."""
    return Answer(status, (JSON_TYPE, NOSNIFF, *extra), body)


def empty_answer(status: int) -> Answer:
    """Return an answer without a body."""
    return Answer(status, (NOSNIFF,))


def error_answer(error: HttpRefusal | Rejected | json_rpc.FrameError) -> Answer:
    """Return the answer to a request that is not taken.

    The body is `{"detail": ...}` if the HTTP part is refused, else a JSON-RPC error. A message that
    cannot be decoded (`FrameError`) is 400.
    """
    if isinstance(error, HttpRefusal):
        extra = tuple((k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in error.headers)
        return json_answer(msgspec.json.encode({"detail": error.detail}), error.status, extra)
    if isinstance(error, json_rpc.FrameError):
        return json_answer(json_rpc.encode(error.to_frame()), 400)
    return json_answer(json_rpc.encode(error.error), error.status)


# --- Request headers -------------------------------------------------------------------------


def headers_of(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return request headers as one dict; repeated headers are joined (RFC 9110 section 5.3).

    MCP's headers are not lists, and a proxy may have read only one of several. They are joined with
    a newline, which no header contains, so the result never equals a value that was sent once.

    Args:
        pairs: names and values as they were received, names in lower case.

    Raises:
        HttpRefusal: 400, for two `Host` headers (RFC 9112 section 3.2), or for both
            `Content-Length` and `Transfer-Encoding`: a proxy could see another end of the body than
            this server (RFC 9112 section 6.3).
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


class Accepts(Struct, frozen=True):
    """The kinds of response that a client takes.

    Attributes:
        json: an `application/json` body.
        events: a `text/event-stream`. A wildcard does not count: a client that sends `*/*` to a
            JSON endpoint, as curl does, reads one body.
        wildcard: any kind.
        error_statuses: the body of an answer with 429 is read, as that of any other answer.
    """

    json: bool
    events: bool
    wildcard: bool
    error_statuses: bool = True


_ENDS_ON_ERROR_STATUSES: Final = "python-httpx/"
"""Begins the `User-Agent` of the Python SDK before 2.0, which has no name of its own there. It ends
the whole session on any error status but 404, and its program never sees the error."""


@lru_cache(maxsize=64)  # each client sends the same headers again and again
def parse_accept(header: str | None, user_agent: str = "") -> Accepts:
    """Read an `Accept` header (RFC 9110 section 12.5.1); None, no header, accepts anything."""
    kinds = {
        part.partition(";")[0].strip().lower()
        for part in ("*/*" if header is None else header).split(",")
    }
    wildcard = "*/*" in kinds
    return Accepts(
        json=wildcard or bool(kinds & {"application/json", "application/*"}),
        events=bool(kinds & {"text/event-stream", "text/*"}),
        wildcard=wildcard,
        error_statuses=not user_agent.startswith(_ENDS_ON_ERROR_STATUSES),
    )


def is_json(content_type: str | None) -> bool:
    """Return whether this `Content-Type` is JSON."""
    if content_type == "application/json":  # nearly every request, and no string is built
        return True
    return (content_type or "").partition(";")[0].strip().lower() == "application/json"

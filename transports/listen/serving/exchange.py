"""The request that goes into an endpoint, and the response that comes out of it.

An endpoint takes an `HttpRequest` and returns an `Answer`, an `EventStream`, or a `PendingResponse`
that becomes one of the two. No I/O.

Invariants:

- An endpoint never touches a connection, so any server can carry it.
- Every answer has `X-Content-Type-Options: nosniff`.
- Header names are lower case.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

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

Take: TypeAlias = "Callable[[KnownHead, bytes, str], Answer | PendingResponse | None]"
"""See `KnownHead.take`."""

NOSNIFF: Final = (b"x-content-type-options", b"nosniff")
"""Keeps a browser from taking an answer for something else than its content type says."""

JSON_TYPE: Final = (b"content-type", b"application/json")

UNWATCHED_S: Final = 0.25
"""Most answers come within this time, and watching a connection costs more than such an answer."""


class ClientGone(Exception):
    """The client closed its connection before it was answered."""


class Rejected(Exception):
    """A request that is answered with an HTTP error status and a JSON-RPC error as its body.

    The MCP transports reject a message in this way. `HttpRefusal` is for a request whose HTTP part
    is wrong.

    Attributes:
        status: the HTTP status.
        error: the body.
    """

    def __init__(self, status: int, error: ErrorResponse) -> None:
        super().__init__(status, error)
        self.status = status
        self.error = error

    @classmethod
    def because(cls, status: int, message: str, request_id: RequestId | None = None) -> Rejected:
        """Return a rejection with the code -32600 (invalid request)."""
        return cls(status, json_rpc.FrameError(INVALID_REQUEST, message, request_id).to_frame())


class KnownHead:
    """Keeps what an endpoint has concluded from a head, for the next request with the same head.

    A client sends the same head with nearly all its requests. To admit it again each time would
    cost as much as to route the call.

    Attributes:
        take: this object, the body and the address of a further request with this head -> its
            response. It waits for nothing, and returns None if `Endpoint.respond` has to decide.
            None if the endpoint has no such function.
    """

    __slots__ = ("_address", "_conclusions", "_rules", "take")

    def __init__(self) -> None:
        self._conclusions: Any = None
        self._rules: object = None
        self._address = ""
        self.take: Take | None = None

    def keep(
        self, conclusions: object, rules: object, address: str, take: Take | None = None
    ) -> None:
        """Keep conclusions, which hold for these rules and this address of the client."""
        self._conclusions, self._rules, self._address = conclusions, rules, address
        self.take = take

    def forget(self) -> None:
        """Keep nothing, because the conclusions do not hold any more."""
        self.keep(None, None, "")

    def conclusions(self, rules: object, address: str) -> Any:
        """Return what is kept; None if it was concluded by other rules, or of another address."""
        return self._conclusions if rules is self._rules and address == self._address else None


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
        known_head: is the same for all requests of a connection that have the same head; None if
            the server does not compare them.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    read_body: Callable[[], Awaitable[bytes]]
    query: str = ""
    root_path: str = ""
    peer: Peer | None = None
    address: str = ""
    known_head: KnownHead | None = None


class Answer(Struct, frozen=True, gc=False):
    """A whole response; the server adds `content-length` to the headers."""

    status: int
    headers: Headers
    body: bytes = b""


class EventStream:
    """A response with status 200 whose body is a stream of server-sent events.

    Attributes:
        headers: of the response.
        opening: bytes that are sent before all events; may be empty.
        peer: the other end of the connection that reads the stream; set by the server if it knows.
    """

    headers: Headers
    opening: bytes
    peer: Peer | None = None

    async def next_chunk(self) -> bytes | None:
        """Return the next bytes of the body, or None at the end.

        The bytes are whole events, or a keep-alive comment after a silence. Events that are there
        already are returned without a checkpoint.
        """
        raise NotImplementedError

    def take_whole(self, limit_bytes: int) -> bytes | None:
        """Return the whole body, `opening` too, if it is there already; the stream is closed then.

        None means that it is not, or larger than `limit_bytes`; then `next_chunk` returns it.
        """
        return None

    def close(self) -> None:
        """End this response, whether everything was read or not. The server must call this."""
        raise NotImplementedError


class PendingResponse:
    """A response that is not known yet; the server decides how long it waits.

    No abstract base class: to ask for one with `isinstance` costs several times as much.
    """

    __slots__ = ()

    def notify(self, changed: Callable[[], None]) -> bool:
        """Have a function called once `decided` is worth a look; return whether that can be had.

        It is called once: when the response is decided, at once if it is already, or when it has
        not been for `UNWATCHED_S` or somewhat longer. That happens in the task of whoever decides,
        so it must neither wait nor fail. If it cannot be had, `outcome` tells.
        """
        return False

    def decided(self) -> Answer | EventStream | None:
        """Return the response if it is decided, as `outcome` does; only in place of that."""
        return None

    async def prompt_outcome(self) -> Answer | EventStream | None:
        """Wait for the response; None if it has not come after `UNWATCHED_S` or somewhat later.

        The server then watches whether the client is still there.
        """
        with trio.move_on_after(UNWATCHED_S):
            return await self.outcome()
        return None

    async def outcome(self) -> Answer | EventStream:
        """Wait for the response. A cancelled call can be repeated."""
        raise NotImplementedError

    def commit(self) -> EventStream | None:
        """Make the response an event stream, because the client has waited in silence for long.

        None means that the client accepts no event stream and has to wait for its answer.
        """
        raise NotImplementedError

    def abandon(self) -> None:
        """Give up the response: its client is gone, or the server's task ends.

        The server must call this unless `outcome` or `commit` has returned a response.
        """
        raise NotImplementedError


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


def accepts_of(headers: Mapping[str, str]) -> Accepts:
    """Return what the client of a POST accepts.

    Raises:
        HttpRefusal: 406 or 415, the client accepts no response, or its body is not JSON.
    """
    accepts = parse_accept(headers.get("accept"), headers.get("user-agent", ""))
    if not accepts.json and not accepts.events:
        raise HttpRefusal(406, "Accept must admit application/json or text/event-stream")
    if not is_json(headers.get("content-type")):
        raise HttpRefusal(415, "Content-Type must be application/json")
    return accepts


def require_events(accepts: Accepts) -> Accepts:
    """Return `accepts` with event streams, for a response that can be nothing else.

    Raises:
        HttpRefusal: 406, the client does not take event streams.
    """
    if not accepts.events and not accepts.wildcard:
        raise HttpRefusal(406, "Accept must admit text/event-stream")
    return msgspec.structs.replace(accepts, events=True)

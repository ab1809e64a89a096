"""Sends the router's own requests to an upstream, and brings each answer to the task that waits.

Invariants: the ids of these requests are odd (those of the dispatch actor are even). An answer that
nobody waits for, or that comes a second time, is dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
import trio
import trio.lowlevel
from msgspec import Raw, Struct, field

from router.messages.frames import ErrorResponse, Notification, Request, Response

if TYPE_CHECKING:
    from router.messages.frames import Frame, RequestId
    from transports.connect.session.frame_writer import FrameWriter

SHOWN_CHARS: Final = 300
"""Length of an upstream's own words in a reason or a log line."""

encode_json: Final = msgspec.json.encode
_error: Final = msgspec.json.Decoder(dict[str, Any])


class RequestRefused(Exception):
    """A request was answered with an error, or with a result that makes no sense.

    Attributes:
        reason: the upstream's own words, in one line.
        code: the JSON-RPC error code, 0 if there is none.
        data: the `data` of the error.
    """

    def __init__(self, reason: str, code: int = 0, data: Any = None) -> None:
        super().__init__(reason, code, data)
        self.reason = reason
        self.code = code
        self.data = data

    def __str__(self) -> str:
        return self.reason


class OpenRequest(Struct, eq=False):
    """A request that was sent.

    Attributes:
        id: its id.
        answer: its answer; None until that comes.
        answered: set when the answer comes.
    """

    id: int
    answer: Response | ErrorResponse | None = None
    answered: trio.Event = field(default_factory=trio.Event)

    @property
    def is_answered(self) -> bool:
        """True once the answer is there."""
        return self.answer is not None

    def result(self) -> Raw:
        """Return the result.

        Raises:
            RequestRefused: the answer is an error.
        """
        if isinstance(self.answer, Response):
            return self.answer.result
        raise _request_refused(self.answer)


class SessionRequests(Struct, eq=False):
    """The requests that one incarnation of a session itself sends.

    Attributes:
        outbox: takes the frames that are to be sent to the upstream.
        client_meta: the `_meta` of each request (MCP 2026-07-28, Per-request protocol fields). None
            after a handshake, which has told the upstream the same once and for all.
        last_method: the method of the last request; empty before the first one.
    """

    outbox: FrameWriter
    client_meta: dict[str, Any] | None = None
    last_method: str = ""
    _open: dict[int, OpenRequest] = {}
    _next_id: int = 1
    _has_news: trio.Event = field(default_factory=trio.Event)

    async def send_request(self, method: str, params: dict[str, Any]) -> Raw:
        """Send a request, wait for its answer, and return the result.

        If this call is cancelled, the upstream is told to cancel the request.

        Raises:
            RequestRefused: the answer is an error.
        """
        request = await self.open(method, params)
        try:
            await request.answered.wait()
        except trio.Cancelled:
            self.cancel(request)
            raise
        self.forget(request)
        return request.result()

    async def open(self, method: str, params: dict[str, Any]) -> OpenRequest:
        """Send a request; the caller waits for its answer, and forgets or cancels it."""
        request = OpenRequest(self._next_id)
        self._next_id += 2
        if self.client_meta is not None:
            params = params | {"_meta": self.client_meta}
        self._open[request.id] = request
        self.last_method = method
        try:
            await self.outbox.put(Request(request.id, method, Raw(encode_json(params))))
        except BaseException:
            self.forget(request)
            raise
        return request

    async def wait_for_any(self, *requests: OpenRequest) -> None:
        """Wait until one of these requests is answered."""
        await trio.lowlevel.checkpoint()
        while not any(request.is_answered for request in requests):
            await self._has_news.wait()

    def forget(self, request: OpenRequest) -> None:
        """Wait no more for the answer to a request; a late one is dropped."""
        self._open.pop(request.id, None)

    def cancel(self, request: OpenRequest) -> None:
        """Forget a request, and tell the upstream so if it has not answered."""
        was_open = self._open.pop(request.id, None) is not None
        if was_open and not request.is_answered:
            cancelled = encode_json({"requestId": request.id, "reason": "It takes too long"})
            send_or_drop(self.outbox, Notification("notifications/cancelled", Raw(cancelled)))

    def is_own(self, request_id: RequestId | None) -> bool:
        """Return whether this is the id of a request of the session, not of the actor's."""
        return isinstance(request_id, int) and request_id % 2 == 1

    def take_answer(self, answer: Response | ErrorResponse) -> bool:
        """Take an answer to one of these requests; return False for any other answer.

        The id alone decides: an odd id is never the actor's, even if no such request is open.
        """
        if not self.is_own(answer.id):
            return False
        request = self._open.get(cast("int", answer.id))
        if request is not None and request.answer is None:
            request.answer = answer
            request.answered.set()
            self._has_news.set()
            self._has_news = trio.Event()
        return True


def send_or_drop(outbox: FrameWriter, frame: Frame) -> None:
    """Send a frame that may be lost: it is dropped when the upstream does not keep up."""
    try:
        outbox.put_nowait(frame)
    except trio.WouldBlock:
        return


def _request_refused(answer: ErrorResponse | None) -> RequestRefused:
    """Return the exception for an error, however malformed it is."""
    raw = b"" if answer is None else bytes(answer.error)
    try:
        error = _error.decode(raw)
        text = str(error["message"])
    except (msgspec.MsgspecError, KeyError):
        return RequestRefused(shorten(raw.decode(errors="replace")))
    code = error.get("code")
    return RequestRefused(shorten(text), code if isinstance(code, int) else 0, error.get("data"))


def shorten(text: str) -> str:
    """Return the text in one line, cut before the word in which it exceeds `SHOWN_CHARS`.

    Log filters mask whole secrets, so half a secret would get past them.
    """
    line = " ".join(text.split())
    if len(line) <= SHOWN_CHARS:
        return line
    return f"{line[: SHOWN_CHARS + 1].rpartition(' ')[0]}…"

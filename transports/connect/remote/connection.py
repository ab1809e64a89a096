"""The state of one connection to a remote upstream: open requests, received frames, and its end.

The HTTP side (`http_client`, `event_streams`) reports here, and `remote_wire` reads the result. No
HTTP and no SDK in here.

Invariants:

- Every request is answered at most once. An answer is dropped if its id is not open, or if its
  request was cancelled.
- The first reason for the end of the connection is the one that is kept.
- The answer to `initialize` is held back until the SDK has seen it as well: the next message needs
  the session id that the SDK takes from that answer.
"""

from __future__ import annotations

import logging
import math
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

import attrs
import msgspec
import trio
from msgspec import Raw, Struct

from router.messages.errors import TRANSPORT_ERROR, RpcError
from router.messages.frames import ErrorResponse, Notification, Request, RequestId, Response
from router.messages.revisions import NAMED_METHODS
from transports import json_rpc
from transports.connect.wire import Failure, Received, WireLost

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from router.messages.frames import Frame
    from transports.connect.credentials import LoginNeeded
    from transports.connect.remote.endpoint import RemoteEndpoint

T = TypeVar("T")

ABANDON_S: Final = 5.0
"""How long the response to a cancelled request stays open, so that its server may still end it."""

message_being_sent: ContextVar[OutgoingMessage] = ContextVar("message_being_sent")
"""The message that the SDK is sending.

The SDK runs the HTTP requests for a message in a task with the context of the task that gave it the
message. So the HTTP client finds the message here, although the SDK does not pass it on.
"""

log: Final = logging.getLogger("mcp_router.upstream")


class RequestAbandoned(Exception):
    """The request was cancelled, so its answer is not wanted any more."""


class _CancelledParams(Struct):
    requestId: RequestId  # MCP's name


@attrs.define(eq=False)
class OutgoingMessage:
    """One message to the upstream, and the HTTP requests made for it.

    Attributes:
        frame: the message.
        headers: the headers of a request of MCP 2026-07-28; None for all other messages.
        forwarded: more headers for its HTTP request, which came from the client of a call.
    """

    frame: Frame
    headers: Mapping[str, str] | None = None
    forwarded: Mapping[str, str] | None = None
    _scope: trio.CancelScope | None = attrs.field(default=None, init=False, repr=False)
    _deadline: float = attrs.field(default=math.inf, init=False, repr=False)

    @property
    def request(self) -> Request | None:
        """The message if it is a request, else None."""
        return self.frame if isinstance(self.frame, Request) else None

    @property
    def is_stateless(self) -> bool:
        """True for a request of MCP 2026-07-28: closing its response cancels it."""
        return self.headers is not None

    @property
    def is_initialize(self) -> bool:
        """True for the first message of a session."""
        return isinstance(self.frame, Request) and self.frame.method == "initialize"

    @property
    def is_initialized(self) -> bool:
        """True for the notification that must arrive before all later messages."""
        return (
            isinstance(self.frame, Notification)
            and self.frame.method == "notifications/initialized"
        )

    @property
    def is_of_client(self) -> bool:
        """True for a request that a client made, on which nothing but its answer depends."""
        return isinstance(self.frame, Request) and self.frame.method in NAMED_METHODS

    def abandon(self, after_s: float) -> None:
        """Stop waiting for the rest of the response in `after_s` seconds."""
        self._deadline = min(self._deadline, trio.current_time() + after_s)
        if self._scope is not None:
            self._scope.deadline = self._deadline

    async def wait_unless_abandoned(self, step: Callable[[], Awaitable[T]]) -> T:
        """Run `step`, which waits for a part of the response, and return its result.

        Raises:
            RequestAbandoned: the message was abandoned before or meanwhile.
        """
        with trio.CancelScope(deadline=self._deadline) as self._scope:
            return await step()
        raise RequestAbandoned


def _no_messages() -> dict[RequestId, OutgoingMessage]:
    return {}


@attrs.define(eq=False)
class RemoteConnection:
    """One attempt at a connection.

    Attributes:
        endpoint: the address of the upstream.
        inbox: takes the frames that come in.
        scope: surrounds everything that is done for the connection, and is cancelled at its end.
        open_streams: responses that are being read. While there is one, the upstream is alive.
        lost: the reason for the end of the connection, None before that.
        retry_after_s: as in `WireLost`.
        login: set if only a login at the upstream gets another connection.
        is_refused: True if the upstream does not speak this transport; another may be tried.
    """

    endpoint: RemoteEndpoint
    inbox: trio.MemorySendChannel[Received] = attrs.field(repr=False)
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False, repr=False)
    open_streams: int = attrs.field(default=0, init=False)
    lost: str | None = attrs.field(default=None, init=False)
    retry_after_s: float | None = attrs.field(default=None, init=False)
    login: LoginNeeded | None = attrs.field(default=None, init=False, repr=False)
    is_refused: bool = attrs.field(default=False, init=False)
    _open: dict[RequestId, OutgoingMessage] = attrs.field(factory=_no_messages, init=False)
    _held_answer: Received | None = attrs.field(default=None, init=False, repr=False)

    # --- Towards the upstream ----------------------------------------------------------------

    def register(self, message: OutgoingMessage) -> bool:
        """Register a message that is about to be sent.

        Returns:
            False if the message must not be sent: closing a response has done its work.
        """
        frame = message.frame
        if isinstance(frame, Request):
            self._open[frame.id] = message
        elif isinstance(frame, Notification) and frame.method == "notifications/cancelled":
            return self._abandon(frame)
        return True

    def _abandon(self, cancelled: Notification) -> bool:
        """Close the request that a notification cancels; return whether to send that too."""
        try:
            request_id = msgspec.json.decode(cancelled.params, type=_CancelledParams).requestId
        except msgspec.DecodeError:
            return True
        message = self._open.pop(request_id, None)
        if message is None:
            return True
        message.abandon(0 if message.is_stateless else ABANDON_S)
        return not message.is_stateless

    # --- From the upstream -------------------------------------------------------------------

    async def receive_json(self, data: bytes, message: OutgoingMessage | None) -> bool:
        """Take in one JSON text, a frame or a batch.

        Args:
            data: the text.
            message: the message on whose response the text came, None for any other stream.

        Returns:
            True if the text held the answer to `message`.
        """
        await trio.lowlevel.checkpoint()
        is_answered = False
        try:
            texts = json_rpc.split_batch(data) if json_rpc.is_batch(data) else [data]
            for text in texts:
                is_answered |= await self.receive_frame(json_rpc.decode(text), message)
        except json_rpc.FrameError as exc:
            log.warning("%s sent no JSON-RPC message: %s", self.endpoint.shown, exc)
        return is_answered

    async def receive_frame(
        self, frame: Frame, message: OutgoingMessage | None, failure: Failure | None = None
    ) -> bool:
        """Take in one frame; as `receive_json`.

        Args:
            frame: the frame.
            message: as in `receive_json`.
            failure: as in `Received`.
        """
        request = None if message is None else message.request
        related = None if request is None else request.id
        if not isinstance(frame, (Response, ErrorResponse)):
            await self.inbox.send(Received(frame, related))
            return False
        answer = _with_sent_id(frame, request)
        is_answer = answer.id is not None and answer.id == related
        if answer.id is None or self._open.pop(answer.id, None) is None:
            log.debug("%s answered what is not open", self.endpoint.shown)
            await trio.lowlevel.checkpoint()
        elif is_answer and message is not None and message.is_initialize:
            self._held_answer = Received(answer, related)
            await trio.lowlevel.checkpoint()
        else:
            await self.inbox.send(Received(answer, related, failure))
        return is_answer

    async def release_held_answer(self) -> None:
        """Pass on the answer to `initialize`, now that the SDK has seen it."""
        await trio.lowlevel.checkpoint()
        held, self._held_answer = self._held_answer, None
        if held is not None:
            await self.inbox.send(held)

    async def fail_request(self, request_id: RequestId | None, why: str, code: int) -> None:
        """Answer a request with an error of the SDK, if the request is still open."""
        await trio.lowlevel.checkpoint()
        message = None if request_id is None else self._open.get(request_id)
        if message is not None:
            sentence = f"{self.endpoint.shown}: {' '.join(why.split())}"
            await self.fail(message, sentence, code=code)

    async def fail(
        self,
        message: OutgoingMessage,
        sentence: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        code: int = TRANSPORT_ERROR,
        login_url: str | None = None,
    ) -> None:
        """Answer a message with an error, because no other answer will come.

        There is no session without an answer to `initialize`, so its failure ends the connection.

        Args:
            message: the message.
            sentence: the reason for the user.
            status: as in `Failure`.
            retry_after_s: as in `Failure`.
            code: the JSON-RPC error code.
            login_url: as in `Failure`.
        """
        await trio.lowlevel.checkpoint()
        if message.is_initialize:
            self.lose(sentence, retry_after_s)
        elif message.request is not None:
            data = {"login_url": login_url} if login_url else None
            failed = RpcError(code, sentence, data)
            failure = Failure(failed, status, retry_after_s, login_url=login_url)
            error = Raw(msgspec.json.encode({"code": code, "message": sentence}))
            frame = ErrorResponse(message.request.id, error)
            await self.receive_frame(frame, message, failure)
        else:
            log.warning("A message was not delivered: %s", sentence)

    def lose(self, reason: str, retry_after_s: float | None = None) -> None:
        """End the connection."""
        if self.lost is None:
            self.lost, self.retry_after_s = reason, retry_after_s
            self.scope.cancel()

    async def lose_to_login(self, needed: LoginNeeded, message: OutgoingMessage | None) -> NoReturn:
        """End the connection, as nothing goes on without a login.

        Args:
            needed: the reason.
            message: the message that was about to be sent, or was refused; None for no message.
                If it is a request it is answered before, because it was not carried out.
        """
        if message is not None and message.request is not None and not message.is_initialize:
            await self.fail(message, str(needed), status=401, login_url=needed.login_url)
        if self.lost is None:
            self.login = needed
        self.lose(str(needed))
        await trio.sleep_forever()  # Until that has cancelled this task, as all others.

    def wire_lost(self) -> WireLost | None:
        """Return the reason for the end of the connection as an exception; None before that."""
        if self.lost is None:
            return None
        if self.login is not None:
            return WireLost(self.lost, needs_login=True, login_url=self.login.login_url)
        return WireLost(self.lost, self.retry_after_s)

    def refuse(self, reason: str) -> None:
        """End the connection because the upstream does not speak this transport."""
        self.is_refused = self.lost is None
        self.lose(reason)


def _with_sent_id(
    answer: Response | ErrorResponse, request: Request | None
) -> Response | ErrorResponse:
    """Return the answer with the id as it was sent; some servers answer `5` with `"5"`."""
    if request is None or (answer.id is not None and str(answer.id) != str(request.id)):
        return answer
    return msgspec.structs.replace(answer, id=request.id)

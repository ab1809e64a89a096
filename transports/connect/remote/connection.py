"""The state of one connection to a remote upstream.

Job: which of our requests are open, where its frames go, and how it ends. Neighbours: `client`
and `events` (the HTTP side) report here, `remote` (the wire) reads here. No HTTP, no SDK.

Invariants:

- Every request is answered at most once. An answer whose id is not open is dropped, and so is
  one to a request that we cancelled.
- The first reason to end is the one that counts.
- The answer to `initialize` is held back until the SDK has seen it as well: what is sent next
  needs the session id that the SDK takes from it.
"""

from __future__ import annotations

import logging
import math
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, TypeVar

import attrs
import msgspec
import trio
from msgspec import Raw, Struct

from router.messages.errors import INTERNAL_ERROR
from router.messages.frames import ErrorResponse, Notification, Request, RequestId, Response
from transports import json_rpc
from transports.connect.wire import Received

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from router.messages.frames import Frame
    from transports.connect.remote.endpoint import Endpoint

T = TypeVar("T")

ABANDON_S: Final = 5.0
"""How long the response to a request that we cancelled is kept: its server may still end it."""

sending: ContextVar[OutgoingMessage] = ContextVar("sending")
"""What the SDK is sending: it carries the context of whoever gave it a message to the task that
makes the HTTP requests for this message."""

_log: Final = logging.getLogger("mcp_router.upstream")


class Abandoned(Exception):
    """Nobody waits for this answer any more."""


class _Cancelled(Struct):
    requestId: RequestId  # MCP's name


@attrs.define(eq=False)
class OutgoingMessage:
    """One message of ours and the HTTP requests made for it.

    Attributes:
        headers: what a request of MCP 2026-07-28 says in them; None with a session.
    """

    frame: Frame
    headers: Mapping[str, str] | None = None
    _scope: trio.CancelScope | None = attrs.field(default=None, init=False, repr=False)
    _deadline: float = attrs.field(default=math.inf, init=False, repr=False)

    @property
    def request(self) -> Request | None:
        """The message, where it is a request."""
        return self.frame if isinstance(self.frame, Request) else None

    @property
    def is_stateless(self) -> bool:
        """Is it a request that is over with its response, and cancelled by closing that?"""
        return self.headers is not None

    @property
    def is_initialize(self) -> bool:
        """Is it the first message of a session?"""
        return isinstance(self.frame, Request) and self.frame.method == "initialize"

    @property
    def is_initialized(self) -> bool:
        """Is it the notification that must arrive before everything after it?"""
        return (
            isinstance(self.frame, Notification)
            and self.frame.method == "notifications/initialized"
        )

    def abandon(self, after_s: float) -> None:
        """Wait for the rest of its response that much longer."""
        self._deadline = min(self._deadline, trio.current_time() + after_s)
        if self._scope is not None:
            self._scope.deadline = self._deadline

    async def wait(self, step: Callable[[], Awaitable[T]]) -> T:
        """Wait for `step`, a part of its answer.

        Raises:
            Abandoned: it was abandoned meanwhile, or before.
        """
        with trio.CancelScope(deadline=self._deadline) as self._scope:
            return await step()
        raise Abandoned


def _nothing_open() -> dict[RequestId, OutgoingMessage]:
    return {}


@attrs.define(eq=False)
class RemoteConnection:
    """One attempt at a connection.

    Attributes:
        endpoint: where to.
        scope: around everything that is done for it; cancelled when it is lost.
        streams: responses that are being read; while there is one, the upstream is alive.
        lost: why it ended, None while it has not.
        refused: it does not speak this transport; another may be tried.
    """

    endpoint: Endpoint
    inbox: trio.MemorySendChannel[Received] = attrs.field(repr=False)
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False, repr=False)
    streams: int = attrs.field(default=0, init=False)
    lost: str | None = attrs.field(default=None, init=False)
    refused: bool = attrs.field(default=False, init=False)
    _open: dict[RequestId, OutgoingMessage] = attrs.field(factory=_nothing_open, init=False)
    _held: Received | None = attrs.field(default=None, init=False, repr=False)

    # --- towards the upstream ---

    def start(self, exchange: OutgoingMessage) -> bool:
        """Take note of a message that is about to be sent; has it to be sent at all?"""
        frame = exchange.frame
        if isinstance(frame, Request):
            self._open[frame.id] = exchange
        elif isinstance(frame, Notification) and frame.method == "notifications/cancelled":
            return self._abandon(frame)
        return True

    def _abandon(self, cancelled: Notification) -> bool:
        """Drop a request of ours; has the upstream to be told in a message?"""
        try:
            request_id = msgspec.json.decode(cancelled.params, type=_Cancelled).requestId
        except msgspec.DecodeError:
            return True
        exchange = self._open.pop(request_id, None)
        if exchange is None:
            return True
        exchange.abandon(0 if exchange.is_stateless else ABANDON_S)
        return not exchange.is_stateless

    # --- from the upstream ---

    async def read(self, data: bytes, asked: OutgoingMessage | None) -> bool:
        """Take in one JSON text that came on the response to `asked`.

        Returns:
            Was the answer to `asked` in it?
        """
        await trio.lowlevel.checkpoint()
        answered = False
        try:
            texts = json_rpc.split_batch(data) if json_rpc.is_batch(data) else [data]
            for text in texts:
                answered |= await self.take(json_rpc.decode(text), asked)
        except json_rpc.FrameError as exc:
            _log.warning("%s sent no JSON-RPC message: %s", self.endpoint.shown, exc)
        return answered

    async def take(self, frame: Frame, asked: OutgoingMessage | None) -> bool:
        """Pass on a frame that came on the response to `asked`; was it the answer to it?"""
        request = None if asked is None else asked.request
        related = None if request is None else request.id
        if not isinstance(frame, (Response, ErrorResponse)):
            await self.inbox.send(Received(frame, related))
            return False
        answer = _addressed(frame, request)
        is_answer = answer.id is not None and answer.id == related
        if answer.id is None or self._open.pop(answer.id, None) is None:
            _log.debug("%s answered what is not open", self.endpoint.shown)
            await trio.lowlevel.checkpoint()
        elif is_answer and asked is not None and asked.is_initialize:
            self._held = Received(answer, related)
            await trio.lowlevel.checkpoint()
        else:
            await self.inbox.send(Received(answer, related))
        return is_answer

    async def release(self) -> None:
        """The SDK has seen an answer."""
        await trio.lowlevel.checkpoint()
        held, self._held = self._held, None
        if held is not None:
            await self.inbox.send(held)

    async def give_up(self, request_id: RequestId | None, why: str, code: int) -> None:
        """The SDK will get no answer to this request, and says why."""
        await trio.lowlevel.checkpoint()
        exchange = None if request_id is None else self._open.get(request_id)
        if exchange is not None:
            sentence = f"{self.endpoint.shown}: {' '.join(why.split())}"
            await self.fail(exchange, sentence, code)

    async def fail(
        self, exchange: OutgoingMessage, sentence: str, code: int = INTERNAL_ERROR
    ) -> None:
        """No answer to `exchange` will come: answer it with an error.

        Without an answer to `initialize` there is no session, so this ends the line.
        """
        await trio.lowlevel.checkpoint()
        if exchange.is_initialize:
            self.lose(sentence)
        elif exchange.request is not None:
            error = Raw(msgspec.json.encode({"code": code, "message": sentence}))
            await self.take(ErrorResponse(exchange.request.id, error), exchange)
        else:
            _log.warning("A message was not delivered: %s", sentence)

    def lose(self, reason: str) -> None:
        """It is over."""
        if self.lost is None:
            self.lost = reason
            self.scope.cancel()

    def refuse(self, reason: str) -> None:
        """The upstream does not speak this transport."""
        self.refused = self.lost is None
        self.lose(reason)


def _addressed(
    answer: Response | ErrorResponse, request: Request | None
) -> Response | ErrorResponse:
    """The answer with the id we sent, where the upstream wrote it differently (`5` as `"5"`)."""
    if request is None or (answer.id is not None and str(answer.id) != str(request.id)):
        return answer
    return msgspec.structs.replace(answer, id=request.id)

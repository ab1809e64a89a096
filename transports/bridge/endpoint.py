"""MCP messages to one place of a router, over streamable HTTP, and those that come back.

Invariants:

- `NotBegun` and `SessionUnknown` are raised only for a message that the router has not begun with,
  so it may be sent again. Everything else is the outcome of a message.
- The stream of an answer that breaks off is resumed where the router offers it (MCP 2025-11-25,
  Transports, Resumability and Redelivery).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from router.messages.frames import ErrorResponse
from transports import json_rpc
from transports.bridge.event_reader import EventReader, TooLarge
from transports.bridge.http_connection import BrokenOff, NotSent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from router.messages.frames import Frame
    from transports.bridge.http_connection import Exchange, Router

SESSION_HEADER: Final = "mcp-session-id"
EVENT_STREAM: Final = "text/event-stream"
NOT_BEGUN: Final = b"initialize again"
"""Stands in the router's answer to a message of a session that it does not know."""

_POST_HEADERS: Final = {
    "Content-Type": "application/json",
    "Accept": f"application/json, {EVENT_STREAM}",
}


class NotBegun(Exception):
    """The router is not there, or takes nothing at the moment."""


class SessionUnknown(Exception):
    """The router does not know the session: it is another process than before."""


class Refused(Exception):
    """The router refuses the message, as with 401.

    Attributes:
        status: of the answer.
    """

    def __init__(self, status: int, why: str) -> None:
        super().__init__(f"{status} {why}".rstrip())
        self.status = status


class _Detail(Struct):
    detail: str


def ignore_head(_: Mapping[str, str]) -> None:
    """Do nothing with the headers of a response."""


class Endpoint(Struct, frozen=True):
    """One place of a router.

    Attributes:
        router: the router.
        path: of the place, such as `/mcp`.
    """

    router: Router
    path: str

    async def post(
        self,
        frame: Frame,
        headers: Mapping[str, str],
        deliver: Callable[[Frame], Awaitable[bool]],
        on_head: Callable[[Mapping[str, str]], None] = ignore_head,
    ) -> None:
        """Send a message, and hand over what comes back until that is over.

        Args:
            frame: the message.
            headers: those of its era.
            deliver: takes each message; returns whether it is the answer, after which nothing else
                comes. An answer may have None as its id.
            on_head: takes the headers of a response that is no refusal, before its messages.

        Raises:
            NotBegun, SessionUnknown: see above.
            Refused: the router has refused the message.
            BrokenOff: the router may have begun with the message, and no answer will come.
        """
        body = json_rpc.encode(frame)
        try:
            sent = await self.router.exchange(
                "POST", self.path, _POST_HEADERS | dict(headers), body
            )
        except NotSent as exc:
            raise NotBegun(str(exc)) from None
        reader = EventReader()
        try:
            async with sent:
                has_session = SESSION_HEADER in headers
                await _take(sent, reader, deliver, on_head, has_session=has_session)
        except BrokenOff:
            if not reader.last_id or SESSION_HEADER not in headers:
                raise
            await self._resume(headers, reader, deliver)

    async def listen(
        self,
        headers: Mapping[str, str],
        reader: EventReader,
        deliver: Callable[[Frame], Awaitable[bool]],
        on_head: Callable[[Mapping[str, str]], None] = ignore_head,
    ) -> None:
        """Read the stream of a session, from the last event of `reader` on, until it ends.

        Raises:
            NotBegun, SessionUnknown, Refused, BrokenOff: as `post`.
        """
        accept = {"Accept": EVENT_STREAM}
        if reader.last_id:
            accept["Last-Event-ID"] = reader.last_id
        try:
            sent = await self.router.exchange("GET", self.path, accept | dict(headers))
        except NotSent as exc:
            raise NotBegun(str(exc)) from None
        async with sent:
            await _take(sent, reader, deliver, on_head, has_session=True, is_answer=False)

    async def delete(self, headers: Mapping[str, str]) -> None:
        """End a session; raises `NotSent` or `BrokenOff`."""
        async with await self.router.exchange("DELETE", self.path, headers) as sent:
            await sent.read()

    async def _resume(
        self,
        headers: Mapping[str, str],
        reader: EventReader,
        deliver: Callable[[Frame], Awaitable[bool]],
    ) -> None:
        """Read the rest of an answer on another connection; one try, since a process may be gone.

        Raises:
            BrokenOff: the rest cannot be had.
        """
        stream = reader.last_id.partition("-")[0]
        again = EventReader()
        again.last_id = reader.last_id

        async def deliver_own(frame: Frame) -> bool:
            if again.last_id.partition("-")[0] != stream:
                raise BrokenOff("its answer cannot be read on")
            return await deliver(frame)

        try:
            await self.listen(headers, again, deliver_own)
        except (NotBegun, SessionUnknown, Refused) as exc:
            raise BrokenOff(str(exc)) from None


async def _take(
    sent: Exchange,
    reader: EventReader,
    deliver: Callable[[Frame], Awaitable[bool]],
    on_head: Callable[[Mapping[str, str]], None],
    *,
    has_session: bool,
    is_answer: bool = True,
) -> None:
    """Take a response; `is_answer` says that it may be the answer to a message."""
    if sent.status == 200:
        on_head(sent.headers)
        if _is_event_stream(sent):
            await _read_events(sent, reader, deliver)
            return
    body = await sent.read()
    if sent.status in (202, 204):
        return
    frame = _frame_in(body)
    if frame is not None and sent.status == 404 and has_session:
        if NOT_BEGUN in body:
            raise SessionUnknown
        raise BrokenOff("its session has ended")
    if frame is None or not is_answer:
        raise _refusal(sent.status, body)
    await deliver(frame)


def _is_event_stream(sent: Exchange) -> bool:
    kind, _, _ = sent.headers.get("content-type", "").partition(";")
    return kind.strip().lower() == EVENT_STREAM


async def _read_events(
    sent: Exchange, reader: EventReader, deliver: Callable[[Frame], Awaitable[bool]]
) -> None:
    try:
        while chunk := await sent.next_chunk():
            for event in reader.feed(chunk):
                if event.kind == "message" and await _deliver(event.data, deliver):
                    return
    except TooLarge:
        raise BrokenOff("it sent too large a message") from None


async def _deliver(data: bytes, deliver: Callable[[Frame], Awaitable[bool]]) -> bool:
    try:
        frame = json_rpc.decode(data)
    except json_rpc.FrameError as exc:
        raise BrokenOff(f"it sent what is no message: {exc}") from None
    return await deliver(frame)


def _frame_in(body: bytes) -> Frame | None:
    try:
        return json_rpc.decode(body)
    except json_rpc.FrameError:
        return None


def _refusal(status: int, body: bytes) -> NotBegun | Refused:
    try:
        detail = msgspec.json.decode(body, type=_Detail).detail
    except msgspec.MsgspecError:
        return Refused(status, "")
    # A router that stops or has no room answers so before it begins with anything.
    return NotBegun(detail) if status == 503 else Refused(status, detail)


def with_id(frame: Frame, request_id: int | str) -> Frame:
    """Return an error that could not name its request with the id of that request."""
    if isinstance(frame, ErrorResponse) and frame.id is None:
        return ErrorResponse(request_id, frame.error)
    return frame

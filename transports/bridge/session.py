"""The session of a client that does a handshake, kept up while routers come and go.

A router that is another process does not know the session. Then a new one is begun with the
client's own `initialize`, and what the client has told the old router is told once more: its level
of logging and its subscriptions. The client is told that all lists may have changed.

Invariants:

- A question of a router that is gone is cancelled, and its answer goes to no other router.
- The client sees one session, whatever happens behind it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec
import trio
from msgspec import Raw, Struct

from router.messages.frames import ErrorResponse, Notification, Request, Response
from router.messages.params import object_of
from transports.bridge.endpoint import NotBegun, Refused, SessionUnknown
from transports.bridge.event_reader import EventReader
from transports.bridge.http_connection import BrokenOff, NotSent
from transports.bridge.patience import Unreachable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from router.messages.frames import Frame, RequestId
    from transports.bridge.client_output import ClientOutput
    from transports.bridge.endpoint import Endpoint
    from transports.bridge.patience import Patience

OWN_ID: Final = "mcp-router-connect"
"""The id of the bridge's own requests; each is alone on its connection."""

MOST_RENEWALS: Final = 3
"""A message that finds its session gone so often is answered with an error."""

SHORTEST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 1.0
"""The pauses before the stream of the session is opened again."""

REFUSED_PAUSE_S: Final = 10.0
"""The pause after the router has refused that, as with a token that is not valid any more."""

TAKEN_S: Final = 5.0
"""How long a router may take to take a notification or an answer. Meanwhile nothing else is read
from the client, not even its end."""

_LISTS: Final = ("tools", "prompts", "resources")
_REPLAYED: Final = {"resources/subscribe": "uri", "resources/unsubscribe": "uri"}


class _Result(Struct):
    protocolVersion: str = ""
    capabilities: dict[str, Any] = {}


def _result_in(answer: Response) -> _Result:
    """Return what the answer to `initialize` says; raises `BrokenOff`."""
    with suppress(msgspec.MsgspecError):
        result = msgspec.json.decode(answer.result, type=_Result)
        revision = result.protocolVersion  # which becomes a header
        if revision.isascii() and revision.isprintable():
            return result
    raise BrokenOff("its answer to initialize is none")


class Session:
    """A session.

    Args:
        endpoint: the place of the router.
        initialize: the client's request.
        output: takes what the router says.
        patience: with the router.

    Attributes:
        is_begun: the client has sent `notifications/initialized`.
    """

    def __init__(
        self, endpoint: Endpoint, initialize: Request, output: ClientOutput, patience: Patience
    ) -> None:
        self.is_begun = False
        self._endpoint = endpoint
        self._initialize = initialize
        self._output = output
        self._patience = patience
        self._id: str = ""
        self._result = _Result()
        self._number: int = 0  # of the session behind this one
        self._level: Raw | None = None
        self._subscribed: dict[str, Raw] = {}
        self._questions: dict[RequestId, RequestId] = {}  # as the client knows them -> the router
        self._renewing = trio.Lock()
        self._is_over = False

    @property
    def is_open(self) -> bool:
        """Return whether there is a session, or was one before the router went."""
        return bool(self._result.protocolVersion)

    @property
    def revision(self) -> str:
        """The revision that was agreed on; empty before that."""
        return self._result.protocolVersion

    @property
    def headers(self) -> dict[str, str]:
        """The headers of each message."""
        headers = {"mcp-session-id": self._id} if self._id else {}
        if self._result.protocolVersion:
            headers["MCP-Protocol-Version"] = self._result.protocolVersion
        return headers

    # --- Its beginnings ---

    async def open(self) -> Frame:
        """Begin the session; return the answer to the client's request.

        Raises:
            Unreachable, Refused, BrokenOff: there is no answer.
        """
        return await self._patience.until_begun(lambda: self._handshake(self._initialize.id))

    async def _handshake(self, request_id: RequestId) -> Frame:
        answers: list[Frame] = []

        async def deliver(frame: Frame) -> bool:
            if isinstance(frame, (Response, ErrorResponse)):
                answers.append(frame)
                await trio.lowlevel.checkpoint()
                return True
            await self._output.send(frame)
            return False

        session_id = ""

        def note_head(headers: Mapping[str, str]) -> None:
            nonlocal session_id
            session_id = headers.get("mcp-session-id", "")

        request = Request(request_id, "initialize", self._initialize.params)
        await self._endpoint.post(request, {}, deliver, note_head)
        if not answers:
            raise BrokenOff("it gave no answer")
        if isinstance(answers[0], Response):
            self._result = _result_in(answers[0])
            self._id = session_id
        return answers[0]

    async def renew(self, number: int) -> None:
        """Begin a session in place of the one with this number, unless somebody did already.

        Raises:
            Unreachable, Refused: it cannot be had.
        """
        async with self._renewing:
            if number != self._number:
                return
            await self._forget_questions()
            former = self._id, self._result
            try:
                await self._patience.until_begun(self._begin_again)
            except BaseException:
                # Such as of a request that is cancelled meanwhile. Whatever was begun is only half
                # told, so the next message shall find its session gone as well.
                self._id, self._result = former
                raise
            self._number += 1
            if self.is_begun:
                lists = (name for name in _LISTS if self._has_changing(name))
                changed = [Notification(f"notifications/{name}/list_changed") for name in lists]
                await self._output.send(*changed)

    async def _begin_again(self) -> None:
        try:
            await self._endpoint.router.forget_connections()
            answer = await self._handshake(OWN_ID)
            if isinstance(answer, ErrorResponse):
                raise Refused(200, bytes(answer.error).decode())
            if self.is_begun:
                await self._tell(Notification("notifications/initialized"))
            if self._level is not None:
                await self._tell(Request(OWN_ID, "logging/setLevel", self._level))
            for params in list(self._subscribed.values()):
                await self._tell(Request(OWN_ID, "resources/subscribe", params))
        except (BrokenOff, SessionUnknown) as exc:
            # Nobody is harmed by one more beginning.
            raise NotBegun(str(exc) or "it has ended again") from None

    async def _tell(self, frame: Frame) -> None:
        async def deliver(came: Frame) -> bool:
            if isinstance(came, (Response, ErrorResponse)):
                await trio.lowlevel.checkpoint()
                return True
            await self.take(came)
            return False

        await self._endpoint.post(frame, self.headers, deliver)

    def _has_changing(self, name: str) -> bool:
        capability = self._result.capabilities.get(name)
        return isinstance(capability, dict) and "listChanged" in capability

    # --- What the client says ---

    async def ask(self, frame: Frame, deliver: Callable[[Frame], Awaitable[bool]]) -> None:
        """Send a message of the client's, once there is a session for it.

        Raises:
            Unreachable, Refused, BrokenOff: there will be no answer.
        """

        async def attempt() -> None:
            await self._endpoint.post(frame, self.headers, deliver)

        for _ in range(MOST_RENEWALS):
            async with self._renewing:
                number = self._number  # while it is renewed, nothing is sent
            try:
                await self._patience.until_begun(attempt)
            except SessionUnknown:
                await self.renew(number)
            else:
                return
        raise Unreachable("The session ends again and again")

    async def notify(self, frame: Notification) -> None:
        """Send a notification; where the router is gone, its sense is gone as well."""
        await self._send_if_there(frame)
        self.is_begun |= frame.method == "notifications/initialized"

    async def answer(self, frame: Response | ErrorResponse) -> None:
        """Send the answer to a question of the router, unless that router is gone."""
        asked = None if frame.id is None else self._questions.pop(frame.id, None)
        if asked is None:
            await trio.lowlevel.checkpoint()
            return
        await self._send_if_there(msgspec.structs.replace(frame, id=asked))

    async def _send_if_there(self, frame: Frame) -> None:
        async def deliver(_: Frame) -> bool:
            await trio.lowlevel.checkpoint()
            return True

        # The stream of the session notices that the router is gone.
        gone = suppress(NotBegun, SessionUnknown, Refused, BrokenOff)
        with trio.move_on_after(TAKEN_S), gone:
            await self._endpoint.post(frame, self.headers, deliver)
        await trio.lowlevel.checkpoint()

    def note_success(self, request: Request) -> None:
        """Remember what a router that comes next has to be told once more."""
        if request.method == "logging/setLevel":
            self._level = request.params
        elif request.method in _REPLAYED:
            uri = bytes(object_of(request.params).get("uri", Raw())).decode()
            self._subscribed.pop(uri, None)
            if request.method == "resources/subscribe":
                self._subscribed[uri] = request.params

    # --- What the router says ---

    async def take(self, frame: Frame) -> None:
        """Hand the client a message that answers nothing."""
        if isinstance(frame, Request):
            shown = self._shown_id(frame.id)
            self._questions[shown] = frame.id
            frame = msgspec.structs.replace(frame, id=shown)
        elif isinstance(frame, Notification) and frame.method == "notifications/cancelled":
            frame = self._shown_cancellation(frame)
        await self._output.send(frame)

    def _shown_id(self, request_id: RequestId) -> RequestId:
        """Return the id by which the client knows a question: each router counts from the start."""
        return request_id if self._number == 0 else f"{OWN_ID}-{self._number}-{request_id}"

    def _shown_cancellation(self, frame: Notification) -> Notification:
        members = object_of(frame.params)
        try:
            asked = msgspec.json.decode(members.get("requestId", b"null"), type=int | str)
        except msgspec.MsgspecError:
            return frame
        shown = self._shown_id(asked)
        self._questions.pop(shown, None)
        members["requestId"] = Raw(msgspec.json.encode(shown))
        return Notification(frame.method, Raw(msgspec.json.encode(members)))

    async def _forget_questions(self) -> None:
        gone, self._questions = self._questions, {}
        cancelled = [
            Notification(
                "notifications/cancelled",
                Raw(msgspec.json.encode({"requestId": shown, "reason": "The router has ended"})),
            )
            for shown in gone
        ]
        await self._output.send(*cancelled)

    async def listen(self) -> None:
        """Read what belongs to no request, through all sessions, until cancelled."""
        reader, number, pause_s = EventReader(), self._number, SHORTEST_PAUSE_S
        is_open = False

        def note_open(_: Mapping[str, str]) -> None:
            nonlocal is_open
            is_open = True
            self._patience.note_there()

        async def deliver(frame: Frame) -> bool:
            await self.take(frame)
            return False

        await trio.lowlevel.checkpoint()
        while not self._is_over:
            if number != self._number:
                reader, number = EventReader(), self._number
            is_open, began_s = False, trio.current_time()
            try:
                await self._listen_once(reader, deliver, note_open)
            except Refused as exc:
                if exc.status == 405:
                    return  # it has no such stream
                if exc.status != 409:  # another connection reads it, which will turn out to be dead
                    self._patience.note_gone(str(exc))
                    await trio.sleep(REFUSED_PAUSE_S)
            except (NotBegun, Unreachable) as exc:
                self._patience.note_gone(str(exc))
            except BrokenOff:
                pass
            # One that is opened and ends at once is asked for no faster than one that is refused.
            has_lasted = is_open and trio.current_time() - began_s > LONGEST_PAUSE_S
            pause_s = SHORTEST_PAUSE_S if has_lasted else min(2 * pause_s, LONGEST_PAUSE_S)
            await trio.sleep(pause_s)

    async def _listen_once(
        self,
        reader: EventReader,
        deliver: Callable[[Frame], Awaitable[bool]],
        note_open: Callable[[Mapping[str, str]], None],
    ) -> None:
        number = self._number
        try:
            await self._endpoint.listen(self.headers, reader, deliver, note_open)
        except SessionUnknown:
            await self.renew(number)

    async def close(self) -> None:
        """End the session, at the router as well if that is there."""
        await trio.lowlevel.checkpoint()
        self._is_over = True
        if self._id:
            with suppress(NotSent, BrokenOff):
                await self._endpoint.delete(self.headers)

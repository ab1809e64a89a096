"""The actor's side of a listener: a stand-in for the dispatch actor, and the frames it sends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypeVar

import trio
from msgspec import Raw

from router.messages.commands import Principal
from router.messages.errors import HttpRefusal
from router.messages.events import Event, FromClient
from router.messages.frames import ErrorResponse, Notification, Request, Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.messages.frames import Frame

E = TypeVar("E")

PROGRESS: Final = Notification("notifications/progress", Raw(b'{"progress":1}'))
CHANGED: Final = Notification("notifications/tools/list_changed")
QUESTION: Final = Request(1, "roots/list")


class FakeActor:
    """Keeps the events it gets; the test decides what it sends."""

    def __init__(self, size: int = 64) -> None:
        self.inbox, self._events = trio.open_memory_channel[Event](size)

    async def next(self, kind: type[E]) -> E:
        """Return the next event, which has to be of this kind."""
        with trio.fail_after(60):
            event = await self._events.receive()
        assert isinstance(event, kind), event
        return event

    def is_quiet(self) -> bool:
        """Return whether no event waits to be read."""
        return self._events.statistics().current_buffer_used == 0

    async def answer(self, result: Any = None) -> FromClient:
        """Answer the next request, which has to be the next event."""
        asked = await self.next(FromClient)
        assert isinstance(asked.frame, Request), asked
        asked.reply_to.send_nowait(response(asked.frame.id, result))
        return asked

    def die(self) -> None:
        """Break the channel to it."""
        self._events.close()


def admit(headers: Mapping[str, str], _address: str = "", _path: str = "") -> Principal:
    """Return the principal that `Authorization` names; refuse `nobody`."""
    name = headers.get("authorization", "")
    if name == "nobody":
        raise HttpRefusal(401, "Who are you?", (("WWW-Authenticate", "Bearer"),))
    return Principal(name)


def response(request_id: int | str, result: Any = None) -> Response:
    """Return a response with this result."""
    return Response(request_id, Raw(json.dumps(result or {}).encode()))


def failure(request_id: int | str, code: int) -> ErrorResponse:
    """Return an error response with this code."""
    return ErrorResponse(request_id, Raw(b'{"code":%d,"message":"no"}' % code))


def put(outbox: Any, *frames: Frame) -> None:
    """Send frames as the actor does."""
    for frame in frames:
        outbox.send_nowait(frame)

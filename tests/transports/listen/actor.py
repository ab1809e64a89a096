"""A stand-in for the dispatch actor, and short words for what listeners are asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypeVar

import trio
from msgspec import Raw

from router.messages.commands import Principal
from router.messages.errors import HttpRefusal
from router.messages.events import Event, FromClient
from router.messages.frames import ErrorResponse, Notification, Request, Response
from transports.listen.serving.exchange import Answer, EventStream, HttpRequest, PendingResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.messages.frames import Frame
    from transports.listen.serving.exchange import Endpoint

E = TypeVar("E")

JSON: Final = {"content-type": "application/json"}
BOTH: Final = {"accept": "application/json, text/event-stream"}
EVENTS: Final = {"accept": "text/event-stream"}
PROGRESS: Final = Notification("notifications/progress", Raw(b'{"progress":1}'))
CHANGED: Final = Notification("notifications/tools/list_changed")
QUESTION: Final = Request(1, "roots/list")


class Actor:
    """Keeps what it is told; the test decides what it says."""

    def __init__(self, size: int = 64) -> None:
        self.inbox, self._events = trio.open_memory_channel[Event](size)

    async def next(self, kind: type[E]) -> E:
        """The next event, which has to be of this kind."""
        with trio.fail_after(60):
            event = await self._events.receive()
        assert isinstance(event, kind), event
        return event

    def is_quiet(self) -> bool:
        """Has it been told nothing more?"""
        return self._events.statistics().current_buffer_used == 0

    async def answer(self, result: Any = None) -> FromClient:
        """Answer the next request, which has to be the next event."""
        asked = await self.next(FromClient)
        assert isinstance(asked.frame, Request), asked
        asked.reply_to.send_nowait(response(asked.frame.id, result))
        return asked

    def die(self) -> None:
        """Its channel breaks."""
        self._events.close()


def admit(headers: Mapping[str, str]) -> Principal:
    """`Authorization` names the principal; `nobody` is not let in."""
    name = headers.get("authorization", "")
    if name == "nobody":
        raise HttpRefusal(401, "Who are you?", (("WWW-Authenticate", "Bearer"),))
    return Principal(name)


def response(request_id: int | str, result: Any = None) -> Response:
    """A response with this result."""
    return Response(request_id, Raw(json.dumps(result or {}).encode()))


def failure(request_id: int | str, code: int) -> ErrorResponse:
    """An error response with this code."""
    return ErrorResponse(request_id, Raw(b'{"code":%d,"message":"no"}' % code))


def request(
    method: str, path: str, body: Any = b"", query: str = "", **headers: str
) -> HttpRequest:
    """A request; `_` in names of headers stands for `-`."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def read_body() -> bytes:
        await trio.lowlevel.checkpoint()
        return data

    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpRequest(method, path, names, read_body, query)


def message(method: str, request_id: int | str | None = None, **params: Any) -> dict[str, Any]:
    """A request, or without an id a notification."""
    known = {"jsonrpc": "2.0", "method": method, "params": params}
    return known if request_id is None else known | {"id": request_id}


async def answer_of(endpoint: Endpoint, asked: HttpRequest) -> Answer:
    """The whole answer to a request."""
    response = await endpoint.respond(asked)
    assert isinstance(response, Answer), response
    return response


async def waiting_of(endpoint: Endpoint, asked: HttpRequest) -> PendingResponse:
    """The promise of an answer to a request."""
    response = await endpoint.respond(asked)
    assert isinstance(response, PendingResponse), response
    return response


async def events_of(endpoint: Endpoint, asked: HttpRequest) -> EventStream:
    """The event stream that answers a request."""
    response = await endpoint.respond(asked)
    assert isinstance(response, EventStream), response
    return response


async def decided(waiting: PendingResponse, kind: type[E]) -> E:
    """What a response turned out to be."""
    with trio.fail_after(60):
        outcome = await waiting.outcome()
    assert isinstance(outcome, kind), outcome
    return outcome


async def chunk(events: EventStream) -> bytes | None:
    """The next chunk of a stream."""
    with trio.fail_after(60):
        return await events.next_chunk()


def data_of(chunk: bytes | None) -> list[Any]:
    """What the events of a chunk carry."""
    assert chunk is not None
    lines = [line for line in chunk.decode().splitlines() if line.startswith("data: {")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def ids_of(chunk: bytes | None) -> list[str]:
    """The ids of the events of a chunk."""
    assert chunk is not None
    return [line[4:] for line in chunk.decode().splitlines() if line.startswith("id: ")]


def detail(answer: Answer) -> str:
    """What a refusal says."""
    return json.loads(answer.body)["detail"]


def error(answer: Answer) -> dict[str, Any]:
    """The JSON-RPC error in an answer."""
    return json.loads(answer.body)["error"]


def put(outbox: Any, *frames: Frame) -> None:
    """What the actor does with frames."""
    for frame in frames:
        outbox.send_nowait(frame)

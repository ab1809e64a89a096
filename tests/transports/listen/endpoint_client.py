"""The client's side of an endpoint: requests to it, and the parts of its responses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypeVar

import trio

from transports.listen.serving.exchange import Answer, EventStream, HttpRequest, PendingResponse

if TYPE_CHECKING:
    from transports.listen.serving.exchange import Endpoint

E = TypeVar("E")

JSON: Final = {"content-type": "application/json"}
BOTH: Final = {"accept": "application/json, text/event-stream"}
EVENTS: Final = {"accept": "text/event-stream"}


def request(
    method: str, path: str, body: Any = b"", query: str = "", **headers: str
) -> HttpRequest:
    """Return a request; `_` in names of headers stands for `-`."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def read_body() -> bytes:
        await trio.lowlevel.checkpoint()
        return data

    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpRequest(method, path, names, read_body, query)


def message(method: str, request_id: int | str | None = None, **params: Any) -> dict[str, Any]:
    """Return a request, or without an id a notification."""
    known = {"jsonrpc": "2.0", "method": method, "params": params}
    return known if request_id is None else known | {"id": request_id}


async def answer_of(endpoint: Endpoint, asked: HttpRequest) -> Answer:
    """Return the answer to a request, which has to be outcome_of at once."""
    response = await endpoint.respond(asked)
    assert isinstance(response, Answer), response
    return response


async def pending_of(endpoint: Endpoint, asked: HttpRequest) -> PendingResponse:
    """Return the response to a request, which has to be pending."""
    response = await endpoint.respond(asked)
    assert isinstance(response, PendingResponse), response
    return response


async def events_of(endpoint: Endpoint, asked: HttpRequest) -> EventStream:
    """Return the response to a request, which has to be an event stream."""
    response = await endpoint.respond(asked)
    assert isinstance(response, EventStream), response
    return response


async def outcome_of(pending: PendingResponse, kind: type[E]) -> E:
    """Wait for a pending response, which has to become one of this kind."""
    with trio.fail_after(60):
        outcome = await pending.outcome()
    assert isinstance(outcome, kind), outcome
    return outcome


async def chunk(events: EventStream) -> bytes | None:
    """Return the next chunk of an event stream; None at its end."""
    with trio.fail_after(60):
        return await events.next_chunk()


def data_of(chunk: bytes | None) -> list[Any]:
    """Return the JSON data of the events in a chunk."""
    assert chunk is not None
    lines = [line for line in chunk.decode().splitlines() if line.startswith("data: {")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def ids_of(chunk: bytes | None) -> list[str]:
    """Return the ids of the events in a chunk."""
    assert chunk is not None
    return [line[4:] for line in chunk.decode().splitlines() if line.startswith("id: ")]


def detail(answer: Answer) -> str:
    """Return the detail of a refusal."""
    return json.loads(answer.body)["detail"]


def error(answer: Answer) -> dict[str, Any]:
    """Return the JSON-RPC error in an answer."""
    return json.loads(answer.body)["error"]

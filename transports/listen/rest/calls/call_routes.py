"""The routes that ask servers: calls of tools, prompts and resources.

A client that asks for `text/event-stream` gets the progress and the log messages of its call as
server-sent events. The last event is the result or the error. An error that comes before all else,
and soon, has its own status instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import trio
from msgspec import Raw
from quart import Response, request

from router.messages.commands import (
    ListPrompts,
    ListResources,
    ShowPrompts,
    ShowResources,
)
from router.messages.errors import RpcError
from router.messages.frames import Notification
from transports.listen.rest.actor_client import (
    ABANDONED_SEND_S,
    ROUTER_STOPPING,
    error_body,
    http_status,
)
from transports.listen.rest.bodies import check_name, read_call, read_prompt, read_reading
from transports.listen.rest.calls.call_news import CallEvents, CallNews
from transports.listen.rest.guard import AT_END
from transports.listen.rest.responses import error_response, principal_of, request_body
from transports.listen.serving.asgi import address_of
from transports.listen.serving.server_sent_events import (
    EVENT_HEADERS,
    KEEP_ALIVE,
    KEEP_ALIVE_S,
    encode_event,
)

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from quart_trio import QuartTrio

    from router.messages.commands import CallTool
    from transports.listen.rest.actor_client import ActorClient
    from transports.listen.rest.responses import RequestActor

EVENTS: Final = "text/event-stream"

REFUSED_WITHIN_S: Final = 1.0
"""How long the head of a stream waits for a refusal, which then has a status; the router refuses at
once, and a server mostly."""

_KINDS: Final = {"notifications/progress": b"progress", "notifications/message": b"log"}


def add_call_routes(app: QuartTrio, actor: RequestActor) -> None:
    """Add the routes."""

    @app.post("/api/call")
    async def call() -> Response:
        command = read_call(await request_body())
        if EVENTS in request.headers.get("Accept", ""):
            return await _stream(actor.client, command)
        return await actor.respond(command)

    @app.get("/api/resources")
    async def resources() -> Response:
        return await actor.respond(ListResources())

    @app.get("/api/resources/<name>")
    async def resources_of(name: str) -> Response:
        return await actor.respond(ShowResources(check_name(name)))

    @app.post("/api/resources/<name>/read")
    async def read(name: str) -> Response:
        return await actor.respond(read_reading(check_name(name), await request_body()))

    @app.get("/api/prompts")
    async def prompts() -> Response:
        return await actor.respond(ListPrompts())

    @app.get("/api/prompts/<name>")
    async def prompts_of(name: str) -> Response:
        return await actor.respond(ShowPrompts(check_name(name)))

    @app.post("/api/prompts/<name>/get")
    async def get(name: str) -> Response:
        return await actor.respond(read_prompt(check_name(name), await request_body()))


async def _stream(client: ActorClient, command: CallTool) -> Response:
    """Call a tool, and return an event stream of what comes of it, or the refusal."""
    command = msgspec.structs.replace(command, wants_news=True)
    scope: Any = request.scope
    news = CallNews()
    at_end: AsyncExitStack = scope[AT_END]
    at_end.push_async_callback(_abandon_unanswered, client, news)
    await client.send(principal_of(scope), command, news, address_of(scope))
    first: Any = None
    with trio.move_on_after(REFUSED_WITHIN_S):
        first = await news.next()
    if isinstance(first, RpcError):
        return error_response(first, command)

    def encode(value: Any) -> bytes:
        return _event_of(value, command)

    events = CallEvents(news, first, encode, KEEP_ALIVE, KEEP_ALIVE_S)
    headers = {name.decode(): value.decode() for name, value in EVENT_HEADERS}
    return Response(events, 200, headers)


async def _abandon_unanswered(client: ActorClient, news: CallNews) -> None:
    with trio.move_on_after(ABANDONED_SEND_S, shield=True):
        if not news.is_answered:
            await client.abandon(news)


def _event_of(value: Any, command: CallTool) -> bytes:
    """Return the event for a `Notification`, a result or an error."""
    if isinstance(value, Notification):
        return encode_event(_one_line(value.params), _KINDS.get(value.method, b"message"))
    if isinstance(value, Raw):
        return encode_event(_one_line(value), b"result")
    error = value if isinstance(value, RpcError) else ROUTER_STOPPING
    body = error_body(error) | {"status": http_status(error, command)}
    return encode_event(msgspec.json.encode(body), b"error")


def _one_line(data: Raw) -> bytes:
    # These newlines stand between tokens, since JSON forbids them inside strings.
    return bytes(data).replace(b"\r", b" ").replace(b"\n", b" ")

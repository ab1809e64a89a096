"""Builds the responses of the routes, and gives them the parts of a request that they need."""

from __future__ import annotations

import logging
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

import msgspec
import trio
from msgspec import Struct
from quart import Response, has_request_context, request, websocket
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import WebsocketMismatch

from router.messages.commands import CountTools, MakeChange
from router.messages.errors import INTERNAL_ERROR, INVALID_REQUEST, RpcError
from router.messages.observability.log_fields import by
from transports.listen.rest.actor_client import (
    ActorClient,
    error_body,
    http_status,
    retry_after_s,
)
from transports.listen.rest.bodies import DoesNotFit, NotJson
from transports.listen.rest.guard import PRINCIPAL
from transports.listen.serving.asgi import address_of
from transports.listen.serving.exchange import is_json

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from quart_trio import QuartTrio

    from router.messages.commands import Change, Principal, RouterCommand

log = logging.getLogger("mcp_router.rest")

JSON: Final = "application/json"

_P = ParamSpec("_P")
_T = TypeVar("_T")


# --- Requests --------------------------------------------------------------------------------


def principal_of(scope: Any) -> Principal:
    """Return the principal that the guard admitted."""
    return scope[PRINCIPAL]


async def request_body() -> bytes:
    """Return the body of a request.

    Raises:
        DoesNotFit: its content type is not JSON.
    """
    if not is_json(request.headers.get("Content-Type")):
        raise DoesNotFit(("header", "content-type"), f"expected {JSON}")
    return await request.get_data(cache=False, as_text=False, parse_form_data=False)


class RequestActor(Struct, frozen=True):
    """Sends commands to the actor for the principal of the request that is being served."""

    client: ActorClient

    async def ask(self, command: RouterCommand) -> Any:
        """Return the actor's answer."""
        scope: Any = request.scope
        return await self.client.ask(principal_of(scope), command, address_of(scope))

    async def respond(self, command: RouterCommand) -> Response:
        """Return the actor's answer, or its error, as the response."""
        try:
            return json_response(await self.ask(command))
        except RpcError as error:
            return error_response(error, command)

    async def change(self, change: Change, *, wait: bool) -> str:
        """Make a change and return the name of its instance."""
        return await self.ask(MakeChange(change, wait))

    async def count_tools(self) -> None:
        """Have it counted what tools cost, in parts between which the actor does other work.

        A principal that may not read has nothing counted.
        """
        if "read" in principal_of(request.scope).permissions:
            while not await self.ask(CountTools()):
                pass


# --- Responses -------------------------------------------------------------------------------


def json_response(value: Any, status: int = 200) -> Response:
    """Return a response with this value as its body."""
    return Response(msgspec.json.encode(value), status, content_type=JSON)


def sync_route(function: Callable[_P, _T]) -> Callable[_P, Coroutine[Any, Any, _T]]:
    """Make a route of a short function, which Quart would otherwise run in a thread."""

    @wraps(function)
    async def route(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        await trio.lowlevel.checkpoint()
        return function(*args, **kwargs)

    return route


def _http_error(error: HTTPException) -> Response:
    response = json_response({"detail": error.name}, error.code or 500)
    for name, value in error.get_headers():
        if name.lower() in ("allow", "retry-after", "location"):
            response.headers[name] = value
    return response


def error_response(error: RpcError, command: RouterCommand | None) -> Response:
    """Return the response for an error; `command` is the command that failed."""
    status = http_status(error, command)
    response = json_response(error_body(error), status)
    if status == 503:
        response.headers["Retry-After"] = "5"
    elif status == 429:
        response.headers["Retry-After"] = str(retry_after_s(error))
    return response


def add_error_pages(app: QuartTrio) -> None:
    """Have each exception of a route answered as what it means."""

    @app.errorhandler(HTTPException)
    @sync_route
    def http_error(error: HTTPException) -> Response:
        return _http_error(error)

    @app.errorhandler(WebsocketMismatch)
    @sync_route
    def no_websocket(error: WebsocketMismatch) -> Response:
        if not has_request_context():
            return _http_error(error)
        if request.method != "GET":
            return _http_error(MethodNotAllowed(["GET"]))
        detail = "This is a WebSocket: open it as ws://…/ws, or with mcp-router logs -f"
        return json_response({"detail": detail}, 400)

    @app.errorhandler(DoesNotFit)
    @sync_route
    def does_not_fit(error: DoesNotFit) -> Response:
        return json_response(error.to_detail(), 422)

    @app.errorhandler(NotJson)
    @sync_route
    def not_json(error: NotJson) -> Response:
        return json_response(error_body(RpcError(INVALID_REQUEST, error.problem)), 400)

    @app.errorhandler(RpcError)
    @sync_route
    def refused(error: RpcError) -> Response:
        return error_response(error, None)

    @app.errorhandler(Exception)
    @sync_route
    def fault(error: Exception) -> Response:
        asked = request if has_request_context() else websocket
        extra = by(principal_of(asked.scope))
        log.error("%s failed", asked.path, exc_info=error, extra=extra)
        return json_response(error_body(RpcError(INTERNAL_ERROR, "Internal error")), 500)

"""The REST API: Quart routes that send commands to the dispatch actor.

`guard` stands in front of the routes; `openapi` describes them. This is the only module that knows
Quart.

Invariant: a route sends commands and awaits their answers; it never touches routing state.
"""

from __future__ import annotations

import logging
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

import attrs
import msgspec
import trio
from quart import Response, has_request_context, request, websocket
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import WebsocketMismatch

from router.messages.commands import (
    ListInstances,
    ListTools,
    MakeChange,
    RemoveInstance,
    SetActive,
    ShowInstance,
    ShowStatus,
    ShowTools,
)
from router.messages.errors import INTERNAL_ERROR, INVALID_REQUEST, RpcError
from transports.listen.rest.actor_client import ActorClient, error_body, http_status
from transports.listen.rest.bodies import (
    DoesNotFit,
    NotJson,
    check_name,
    read_addition,
    read_call,
    read_profile,
    read_update,
    read_wait,
)
from transports.listen.rest.docs_assets import ASSETS
from transports.listen.rest.docs_page import docs_page
from transports.listen.rest.guard import PRINCIPAL, Guard
from transports.listen.rest.log_stream import (
    GOING_AWAY,
    LEVEL_NUMBERS,
    TICKET_S,
    Followers,
    Tickets,
)
from transports.listen.rest.openapi import openapi_document
from transports.listen.rest.rest_admission import (
    Cors,
    RestAdmission,
    check_may_change_profiles,
    check_may_read_log,
)
from transports.listen.serving.exchange import is_json

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from router.messages.commands import Change, Principal, RouterCommand
    from transports.listen.rest.backend import Profiles, RestBackend
    from transports.listen.serving.asgi import Message, Receive, Send

log = logging.getLogger("mcp_router.rest")

API_NAME: Final = "MCP Router API"
GREETING: Final = "Connected to MCP Router API v{} - Realtime Logs\n" + "-" * 40 + "\n"
"""The first frame of a WebSocket that follows the log."""

JSON: Final = "application/json"

_P = ParamSpec("_P")
_T = TypeVar("_T")


class RestApp:
    """The ASGI application, for `hosting.AsgiListener`."""

    def __init__(self, backend: RestBackend) -> None:
        tickets = Tickets()
        self._followers: Followers | None = None
        if backend.follow is not None:
            self._followers = Followers(backend.follow, GREETING.format(backend.version))
        admission = RestAdmission(
            admit=backend.admit,
            needs_token=backend.needs_token,
            cors=Cors(backend.cors_origin),
            redeem=tickets.redeem,
            is_known=backend.is_known,
        )
        self._guard = Guard(_quart_app(backend, tickets, self._followers), admission)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket."""
        await self._guard(scope, receive, send)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Do nothing: there is no work beside the requests."""
        task_status.started()
        await trio.sleep_forever()

    def end(self) -> None:
        """End every WebSocket; answer later requests with 503."""
        self._guard.is_ending = True
        if self._followers is not None:
            self._followers.end()


def _quart_app(backend: RestBackend, tickets: Tickets, followers: Followers | None) -> QuartTrio:
    app = QuartTrio(__name__, static_folder=None)
    # A path with one slash more is another path: no redirect, no second spelling.
    app.url_map.strict_slashes = app.url_map.merge_slashes = False
    # The guard has read the body, within limits; a call may take as long as it needs.
    for limit in ("MAX_CONTENT_LENGTH", "BODY_TIMEOUT", "RESPONSE_TIMEOUT"):
        app.config[limit] = None
    _add_error_pages(app)
    _add_open_routes(app, backend)
    actor = _RequestActor(ActorClient(backend.inbox))
    _add_query_routes(app, backend, actor)
    _add_change_routes(app, actor)
    _add_profile_routes(app, backend.profiles)
    if followers is not None:
        _add_log_routes(app, tickets, followers)
    return app


# --- Answers ---------------------------------------------------------------------------------


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, content_type=JSON)


def _sync_route(function: Callable[_P, _T]) -> Callable[_P, Coroutine[Any, Any, _T]]:
    """Make a route of a short function, which Quart would otherwise run in a thread."""

    @wraps(function)
    async def route(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        await trio.lowlevel.checkpoint()
        return function(*args, **kwargs)

    return route


def _principal(scope: Any) -> Principal:
    return scope[PRINCIPAL]


def _add_error_pages(app: QuartTrio) -> None:
    @app.errorhandler(HTTPException)
    @_sync_route
    def http_error(error: HTTPException) -> Response:
        return _http_error(error)

    @app.errorhandler(WebsocketMismatch)
    @_sync_route
    def no_websocket(error: WebsocketMismatch) -> Response:
        if not has_request_context():
            return _http_error(error)
        if request.method != "GET":
            return _http_error(MethodNotAllowed(["GET"]))
        detail = "This is a WebSocket: open it as ws://…/ws, or with mcp-router logs -f"
        return _json({"detail": detail}, 400)

    @app.errorhandler(DoesNotFit)
    @_sync_route
    def does_not_fit(error: DoesNotFit) -> Response:
        return _json(error.to_detail(), 422)

    @app.errorhandler(NotJson)
    @_sync_route
    def not_json(error: NotJson) -> Response:
        return _json(error_body(RpcError(INVALID_REQUEST, error.problem)), 400)

    @app.errorhandler(RpcError)
    @_sync_route
    def refused(error: RpcError) -> Response:
        return _rpc_error(error, None)

    @app.errorhandler(Exception)
    @_sync_route
    def fault(error: Exception) -> Response:
        path = request.path if has_request_context() else websocket.path
        log.error("%s failed", path, exc_info=error)
        return _json(error_body(RpcError(INTERNAL_ERROR, "Internal error")), 500)


def _http_error(error: HTTPException) -> Response:
    response = _json({"detail": error.name}, error.code or 500)
    for name, value in error.get_headers():
        if name.lower() in ("allow", "retry-after", "location"):
            response.headers[name] = value
    return response


def _rpc_error(error: RpcError, command: RouterCommand | None) -> Response:
    status = http_status(error, command)
    response = _json(error_body(error), status)
    if status == 503:
        response.headers["Retry-After"] = "5"
    return response


@attrs.frozen
class _RequestActor:
    """Sends commands to the actor for the principal of the request that is being served."""

    client: ActorClient

    async def ask(self, command: RouterCommand) -> Any:
        """Return the actor's answer."""
        return await self.client.ask(_principal(request.scope), command)

    async def respond(self, command: RouterCommand) -> Response:
        """Return the actor's answer, or its error, as the response."""
        try:
            return _json(await self.ask(command))
        except RpcError as error:
            return _rpc_error(error, command)

    async def change(self, change: Change, *, wait: bool) -> str:
        """Make a change and return the name of its instance."""
        return await self.ask(MakeChange(change, wait))


async def _body() -> bytes:
    """Return the body of a request.

    Raises:
        DoesNotFit: its content type is not JSON.
    """
    if not is_json(request.headers.get("Content-Type")):
        raise DoesNotFit(("header", "content-type"), f"expected {JSON}")
    return await request.get_data(cache=False, as_text=False, parse_form_data=False)


def _wait() -> bool:
    """Return whether the answer has to wait until the instance is ready."""
    return read_wait(request.args.get("wait"))


# --- Routes ----------------------------------------------------------------------------------


def _add_open_routes(app: QuartTrio, backend: RestBackend) -> None:
    document = openapi_document(backend.version, has_logs=backend.follow is not None)
    html = docs_page(document)

    @app.get("/")
    @_sync_route
    def root() -> Response:
        about = {"name": API_NAME, "version": backend.version, "status": "running"}
        return _json({**about, **backend.about()})

    @app.get("/health")
    @_sync_route
    def health() -> Response:
        return _json({"status": "healthy"})

    @app.get("/openapi.json")
    @_sync_route
    def openapi() -> Response:
        return _json(document)

    @app.get("/docs")
    @_sync_route
    def docs() -> Response:
        return Response(html, content_type="text/html; charset=utf-8")

    @app.get("/docs.<kind>")
    @_sync_route
    def docs_asset(kind: str) -> Response:
        if kind not in ASSETS:
            raise NotFound
        text, content_type = ASSETS[kind]
        return Response(text, content_type=content_type)


def _add_query_routes(app: QuartTrio, backend: RestBackend, actor: _RequestActor) -> None:
    @app.get("/api/instances")
    async def instances() -> Response:
        return await actor.respond(ListInstances())

    @app.get("/api/instances/<name>")
    async def instance(name: str) -> Response:
        return await actor.respond(ShowInstance(check_name(name)))

    @app.get("/api/tools")
    async def tools() -> Response:
        return await actor.respond(ListTools())

    @app.get("/api/tools/<name>")
    async def tools_of(name: str) -> Response:
        return await actor.respond(ShowTools(check_name(name)))

    @app.get("/api/status")
    async def status() -> Response:
        return await actor.respond(ShowStatus())

    @app.post("/api/call")
    async def call() -> Response:
        return await actor.respond(read_call(await _body()))

    @app.get("/api/config")
    async def config() -> Response:
        rows = await actor.ask(ListInstances())
        # The configuration names all instances, so a principal limited to some sees none of it.
        more = {} if _principal(request.scope).instances is not None else backend.config()
        return _json({"instances": rows, "current_instance": None, **more})


def _add_change_routes(app: QuartTrio, actor: _RequestActor) -> None:
    @app.post("/api/instances")
    async def add() -> Response:
        name = await actor.change(read_addition(await _body()), wait=_wait())
        return _json({"status": "success", "instance_name": name}, 201)

    @app.patch("/api/instances/<name>")
    async def update(name: str) -> Response:
        change = read_update(check_name(name), await _body())
        name = await actor.change(change, wait=_wait())
        return _json({"status": "success", "instance_name": name})

    @app.delete("/api/instances/<name>")
    async def remove(name: str) -> Response:
        name = await actor.change(RemoveInstance(check_name(name)), wait=False)
        return _json({"status": "success", "removed": name})

    @app.post("/api/instances/<name>/enable")
    async def enable(name: str) -> Response:
        name = await actor.change(SetActive(check_name(name), is_active=True), wait=_wait())
        return _json({"status": "success", "instance": name, "active": True})

    @app.post("/api/instances/<name>/disable")
    async def disable(name: str) -> Response:
        name = await actor.change(SetActive(check_name(name), is_active=False), wait=False)
        return _json({"status": "success", "instance": name, "active": False})


def _add_profile_routes(app: QuartTrio, profiles: Profiles) -> None:
    @app.get("/api/profiles")
    @_sync_route
    def all_profiles() -> Response:
        check_may_change_profiles(_principal(request.scope))
        return _json(profiles.rows())

    @app.get("/api/profiles/<name>")
    @_sync_route
    def profile(name: str) -> Response:
        check_may_change_profiles(_principal(request.scope))
        return _json(profiles.row(check_name(name)))

    @app.put("/api/profiles/<name>")
    async def put_profile(name: str) -> Response:
        check_may_change_profiles(_principal(request.scope))
        status = 201 if await profiles.put(check_name(name), read_profile(await _body())) else 200
        return _json({"status": "success", "profile": name}, status)

    @app.delete("/api/profiles/<name>")
    async def remove_profile(name: str) -> Response:
        check_may_change_profiles(_principal(request.scope))
        await profiles.remove(check_name(name))
        return _json({"status": "success", "removed": name})


# --- The log ---------------------------------------------------------------------------------


def _add_log_routes(app: QuartTrio, tickets: Tickets, followers: Followers) -> None:
    @app.post("/api/ws-ticket")
    @_sync_route
    def ticket() -> Response:
        principal = _principal(request.scope)
        check_may_read_log(principal)
        return _json({"ticket": tickets.issue(principal), "expires_in_s": TICKET_S})

    @app.websocket("/ws")
    async def follow() -> Response | None:
        try:
            check_may_read_log(_principal(websocket.scope))
        except RpcError as error:
            return _rpc_error(error, None)
        level = websocket.args.get("level", "DEBUG").upper()
        if level not in LEVEL_NUMBERS:
            problem = f"expected one of {', '.join(LEVEL_NUMBERS)}"
            return _json(DoesNotFit(("query", "level"), problem).to_detail(), 422)
        if followers.is_full:
            return _json({"detail": "Too many follow the log already"}, 503)
        await websocket.accept(None)  # pyright: ignore[reportUnknownMemberType]
        if not await followers.serve(LEVEL_NUMBERS[level], websocket.send, websocket.receive):
            await websocket.close(GOING_AWAY, "The router is stopping")
        return None

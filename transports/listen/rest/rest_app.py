"""The REST API: Quart's routes over questions to the dispatch actor.

Job: HTTP to questions, and answers to HTTP. Neighbours: `rest_guard` stands before all of it,
`rest_bodies` reads what is sent, `rest_asking` asks, `rest_logs` follows the log, `rest_openapi`
describes it and `rest_page` shows that; `hosting` serves it.

Invariants: a route sends one message and awaits the answer, it never touches routing state.
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
from router.messages.errors import INTERNAL_ERROR, INVALID_REQUEST, NOT_ALLOWED, RpcError
from transports.listen.rest.actor_client import Asking, detail_of, status_of
from transports.listen.rest.bodies import (
    DoesNotFit,
    NotJson,
    check_name,
    read_addition,
    read_call,
    read_update,
)
from transports.listen.rest.docs_assets import PARTS
from transports.listen.rest.docs_page import page
from transports.listen.rest.guard import PRINCIPAL, Cors, Door, Guard, everybody
from transports.listen.rest.log_stream import GOING_AWAY, LEVELS, TICKET_S, Followers, Tickets
from transports.listen.rest.openapi import document
from transports.listen.serving.exchange import is_json

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from router.messages.commands import Change, Principal, RouterCommand
    from router.messages.events import Event
    from transports.listen.rest.log_stream import Follow
    from transports.listen.serving.asgi import Message, Receive, Send

log = logging.getLogger("mcp_router.rest")

NAME: Final = "MCP Router API"
GREETING: Final = "Connected to MCP Router API v{} - Realtime Logs\n" + "-" * 40 + "\n"
"""The first frame of a WebSocket."""

_P = ParamSpec("_P")
_T = TypeVar("_T")

JSON: Final = "application/json"


def _nothing() -> dict[str, Any]:
    return {}


def _no() -> bool:
    return False


@attrs.frozen
class Api:
    """What the REST API is made of.

    Attributes:
        inbox: of the actor.
        admit: who may come in; see `rest_guard.Door`.
        version: of the router.
        needs_token, knows: see `rest_guard.Door`.
        cors_origin: `api.cors_origin` of the settings.
        about: more for `GET /`: open to everybody, so nothing that should be secret.
        config: more for `GET /api/config`, with secrets masked. Called for each request, because
            the configuration changes.
        follow: the log; None where it must not be followed.
    """

    inbox: trio.MemorySendChannel[Event]
    admit: Callable[[Mapping[str, str]], Principal]
    version: str
    needs_token: Callable[[], bool] = _no
    knows: Callable[[Principal], bool] = everybody
    cors_origin: str = "*"
    about: Callable[[], dict[str, Any]] = _nothing
    config: Callable[[], dict[str, Any]] = _nothing
    follow: Follow | None = None


class RestApp:
    """The ASGI application, for `hosting.AsgiListener`."""

    def __init__(self, api: Api) -> None:
        tickets = Tickets()
        self._followers = _followers(api)
        door = Door(api.admit, api.needs_token, Cors(api.cors_origin), tickets.redeem, api.knows)
        self._guard = Guard(_quart(api, tickets, self._followers), door)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket."""
        await self._guard(scope, receive, send)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Nothing goes on beside the requests."""
        task_status.started()
        await trio.sleep_forever()

    def end(self) -> None:
        """End every WebSocket; whoever asks from here on is told to come back later."""
        self._guard.is_ending = True
        if self._followers is not None:
            self._followers.end()


def _followers(api: Api) -> Followers | None:
    if api.follow is None:
        return None
    return Followers(api.follow, GREETING.format(api.version))


def _quart(api: Api, tickets: Tickets, followers: Followers | None) -> QuartTrio:
    app = QuartTrio(__name__, static_folder=None)
    app.url_map.strict_slashes = app.url_map.merge_slashes = False
    # The guard has read the body by now, and limited it; a call may take as long as it takes.
    for limit in ("MAX_CONTENT_LENGTH", "BODY_TIMEOUT", "RESPONSE_TIMEOUT"):
        app.config[limit] = None
    _add_errors(app)
    _add_open_routes(app, api)
    asking = _Asking(Asking(api.inbox))
    _add_questions(app, api, asking)
    _add_changes(app, asking)
    if followers is not None:
        _add_logs(app, tickets, followers)
    return app


# --- Answers ---------------------------------------------------------------------------------


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, content_type=JSON)


def _short(function: Callable[_P, _T]) -> Callable[_P, Coroutine[Any, Any, _T]]:
    """A function as a route: Quart would run it in a thread, and it is over before one starts."""

    @wraps(function)
    async def route(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        await trio.lowlevel.checkpoint()
        return function(*args, **kwargs)

    return route


def _principal(scope: Any) -> Principal:
    return scope[PRINCIPAL]


def _add_errors(app: QuartTrio) -> None:
    @app.errorhandler(HTTPException)
    @_short
    def http_error(error: HTTPException) -> Response:
        return _http_error(error)

    @app.errorhandler(WebsocketMismatch)
    @_short
    def no_websocket(error: WebsocketMismatch) -> Response:
        if not has_request_context():
            return _http_error(error)
        if request.method != "GET":
            return _http_error(MethodNotAllowed(["GET"]))
        detail = "This is a WebSocket: open it as ws://…/ws, or with mcp-router logs -f"
        return _json({"detail": detail}, 400)

    @app.errorhandler(DoesNotFit)
    @_short
    def does_not_fit(error: DoesNotFit) -> Response:
        return _json(error.to_detail(), 422)

    @app.errorhandler(NotJson)
    @_short
    def not_json(error: NotJson) -> Response:
        return _json(detail_of(RpcError(INVALID_REQUEST, error.problem)), 400)

    @app.errorhandler(RpcError)
    @_short
    def refused(error: RpcError) -> Response:
        return _refusal(error, None)

    @app.errorhandler(Exception)
    @_short
    def fault(error: Exception) -> Response:
        path = request.path if has_request_context() else websocket.path
        log.error("%s failed", path, exc_info=error)
        return _json(detail_of(RpcError(INTERNAL_ERROR, "Internal error")), 500)


def _http_error(error: HTTPException) -> Response:
    response = _json({"detail": error.name}, error.code or 500)
    for name, value in error.get_headers():
        if name.lower() in ("allow", "retry-after", "location"):
            response.headers[name] = value
    return response


def _refusal(error: RpcError, question: RouterCommand | None) -> Response:
    status = status_of(error, question)
    response = _json(detail_of(error), status)
    if status == 503:
        response.headers["Retry-After"] = "5"
    return response


@attrs.frozen
class _Asking:
    """Questions for whoever sent the request that is being served."""

    asking: Asking

    async def value(self, question: RouterCommand) -> Any:
        return await self.asking.ask(_principal(request.scope), question)

    async def answer(self, question: RouterCommand) -> Response:
        try:
            return _json(await self.value(question))
        except RpcError as error:
            return _refusal(error, question)

    async def change(self, change: Change, *, wait: bool) -> str:
        return await self.value(MakeChange(change, wait))


async def _body() -> bytes:
    """The body of a request that has to have one.

    Raises:
        DoesNotFit: it is something else than JSON.
    """
    if not is_json(request.headers.get("Content-Type")):
        raise DoesNotFit(("header", "content-type"), f"expected {JSON}")
    return await request.get_data(cache=False, as_text=False, parse_form_data=False)


def _wait() -> bool:
    """Is the answer to come only when the instance is ready?"""
    given = request.args.get("wait")
    if given not in (None, "ready"):
        raise DoesNotFit(("query", "wait"), "expected ready")
    return given is not None


# --- Routes ----------------------------------------------------------------------------------


def _add_open_routes(app: QuartTrio, api: Api) -> None:
    described = document(api.version, has_logs=api.follow is not None)
    html = page(described)

    @app.get("/")
    @_short
    def root() -> Response:
        told = {"name": NAME, "version": api.version, "status": "running"}
        return _json({**told, **api.about()})

    @app.get("/health")
    @_short
    def health() -> Response:
        return _json({"status": "healthy"})

    @app.get("/openapi.json")
    @_short
    def openapi() -> Response:
        return _json(described)

    @app.get("/docs")
    @_short
    def docs() -> Response:
        return Response(html, content_type="text/html; charset=utf-8")

    @app.get("/docs.<kind>")
    @_short
    def part(kind: str) -> Response:
        if kind not in PARTS:
            raise NotFound
        return Response(PARTS[kind][0], content_type=PARTS[kind][1])


def _add_questions(app: QuartTrio, api: Api, asking: _Asking) -> None:
    @app.get("/api/instances")
    async def instances() -> Response:
        return await asking.answer(ListInstances())

    @app.get("/api/instances/<name>")
    async def instance(name: str) -> Response:
        return await asking.answer(ShowInstance(check_name(name)))

    @app.get("/api/tools")
    async def tools() -> Response:
        return await asking.answer(ListTools())

    @app.get("/api/tools/<name>")
    async def tools_of(name: str) -> Response:
        return await asking.answer(ShowTools(check_name(name)))

    @app.get("/api/status")
    async def status() -> Response:
        return await asking.answer(ShowStatus())

    @app.post("/api/call")
    async def call() -> Response:
        return await asking.answer(read_call(await _body()))

    @app.get("/api/config")
    async def config() -> Response:
        rows = await asking.value(ListInstances())
        # The configuration names all instances; who may see some of them only sees none of it.
        is_limited = _principal(request.scope).instances is not None
        more = {} if is_limited else api.config()
        return _json({"instances": rows, "current_instance": None, **more})


def _add_changes(app: QuartTrio, asking: _Asking) -> None:
    @app.post("/api/instances")
    async def add() -> Response:
        name = await asking.change(read_addition(await _body()), wait=_wait())
        return _json({"status": "success", "instance_name": name}, 201)

    @app.patch("/api/instances/<name>")
    async def update(name: str) -> Response:
        change = read_update(check_name(name), await _body())
        name = await asking.change(change, wait=_wait())
        return _json({"status": "success", "instance_name": name})

    @app.delete("/api/instances/<name>")
    async def remove(name: str) -> Response:
        name = await asking.change(RemoveInstance(check_name(name)), wait=False)
        return _json({"status": "success", "removed": name})

    @app.post("/api/instances/<name>/enable")
    async def enable(name: str) -> Response:
        name = await asking.change(SetActive(check_name(name), is_active=True), wait=_wait())
        return _json({"status": "success", "instance": name, "active": True})

    @app.post("/api/instances/<name>/disable")
    async def disable(name: str) -> Response:
        name = await asking.change(SetActive(check_name(name), is_active=False), wait=False)
        return _json({"status": "success", "instance": name, "active": False})


# --- The log ---------------------------------------------------------------------------------


def _add_logs(app: QuartTrio, tickets: Tickets, followers: Followers) -> None:
    @app.post("/api/ws-ticket")
    @_short
    def ticket() -> Response:
        principal = _principal(request.scope)
        _check_reader(principal)
        return _json({"ticket": tickets.make(principal), "expires_in_s": TICKET_S})

    @app.websocket("/ws")
    async def follow() -> Response | None:
        try:
            _check_reader(_principal(websocket.scope))
        except RpcError as error:
            return _refusal(error, None)
        level = websocket.args.get("level", "DEBUG").upper()
        if level not in LEVELS:
            known = ", ".join(LEVELS)
            return _json(
                DoesNotFit(("query", "level"), f"expected one of {known}").to_detail(), 422
            )
        if followers.is_full:
            return _json({"detail": "Too many follow the log already"}, 503)
        await websocket.accept(None)  # pyright: ignore[reportUnknownMemberType]
        if not await followers.serve(LEVELS[level], websocket.send, websocket.receive):
            await websocket.close(GOING_AWAY, "The router is stopping")
        return None


def _check_reader(principal: Principal) -> None:
    """The log tells of all instances, so it is for those who may know of all of them."""
    if "read" not in principal.permissions or principal.instances is not None:
        raise RpcError(NOT_ALLOWED, 'This token has no permission "read" for all instances')

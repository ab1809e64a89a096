"""The REST API: Quart routes that send commands to the dispatch actor.

`guard` stands in front of the routes; `document.openapi` describes them. Only this module,
`responses` and the modules of routes know Quart.

Invariant: a route sends commands and awaits their answers; it never touches routing state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio
from quart import Response, request, websocket
from quart_trio import QuartTrio
from werkzeug.exceptions import NotFound

from router.messages.commands import (
    ListInstances,
    ListTools,
    RemoveInstance,
    RestartInstance,
    SetActive,
    ShowDetails,
    ShowInstance,
    ShowStatus,
    ShowTools,
)
from router.messages.errors import RpcError
from transports.listen.rest.actor_client import ActorClient
from transports.listen.rest.bodies import (
    DoesNotFit,
    check_name,
    read_addition,
    read_update,
    read_wait,
)
from transports.listen.rest.calls.approval_routes import add_approval_routes
from transports.listen.rest.calls.call_routes import add_call_routes
from transports.listen.rest.costs.cost_routes import add_cost_routes
from transports.listen.rest.document.docs_assets import ASSETS
from transports.listen.rest.document.docs_page import docs_page
from transports.listen.rest.document.openapi import openapi_document
from transports.listen.rest.guard import Guard
from transports.listen.rest.log_stream import (
    GOING_AWAY,
    LEVEL_NUMBERS,
    TICKET_S,
    Followers,
    Tickets,
)
from transports.listen.rest.logins.login_routes import add_login_routes
from transports.listen.rest.metrics.loop_lag import LoopLag
from transports.listen.rest.metrics.metrics_route import add_metrics_route
from transports.listen.rest.pins.pin_routes import add_pin_routes
from transports.listen.rest.profile_routes import add_profile_routes
from transports.listen.rest.responses import (
    RequestActor,
    add_error_pages,
    error_response,
    json_response,
    principal_of,
    request_body,
    sync_route,
)
from transports.listen.rest.rest_admission import (
    Cors,
    RestAdmission,
    check_may_read_log,
    is_limited,
)
from transports.listen.serving.refusals import RETRY_AFTER
from transports.listen.serving.unread_bytes import UnreadBytes

if TYPE_CHECKING:
    from transports.listen.rest.backend import RestBackend
    from transports.listen.serving.asgi import Message, Receive, Send

API_NAME: Final = "MCP Router API"
GREETING: Final = "Connected to MCP Router API v{} - Realtime Logs\n" + "-" * 40 + "\n"
"""The first frame of a WebSocket that follows the log."""


class RestApp:
    """The ASGI application, for `hosting.AsgiListener`.

    Attributes:
        unread: bounds what its connections have still to send.
        endpoint: None: all requests come through Quart.
        own_paths: none, since there is no endpoint.
    """

    def __init__(self, backend: RestBackend) -> None:
        tickets = Tickets()
        self.unread = UnreadBytes()
        self.endpoint = None
        self.own_paths: frozenset[str] = frozenset()
        self._lag = LoopLag()
        self._followers: Followers | None = None
        if backend.follow is not None:
            self._followers = Followers(backend.follow, GREETING.format(backend.version))
        admission = RestAdmission(
            admit=backend.admit,
            needs_token=backend.needs_token,
            cors=Cors(backend.cors_origin),
            redeem=tickets.redeem,
            is_known=backend.is_known,
            has_open_paths=backend.has_open_paths,
            refused=backend.refused,
            lifetime_of=backend.lifetime_of,
            browsers=backend.browsers,
        )
        self._guard = Guard(_quart_app(backend, tickets, self._followers, self._lag), admission)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket."""
        await self._guard(scope, receive, send)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Bound what is unread, and measure the lag of the event loop, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._lag.run)
            task_status.started()
            await self.unread.run()

    def end(self) -> None:
        """End every WebSocket; answer later requests with 503."""
        self._guard.is_ending = True
        if self._followers is not None:
            self._followers.end()


def _quart_app(
    backend: RestBackend, tickets: Tickets, followers: Followers | None, lag: LoopLag
) -> QuartTrio:
    app = QuartTrio(__name__, static_folder=None)
    # A path with one slash more is another path: no redirect, no second spelling.
    app.url_map.strict_slashes = app.url_map.merge_slashes = False
    # The guard has read the body, within limits; a call may take as long as it needs.
    for limit in ("MAX_CONTENT_LENGTH", "BODY_TIMEOUT", "RESPONSE_TIMEOUT"):
        app.config[limit] = None
    add_error_pages(app)
    _add_open_routes(app, backend)
    actor = RequestActor(ActorClient(backend.inbox))
    _add_query_routes(app, backend, actor)
    add_call_routes(app, actor)
    add_approval_routes(app, actor)
    _add_change_routes(app, actor)
    add_pin_routes(app, backend, actor)
    add_login_routes(app, backend, actor.client)
    add_cost_routes(app, actor)
    add_profile_routes(app, backend, actor)
    add_metrics_route(app, backend, actor.client, lag)
    if followers is not None:
        _add_log_routes(app, tickets, followers)
    return app


def _wait() -> bool:
    """Return whether the answer has to wait until the instance is ready."""
    return read_wait(request.args.get("wait"))


# --- Routes ----------------------------------------------------------------------------------


def _add_open_routes(app: QuartTrio, backend: RestBackend) -> None:
    document = openapi_document(backend.version, has_logs=backend.follow is not None)
    html = docs_page(document, has_login=backend.browsers is not None)

    @app.get("/")
    @sync_route
    def root() -> Response:
        about = {"name": API_NAME, "version": backend.version, "status": "running"}
        return json_response({**about, **backend.about()})

    @app.get("/health")
    @sync_route
    def health() -> Response:
        if backend.is_draining():
            response = json_response({"status": "stopping"}, 503)
            response.headers.extend(RETRY_AFTER)
            return response
        return json_response({"status": "healthy"})

    @app.get("/openapi.json")
    @sync_route
    def openapi() -> Response:
        if request.root_path:
            return json_response({**document, "servers": [{"url": request.root_path}]})
        return json_response(document)

    @app.get("/docs")
    @sync_route
    def docs() -> Response:
        return Response(html, content_type="text/html; charset=utf-8")

    @app.get("/docs.<kind>")
    @sync_route
    def docs_asset(kind: str) -> Response:
        if kind not in ASSETS:
            raise NotFound
        text, content_type = ASSETS[kind]
        return Response(text, content_type=content_type)


def _add_query_routes(app: QuartTrio, backend: RestBackend, actor: RequestActor) -> None:
    @app.get("/api/instances")
    async def instances() -> Response:
        return await actor.respond(ListInstances())

    @app.get("/api/instances/<name>")
    async def instance(name: str) -> Response:
        return await actor.respond(ShowInstance(check_name(name)))

    @app.get("/api/instances/<name>/details")
    async def details(name: str) -> Response:
        details = await actor.ask(ShowDetails(check_name(name)))
        # An entry names files and commands, which are no matter of who sees some instances only.
        if not is_limited(principal_of(request.scope)):
            details["entry"] = backend.entry(details["name"])
        return json_response(details)

    @app.get("/api/tools")
    async def tools() -> Response:
        return await actor.respond(ListTools())

    @app.get("/api/tools/<name>")
    async def tools_of(name: str) -> Response:
        return await actor.respond(ShowTools(check_name(name)))

    @app.get("/api/status")
    async def status() -> Response:
        await actor.count_tools()
        return await actor.respond(ShowStatus())

    @app.get("/api/config")
    async def config() -> Response:
        rows = await actor.ask(ListInstances())
        # The configuration names all instances, so a principal limited to some sees none of it.
        more = {} if is_limited(principal_of(request.scope)) else backend.config()
        if "problems" in more:
            warnings = [f"{row['name']}: {text}" for row in rows for text in row["warnings"]]
            more = more | {"problems": [*more["problems"], *warnings]}
        return json_response({"instances": rows, "current_instance": None, **more})


def _add_change_routes(app: QuartTrio, actor: RequestActor) -> None:
    @app.post("/api/instances")
    async def add() -> Response:
        name = await actor.change(read_addition(await request_body()), wait=_wait())
        return json_response({"status": "success", "instance_name": name}, 201)

    @app.patch("/api/instances/<name>")
    async def update(name: str) -> Response:
        change = read_update(check_name(name), await request_body())
        name = await actor.change(change, wait=_wait())
        return json_response({"status": "success", "instance_name": name})

    @app.delete("/api/instances/<name>")
    async def remove(name: str) -> Response:
        name = await actor.change(RemoveInstance(check_name(name)), wait=False)
        return json_response({"status": "success", "removed": name})

    @app.post("/api/instances/<name>/enable")
    async def enable(name: str) -> Response:
        name = await actor.change(SetActive(check_name(name), is_active=True), wait=_wait())
        return json_response({"status": "success", "instance": name, "active": True})

    @app.post("/api/instances/<name>/disable")
    async def disable(name: str) -> Response:
        name = await actor.change(SetActive(check_name(name), is_active=False), wait=False)
        return json_response({"status": "success", "instance": name, "active": False})

    @app.post("/api/instances/<name>/restart")
    async def restart(name: str) -> Response:
        name = await actor.ask(RestartInstance(check_name(name), _wait()))
        return json_response({"status": "success", "instance": name})


# --- The log ---------------------------------------------------------------------------------


def _add_log_routes(app: QuartTrio, tickets: Tickets, followers: Followers) -> None:
    @app.post("/api/ws-ticket")
    @sync_route
    def ticket() -> Response:
        principal = principal_of(request.scope)
        check_may_read_log(principal)
        return json_response({"ticket": tickets.issue(principal), "expires_in_s": TICKET_S})

    @app.websocket("/ws")
    async def follow() -> Response | None:
        try:
            check_may_read_log(principal_of(websocket.scope))
        except RpcError as error:
            return error_response(error, None)
        level = websocket.args.get("level", "DEBUG").upper()
        if level not in LEVEL_NUMBERS:
            problem = f"expected one of {', '.join(LEVEL_NUMBERS)}"
            return json_response(DoesNotFit(("query", "level"), problem).to_detail(), 422)
        if followers.is_full:
            return json_response({"detail": "Too many follow the log already"}, 503)
        await websocket.accept(None)  # pyright: ignore[reportUnknownMemberType]
        if not await followers.serve(LEVEL_NUMBERS[level], websocket.send, websocket.receive):
            await websocket.close(GOING_AWAY, "The router is stopping")
        return None

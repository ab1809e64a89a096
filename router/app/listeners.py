"""The listeners of one router: their supervised children, and their moves to other addresses.

Invariants:

- When settings move listeners, all new sockets are bound before any old socket is closed. If one of
  them cannot be bound, every listener stays where it is.
- Only the listeners that moved are restarted; clients and servers of the others notice nothing.
- What a listener needs is imported in a worker thread when it starts, beside everything else.
- A listener whose socket the service manager handed over never moves. It takes requests until no
  new ones can come, also when the router is to stop.
"""

from __future__ import annotations

import logging
import math
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import trio
import trio.lowlevel
from msgspec import Struct, field

from router.access.admission import check_exposure
from router.app.listening.browser_login import values_at_api_start
from router.app.listening.local_listener import LOCAL, LocalListener
from router.app.listening.up_listeners import UpListeners
from router.app.sockets import configured_at, rebind
from router.config.redacted import mask_secrets
from router.reload.pin_store import review_pins
from router.version import VERSION
from supervisors.child import ChildSpec, Restart, RestartChild
from transports.listen.stdio.listener import StdioListener

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from router.access.admission import Admission
    from router.access.live_admission import LiveAdmission
    from router.access.places import Places
    from router.app.listening.browser_login import BrowserLogin
    from router.app.listening.local_port import LocalPort
    from router.app.listening.local_socket import LocalSocket
    from router.app.logins.router_logins import RouterLogins
    from router.app.sockets import Bound
    from router.config.settings import Api, Settings
    from router.config.values import Mode
    from router.dispatch.actor import Inbound
    from router.messages.observability.metrics import ActorCounts
    from router.messages.observability.records import Record
    from router.oauth.browser.browser_logins import BrowserLogins
    from router.reload.instance_store import InstanceStore
    from router.reload.live_settings import LiveSettings
    from router.reload.profile_store import ProfileStore
    from supervisors.child import Command
    from transports.listen.http.http_endpoint import HttpEndpoint
    from transports.listen.http.sse_endpoint import SseEndpoint
    from transports.listen.rest.log_stream import Follow
    from transports.listen.serving.admitting.open_routes import OpenRoutes
    from transports.listen.serving.hosting.connection_counts import ConnectionCounts
    from transports.listen.serving.hosting.hand_over import HandOver
    from transports.listen.serving.hosting.listener import Application, AsgiListener

log = logging.getLogger("mcp_router.listen")

STDIO: Final = "stdio"
"""The name of the child that is the stdio listener."""

LISTENER_GRACE_S: Final = 8.0
"""How long a listener may take to end; each bounds its own steps below this."""


class Listeners(Struct, eq=False):
    """The listeners, one for each socket, and one for stdio.

    Attributes:
        settings: the settings in force; the REST listener shows them, and starts with them.
        instances: the instance store; the REST listener shows its problems as well.
        profiles: shows and changes profiles, for the REST listener.
        admission: admits clients.
        places: the views that have a place of their own.
        follow: begins to follow the log.
        write_record: hands a record to those who keep it.
        actor_counts: the numbers of what the dispatch actor has done.
        drops: kind -> returns the lines or records of it that were dropped so far.
        connections: listener -> the numbers of its connections.
        inbox: the dispatch actor's; the listeners send into it.
        commands: takes commands to the supervisor of the listeners, which restarts those that move.
        bound: the sockets at their present addresses.
        stdio: the streams of this process; None if they are not for MCP.
        local: the local socket or port; None if there is none.
        open_routes: load routes of every listener that need no token; in a worker thread.
        logins, browser_login: to servers, and of browsers, for the REST listener; None for none.
        is_draining: set once the router is to stop: new sessions and calls get 503, and `/health`
            and `/readyz` say so, while the calls in flight come to their end.
        up: the listeners that are up.
    """

    settings: LiveSettings
    instances: InstanceStore
    profiles: ProfileStore
    admission: LiveAdmission
    places: Places
    follow: Follow
    write_record: Callable[[Record], None]
    actor_counts: ActorCounts
    drops: Mapping[str, Callable[[], int]]
    inbox: trio.MemorySendChannel[Inbound]
    commands: trio.MemorySendChannel[Command]
    bound: Sequence[Bound]
    stdio: tuple[trio.abc.ReceiveStream, trio.abc.SendStream] | None = None
    local: LocalSocket | LocalPort | None = None
    open_routes: tuple[Callable[[], OpenRoutes], ...] = ()
    logins: RouterLogins | None = None
    browser_login: BrowserLogin | None = None
    is_draining: bool = False
    connections: dict[str, ConnectionCounts] = {}
    up: UpListeners = field(default_factory=UpListeners)
    _hand_over: HandOver | None = None
    _has_handed_over: bool = False
    _without_effect: dict[Mode, tuple[str, int]] = {}
    _moved: tuple[Bound, ...] = ()
    _at_api_start: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        self._at_api_start = values_at_api_start(self.settings.current)

    # --- Children ----------------------------------------------------------------------------

    def children(self) -> list[ChildSpec]:
        """Return the supervised children, as they are now."""
        children = [self._child_of(bound) for bound in self.bound]
        if self.stdio is not None:
            linger_s = self.settings.current.server.drain_s
            run = StdioListener(self.inbox, *self.stdio, linger_s=linger_s)
            children.append(ChildSpec(STDIO, run, restart=Restart.NEVER, grace_s=LISTENER_GRACE_S))
        self.up.expect(child.name for child in children)
        if self.local is not None:
            children.append(self._local_child(self.local))
        self._say_what_does_not_matter(self.settings.current)
        return children

    def _child_of(self, bound: Bound) -> ChildSpec:
        if bound.wanted_port not in (0, bound.port):
            text = "Port %d is taken, so %s listens on %d, as %s.auto_find_port allows"
            log.warning(text, bound.wanted_port, bound.mode, bound.port, bound.section)
        return ChildSpec(bound.mode, _NetworkListener(bound, self), grace_s=LISTENER_GRACE_S)

    def _local_child(self, local: LocalSocket | LocalPort) -> ChildSpec:
        run = LocalListener(
            local=local,
            inbox=self.inbox,
            places=self.places,
            refusals=self.admission.refusals,
            is_draining=lambda: self.is_draining,
            load_rest=partial(_load_rest, self),
            connections=self.connections,
        )
        # Another router may have the socket for as long as it likes.
        return ChildSpec(LOCAL, run, grace_s=LISTENER_GRACE_S, start_timeout_s=math.inf)

    def _say_what_does_not_matter(self, settings: Settings) -> None:
        """Log the keys that the service manager decides, at the start and when they change."""
        for bound in self.bound:
            if not bound.is_handed_over:
                continue
            configured = configured_at(settings, bound.mode)
            if self._without_effect.get(bound.mode) != configured:
                self._without_effect[bound.mode] = configured
                section = "api" if bound.mode == "api" else "server"
                text = "The service manager opened the socket for %s (%s): %s.host and %s.port do "
                text += "not matter"
                log.info(text, bound.mode, bound.host, section, bound.section)

    # --- The end -----------------------------------------------------------------------------

    async def hand_over(self) -> None:
        """Leave the sockets that were handed over to the next process, and lose no request.

        It takes as long as the calls that came in through them.
        """
        try:
            if self._hand_over is None:
                await trio.lowlevel.checkpoint()
            else:
                await self._hand_over.complete()
        finally:
            # Cancelled, it has taken too long: what comes in now is refused, too.
            self._has_handed_over = True

    def hand_over_of(self, bound: Bound) -> HandOver | None:
        """Return what tells a listener to leave its socket; None for a socket of this process."""
        if not bound.is_handed_over:
            return None
        if self._hand_over is None:
            # For start-up time: only a service with a socket unit needs it.
            from transports.listen.serving.hosting.hand_over import HandOver

            self._hand_over = HandOver()
        return self._hand_over

    def is_refusing(self, bound: Bound) -> bool:
        """Return whether a listener begins nothing new."""
        return self.is_draining and (self._has_handed_over or not bound.is_handed_over)

    # --- Moves -------------------------------------------------------------------------------

    def prepare(self, new: Settings) -> None:
        """Bind sockets for the addresses that these settings change. Blocks: it looks up names.

        Raises:
            ConfigError: an address cannot be bound, or must not be bound or kept without a token.
                Nothing has changed.
        """
        for bound in self.bound:  # Each serves at its old address until it has moved.
            check_exposure(bound.reach, new.security)
        self._moved = rebind(new, self.bound)

    def apply(self, new: Settings) -> None:
        """Restart the listeners for which `prepare` has bound other sockets, on those sockets."""
        moved: dict[Mode, Bound] = {bound.mode: bound for bound in self._moved}
        self._moved = ()
        before, at_api_start = self.bound, self._at_api_start
        self.bound = tuple(moved.get(bound.mode, bound) for bound in before)
        self._at_api_start = values_at_api_start(new)
        self._say_what_does_not_matter(new)
        for bound in self.bound:
            has_new_values = bound.mode == "api" and self._at_api_start != at_api_start
            if bound.mode in moved or has_new_values:
                # Each mode has at most one command here, and the supervisor takes them at once.
                self.commands.send_nowait(RestartChild(bound.mode, self._child_of(bound)))
        for bound in before:
            if bound.mode in moved:
                bound.sock.close()

    # --- Shown by the REST API ---------------------------------------------------------------

    def about(self) -> dict[str, Any]:
        """Return the members that `GET /` shows of this router: the URLs of its listeners."""
        return {"endpoints": {bound.mode: bound.url for bound in self.bound}}

    def config(self) -> dict[str, Any]:
        """Return the members that `GET /api/config` shows besides the instances."""
        return {
            "settings": mask_secrets(self.settings.current),
            "problems": [
                *self.settings.problems,
                *self.places.problems,
                *self.instances.problems,
            ],
        }


class _NetworkListener(Struct, frozen=True):
    """A listener for HTTP that imports its parts when it starts."""

    bound: Bound
    listeners: Listeners

    async def __call__(
        self, stopping: trio.Event, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
    ) -> None:
        run = await trio.to_thread.run_sync(self._load)
        await run(stopping, task_status=task_status)

    def _load(self) -> AsgiListener:
        # For start-up time: Hypercorn is not needed on stdio, nor for the first answer there.
        if self.bound.mode == "api":
            return self._load_api()
        from transports.listen.serving.asgi import AsgiApp

        endpoint_class = _endpoint_class(self.bound.mode)
        inbox, places = self.listeners.inbox, self.listeners.places
        admission = self.listeners.admission
        admit = admission.server.admit_with("call")

        def is_refusing() -> bool:
            return self.listeners.is_refusing(self.bound)

        def new_app() -> Application:
            endpoint = endpoint_class(
                inbox,
                admit,
                places,
                is_draining=is_refusing,
                rules=lambda: admission.server.rules,
                lifetime_of=admission.server.lifetime_of,
            )
            app = AsgiApp(admission.register(places.register(endpoint)))
            return _with_open_paths(self.listeners, app, admission.server)

        server = self.listeners.settings.current.server
        own = server.http if self.bound.mode == "http" else server.sse
        return self._listener(new_app, has_fast_lane=own.fast_lane)

    def _listener(
        self, new_app: Callable[[], Application], *, has_fast_lane: bool = False
    ) -> AsgiListener:
        # For start-up time, as above.
        from transports.listen.serving.hosting.connection_counts import ConnectionCounts
        from transports.listen.serving.hosting.listener import AsgiListener

        listeners = self.listeners
        return AsgiListener(
            self.bound.sock,
            self.bound.url,
            new_app,
            locate=listeners.admission.locate,
            has_fast_lane=has_fast_lane,
            counts=listeners.connections.setdefault(self.bound.mode, ConnectionCounts()),
            hand_over=listeners.hand_over_of(self.bound),
        )

    def _load_api(self) -> AsgiListener:
        api, admission = self.listeners.settings.current.api, self.listeners.admission.api
        login = self.listeners.browser_login
        browsers = None if login is None else login.load()
        return self._listener(_load_rest(self.listeners, admission, api, browsers))


def _with_open_paths(
    listeners: Listeners,
    app: Application,
    admission: Admission,
    browsers: BrowserLogins | None = None,
) -> Application:
    # For start-up time, as above.
    from transports.listen.serving.admitting.checked_tokens import WithCheckedTokens
    from transports.listen.serving.admitting.open_routes import WithOpenRoutes, joined
    from transports.listen.serving.health import Health, WithHealth

    health = Health(
        inbox=listeners.inbox,
        admit=admission.admit,
        check_site=admission.check_site if admission.has_open_paths else admission.admit,
        are_listening=listeners.up.are_all_up,
        is_stopping=lambda: listeners.is_draining,
        ready_when=lambda: listeners.settings.current.server.ready_when,
        refused=admission.refusals.note,
    )
    with_health = WithCheckedTokens(
        WithHealth(app, health), admission.check_token, lambda: bool(admission.rules.issuers)
    )
    loaded = [load() for load in listeners.open_routes]
    if browsers is not None:
        loaded.append(browsers.routes)
    return WithOpenRoutes(with_health, joined(loaded), health.check_site)


def _load_rest(
    listeners: Listeners,
    admission: Admission,
    api: Api | None = None,
    browsers: BrowserLogins | None = None,
) -> Callable[[], Application]:
    """Return a function that makes the REST API for those whom `admission` admits."""
    # For start-up time: Quart takes twice as long to import as all the rest.
    from transports.listen.rest.backend import NoLogins, RestBackend
    from transports.listen.rest.metric_sources import MetricSources
    from transports.listen.rest.rest_app import RestApp

    backend = RestBackend(
        inbox=listeners.inbox,
        admit=admission.admit,
        version=VERSION,
        needs_token=lambda: admission.rules.needs_token,
        is_known=admission.is_known,
        has_open_paths=admission.has_open_paths,
        refused=admission.refusals.note,
        lifetime_of=admission.lifetime_of,
        browsers=browsers,
        cors_origin="" if api is None else api.cors_origin,
        about=listeners.about,
        config=listeners.config,
        entry=listeners.instances.entry,
        profiles=listeners.profiles,
        review_pins=review_pins,
        follow=listeners.follow if api is None or api.enable_realtime_logs else None,
        write_record=listeners.write_record,
        logins=NoLogins() if listeners.logins is None else listeners.logins.for_asking(),
        metrics=MetricSources(listeners.actor_counts, listeners.drops, listeners.connections),
        is_draining=lambda: listeners.is_draining,
    )
    return lambda: _with_open_paths(listeners, RestApp(backend), admission, browsers)


def _endpoint_class(mode: Mode) -> type[HttpEndpoint | SseEndpoint]:
    # For start-up time: each mode imports only its own endpoint.
    if mode == "http":
        from transports.listen.http.http_endpoint import HttpEndpoint

        return HttpEndpoint
    from transports.listen.http.sse_endpoint import SseEndpoint

    return SseEndpoint

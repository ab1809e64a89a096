"""Keeps one row for each configured instance, with its state and the lists that clients see of it.

The `record_…` methods are the transitions: one for each event that reports on an instance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from msgspec import Struct, field

from router.core.bounded.fair_queue import FairQueue
from router.core.names import direct_names
from router.core.names.exposed_catalog import NOTHING, ExposedCatalog, expose
from router.core.text.raw_json import printable
from router.messages.catalog import KnownServer
from router.messages.instances.instance_state import CONNECTED_STATES, InstanceState
from router.messages.params import object_of
from router.messages.revisions import STATELESS_REVISION

if TYPE_CHECKING:
    from collections.abc import Hashable

    from msgspec import Raw

    from router.core.pinning.pin_table import PinnedTools
    from router.core.protocol.tool_schemas import Schemas
    from router.messages.events import SessionUp
    from router.messages.frames import ClientId, RequestId
    from router.messages.instances.exposure import Exposure
    from router.messages.instances.instance_spec import InstanceSpec

NamedKind: TypeAlias = Literal["tools", "prompts"]
"""The lists whose items have direct names."""


_LISTED_STATES: Final = CONNECTED_STATES | {
    InstanceState.STARTING,
    InstanceState.BACKOFF,
    InstanceState.NEEDS_LOGIN,
}
"""While an instance is expected to be ready soon, its last known lists are shown. A call of what
they list waits for it, or says why it cannot."""


class Instance(Struct):
    """One configured upstream.

    Attributes:
        spec: its configuration.
        name: the name by which it was configured.
        state: see `InstanceState`.
        since_s: monotonic second of the last change of `state`.
        restarts: number of restarts, as the supervisor counts them.
        doing: what its start does or waits for, if it takes long and that is known.
        last_error: the reason of its last end or failed start. Once it is ready, it says which of
            its lists are not whole, and is None if all are.
        login_url: the page on which the person whose session this is can log in, while it is
            `needs_login`; empty if there is none.
        retry_at_s: monotonic second of the next start, while in `backoff` or `failed`, or of the
            next call, while `degraded`; None when none is planned.
        session: its live session, only while `ready` or `degraded`.
        known: the last known description of its server; None if it was never asked.
        capabilities: the capabilities of its server, raw, by name, as far as they are known.
        offers: the lists that clients see of it: those of the session, or the last known ones.
        pins: the approved tools; None with pinning off, and in the rows of single sessions. Where
            each person has a session, each part has its own, and those of the whole stay empty.
        client_sessions: the rows of its clients' sessions by their keys, oldest first, if each
            client has a session of its own. Then `session` is always None, the state sums up
            theirs, and `known` and the lists are the newest of theirs.
        persons: the parts of it that persons have, by the names of their principals, if each has a
            session of its own; oldest first.
        replicas: the rows of its replicas, oldest first, if it has several; likewise.
        tool_names: the names of the tools in these lists.
        schemas: the input schemas of those tools; None until the first call after a listing.
        encoded: everything that was made of the lists, kept until they change: the lists as they
            are sent to clients (`listings`), their tokens (`tool_costs`) and others.
        start: the number of the last command to start it; see `RoutingState.start_of`.
        has_started: True once the supervisor has begun an incarnation of this row. Reports before
            that are about an incarnation with an earlier configuration.
        call_count: number of calls sent to it since it got this configuration.
        was_ready: True if the last incarnation got as far as `ready`.
        is_waking: True from the use that started it while `idle` until it is ready or has failed.
        stop_pending: True while the supervisor has yet to report that it was stopped; only then it
            may be started anew, and reports until then are about the incarnation that ends.
        used_s: monotonic second of the end of its last call, or of the use that started it; None
            if nobody has used it since it was configured or `idle`.
        waiting: the keys of the requests that wait for it to become ready, or for their turn,
            oldest first.
        turns: those that wait for their turn.
    """

    spec: InstanceSpec
    state: InstanceState
    since_s: float
    name: str = ""  # of `spec`
    restarts: int = 0
    last_error: str | None = None
    doing: str | None = None
    login_url: str = ""
    retry_at_s: float | None = None
    session: SessionUp | None = None
    known: KnownServer | None = None
    capabilities: dict[str, Raw] = {}
    offers: ExposedCatalog = NOTHING
    pins: PinnedTools | None = None
    client_sessions: dict[Hashable, Instance] = {}
    persons: dict[str, Instance] = {}
    replicas: list[Instance] = []
    tool_names: frozenset[str] = frozenset()
    schemas: Schemas | None = None
    encoded: dict[Any, Any] = {}
    start: int = 0
    has_started: bool = False
    call_count: int = 0
    was_ready: bool = False
    is_waking: bool = False
    stop_pending: bool = False
    used_s: float | None = None
    waiting: dict[tuple[ClientId, RequestId], None] = {}
    turns: FairQueue[tuple[ClientId, RequestId]] = field(
        default_factory=FairQueue[tuple["ClientId", "RequestId"]]
    )
    # What `offers` was made of; None while nothing is shown.
    _shown: tuple[KnownServer, Exposure, frozenset[str] | None] | None = None
    # By kind and limit: the direct names, since the last listing.
    _direct_names: dict[tuple[str, int], dict[str, str]] = {}

    def __post_init__(self) -> None:
        self.name = self.spec.name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.address} {self.state}>"

    @property
    def address(self) -> str:
        """Names it and what follows it: the sessions after this one, and other configurations."""
        return self.spec.name

    @property
    def person(self) -> str | None:
        """The name of the only principal that it is for; None for an instance of everybody."""
        return self.spec.person

    @property
    def is_per_client(self) -> bool:
        """True if each client has a session of its own, and so a row in `client_sessions`."""
        return self.spec.sessions == "per_client"

    @property
    def listed_as(self) -> Instance:
        """The configured instance, whose lists clients see."""
        return self

    @property
    def task_scope(self) -> str:
        """Names, in the handles of tasks, where an id of a task is unique."""
        return self.name

    @property
    def awaited_as(self) -> Instance:
        """The row in whose `waiting` the requests are that this session could serve."""
        return self

    @property
    def is_awaited(self) -> bool:
        """True while it may turn out to have other lists: its session is not up."""
        if self.is_per_client or self.state is InstanceState.IDLE:
            return self.known is None
        return not self.is_connected

    @property
    def is_connected(self) -> bool:
        """True if its session is up, or that of any client or replica."""
        if self.is_per_client or self.spec.has_replicas:
            return self.state in CONNECTED_STATES
        return self.session is not None

    def enter(self, state: InstanceState, now_s: float) -> None:
        """Change the state; `since_s` moves only when the state is a different one."""
        if state is not self.state:
            self.state, self.since_s = state, now_s
        self.retry_at_s = self.doing = None
        self.login_url = ""
        if state is not InstanceState.STARTING:
            self.is_waking = False
        if state not in CONNECTED_STATES:
            self.session = None
        self._show_known()

    def record_waking(self, now_s: float) -> None:
        """Record that somebody needs it while it is `idle`, so that it is being started."""
        self.used_s = now_s
        self.is_waking = True
        self.enter(InstanceState.STARTING, now_s)

    def record_idle(self, now_s: float) -> None:
        """Record that nothing runs for it any more, because nobody used it."""
        self.enter(InstanceState.IDLE, now_s)
        self.last_error, self.used_s = None, None
        self.has_started = False

    def record_starting(self, now_s: float) -> None:
        """Record that the supervisor began an incarnation; after a failure that is a restart."""
        if self.state in {InstanceState.BACKOFF, InstanceState.FAILED}:
            # The supervisor's own count comes with the next failure only.
            self.restarts += 1
        self.enter(InstanceState.STARTING, now_s)
        self.has_started, self.was_ready = True, False

    def record_session_up(self, session: SessionUp, now_s: float) -> None:
        """Record that a session finished its handshake and listing."""
        self.enter(InstanceState.READY, now_s)
        self.was_ready = True
        self.record_catalog(session)

    def record_degraded(self, reason: str, retry_at_s: float, now_s: float) -> None:
        """Record that its server refuses calls and gets none before `retry_at_s`."""
        self.enter(InstanceState.DEGRADED, now_s)
        self.retry_at_s = retry_at_s
        self._record_reason(reason)

    def record_recovered(self, now_s: float) -> None:
        """Record that its server answers calls again."""
        self.enter(InstanceState.READY, now_s)
        self.last_error = self._problem_of_lists()

    def record_catalog(self, session: SessionUp) -> None:
        """Record the session with the catalog that was just listed."""
        self.session = session
        self.known = KnownServer(
            session.revision,
            session.capabilities,
            session.server_info,
            session.instructions,
            session.catalog,
        )
        if self.state is InstanceState.READY:
            self.last_error = self._problem_of_lists()
        self._show_known()

    def _problem_of_lists(self) -> str | None:
        return None if self.session is None else "; ".join(self.session.catalog.problems) or None

    def record_known(self, known: KnownServer) -> None:
        """Record what its server said to another client, or when the router ran last."""
        if known != self.known:
            self.known = known
            self._show_known()

    def record_spec(self, spec: InstanceSpec) -> None:
        """Take over another configuration that the same session serves."""
        self.spec = spec
        self._show_known()

    def _show_known(self) -> None:
        """Show the lists that are known, unless it is too bad off to be listed."""
        if self.is_per_client:
            # The sessions of other clients come and go; each call gets one that works.
            may_list = self.may_run and self.state is not InstanceState.STOPPING
        else:
            # A use that only wakes it changes no list. Nothing else could lead to its first call.
            is_asleep = self.state is InstanceState.IDLE or self.is_waking
            may_list = (
                self.is_connected
                or is_asleep
                or (self.spec.catalogue_cache and self.state in _LISTED_STATES)
            )
        if self.known is None or not may_list:
            self._show(NOTHING, {}, None)
            return
        pins = self.listed_as.pins
        withheld = None if pins is None else pins.withheld(self.known)
        shown = (self.known, self.spec.exposure, withheld)
        if self._shown is None or self._shown[0] is not shown[0] or self._shown[1:] != shown[1:]:
            capabilities = object_of(self.known.capabilities, "capabilities")
            self._show(expose(self.known.catalog, *shown[1:]), capabilities, shown)

    def _show(
        self,
        offers: ExposedCatalog,
        capabilities: dict[str, Raw],
        shown: tuple[KnownServer, Exposure, frozenset[str] | None] | None,
    ) -> None:
        self.offers, self.capabilities, self._shown = offers, capabilities, shown
        self.schemas = None
        self.tool_names = frozenset(item.key for item in offers.catalog.tools)
        self.encoded.clear()
        self._direct_names.clear()

    def hide(self) -> None:
        """Show nothing any more, because it was taken out of the configuration."""
        self._show(NOTHING, {}, None)

    @property
    def is_stale(self) -> bool:
        """True while its lists are the last known ones, and its server has yet to confirm them."""
        return self._shown is not None and not self.is_connected

    @property
    def has_stateless_server(self) -> bool:
        """True if its server speaks 2026-07-28, as far as is known."""
        return self.known is not None and self.known.revision == STATELESS_REVISION

    def record_session_lost(self, reason: str, now_s: float) -> None:
        """Record that the session's wire broke; the supervisor reports next what it does."""
        self.enter(InstanceState.BACKOFF, now_s)
        self._record_reason(reason)

    def record_down(
        self, reason: str, restarts: int, retry_in_s: float | None, now_s: float
    ) -> None:
        """Record the end of an incarnation.

        Args:
            reason: why it ended; empty when it was stopped on command.
            restarts: the supervisor's count.
            retry_in_s: seconds until the next start; 0 for a restart on command, None for no
                restart.
            now_s: monotonic second of the event.
        """
        if retry_in_s is None:
            self.enter(InstanceState.FAILED, now_s)
        elif retry_in_s > 0:
            self.enter(InstanceState.BACKOFF, now_s)
            self.retry_at_s = now_s + retry_in_s
        else:
            self.enter(InstanceState.STARTING, now_s)
        self.restarts = restarts
        self._record_reason(reason)

    def record_failed(self, reason: str, restarts: int, probe_in_s: float, now_s: float) -> None:
        """Record that the supervisor gave up: from now on it starts one probe per cool-down."""
        self.enter(InstanceState.FAILED, now_s)
        self.restarts, self.retry_at_s = restarts, now_s + probe_in_s
        self._record_reason(reason)

    def record_needs_login(self, reason: str, restarts: int, login_url: str, now_s: float) -> None:
        """Record that its server asks for a login, so that no start is planned."""
        self.enter(InstanceState.NEEDS_LOGIN, now_s)
        self.restarts, self.login_url = restarts, login_url
        self._record_reason(reason)

    def _record_reason(self, reason: str) -> None:
        # Two events report one end: an empty reason must not hide the one that came first.
        self.last_error = printable(reason) or self.last_error

    def direct_names(self, limit: int, kind: NamedKind = "tools") -> dict[str, str]:
        """Return the direct names of its tools or prompts -> the names in its own lists.

        Args:
            limit: the greatest length of a name in characters.
            kind: the list.
        """
        names = self._direct_names.get((kind, limit))
        if names is None:
            keys = (item.key for item in getattr(self.offers.catalog, kind))
            names = direct_names.names_of(self.name, keys, limit)
            self._direct_names[kind, limit] = names
        return names

    def own_tool(self, shown: str) -> str | None:
        """Return its server's name for a tool; None if the filter may have left out this name.

        A name that is not listed is passed on where there is no filter: its server may know it.
        """
        if shown not in self.tool_names and self.offers.hides_tools:
            return None
        return self.offers.own_name(shown)

    def declares(self, capability: str) -> bool:
        """Return whether its server declares a capability, as far as is known now."""
        return capability in self.capabilities

    def is_startable(self) -> bool:
        """Return whether the supervisor is to run a session for it, under its own name."""
        return self.may_run and not self.is_per_client and not self.spec.has_replicas

    @property
    def may_run(self) -> bool:
        """True if sessions of it can be started at all."""
        return self.spec.is_active and self.spec.problem is None

    def may_become_ready(self) -> bool:
        """Return whether a call may wait for this instance.

        True while it starts, and during the short back-off of an instance that was ready before.
        An instance that failed to start answers at once with the reason; one that is `idle` is
        started by the call.
        """
        if self.replicas:
            return any(row.may_become_ready() for row in self.replicas)
        return self.state in {InstanceState.IDLE, InstanceState.STARTING} or (
            self.state is InstanceState.BACKOFF and self.was_ready
        )

    def retry_in_s(self, now_s: float) -> float | None:
        """Return the seconds until its next start; None when no start is planned."""
        return None if self.retry_at_s is None else max(0.0, self.retry_at_s - now_s)

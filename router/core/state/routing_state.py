"""Holds all routing state, and the effects of the event that is being handled.

Invariant: one `Core` owns the one `RoutingState`; everything below it gets it as an argument.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

import attrs
from msgspec import Struct, field

from router.core.bounded.kept_results import KeptResults
from router.core.measures.call_counts import CallCounts
from router.core.state.calls import Calls
from router.core.state.deadlines import Deadlines
from router.core.state.instance_table import Instances
from router.core.state.session_rows import ClientSessions
from router.core.state.tasks import Tasks
from router.core.state.views import ALL, ListChoice, Sight, View, Views
from router.core.state.waiting.approvals import Approvals
from router.core.state.waiting.searches import Searches
from router.messages.effects import StartSession
from router.messages.errors import INSTANCE_NOT_FOUND, TIMEOUT, RpcError

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.core.bounded.ejection import Ejection
    from router.core.bounded.fair_queue import FairQueue
    from router.core.bounded.usage import Usage
    from router.core.pinning.pin_table import PinnedTools, PinTable
    from router.core.state.clients import (
        Awaiting,
        Client,
        ClientRequest,
        InputRequired,
        Saving,
        ServerRequest,
    )
    from router.core.state.instances import Instance
    from router.core.state.session_rows import Leaving
    from router.core.state.subscriptions import Confirmation
    from router.messages.catalog import KnownServer
    from router.messages.commands import Principal
    from router.messages.core_settings import CoreSettings
    from router.messages.effects import Effect
    from router.messages.events import AdminCommand, SessionUp
    from router.messages.frames import ClientId, Outbox, RequestId, SessionId
    from router.messages.observability.records import TraceContext


class Seal(Protocol):
    """Authenticated encryption with a key that only this process has.

    Clients carry sealed text back and forth (`requestState`, MCP 2026-07-28, Input Required).
    """

    def seal(self, secret: bytes, context: bytes) -> str:
        """Return printable text that reveals nothing, for `unseal` with the same context."""
        ...

    def unseal(self, sealed: str, context: bytes) -> bytes:
        """Return the secret that was sealed.

        Raises:
            ValueError: the text was sealed elsewhere or for another context, or was changed.
        """
        ...


class Tracer(Protocol):
    """Gives a request its place in a trace."""

    def begin(self, parent: TraceContext | None, /) -> TraceContext | None:
        """Return the place of a request; None if it is to be left alone.

        Args:
            parent: the place of the client's span; None if it names none.
        """
        ...


class NoTracer:
    """Leaves all requests alone."""

    def begin(self, parent: TraceContext | None, /) -> None:
        """See `Tracer.begin`."""


class RoutingState(Struct):
    """Everything the core knows.

    Attributes:
        settings: the settings of `config.json` that the core reads.
        seal: seals what a client has to bring back unread and unchanged: `requestState`, task ids.
        tracer: gives requests their places in traces, if those are wanted.
        now_s: monotonic second of the event that is being handled.
        effects: the effects decided for that event so far, in order.
        instances: the configured instances.
        are_instances_known: False until it was told for the first time which there are.
        client_sessions: the sessions of instances that have one for each client.
        replicas: the replicas of all instances, by the names that the supervisor knows.
        known: the servers of instances that are about to be configured, by instance name.
        pins: the approved tools of all instances; None with pinning off.
        views: the views by the places that show them.
        clients: the client sessions and lone requests, by client id.
        calls: the calls in flight upstream.
        sessions: the instances of live sessions, by session id.
        ejections: the sessions whose servers have failed since their last success.
        parked: deadlines of the requests that wait for an instance.
        queues: the rows at which requests wait for their turn, by their `turns`.
        questions_due: the second until which a client has time to answer a request of an upstream,
            by client and the id that it knows; or by call and the key in `inputRequests`.
        saving: changes that are being written, by their key.
        searches: the searches that wait for the search index, and what that was sent.
        code_runs: the requests that wait for code to end, by the key of their `RunCode`.
        asking: commands that are not answered yet, by the client that stands in for the asker.
        leaving: sessions of changed instances that still have calls in flight, by instance name.
        leaving_due: deadlines of those sessions, by instance name.
        idle_due: deadlines of instances that are stopped when nobody uses them, by name.
        input_required: calls that wait for their client's retry, by a key of their own.
        input_required_due: the second until which the outcome of such a call is kept, by that key.
        approvals: the calls that wait for a yes.
        elicited: clients that were sent to a URL, by session and the session's elicitation id.
        subscribers: by the address of a row and by URI, the clients that are told of updates of a
            resource, each with the URI that it knows.
        listens: the id of the open `subscriptions/listen` for resources, by session.
        listens_due: the second at which such a subscription is opened again, by session.
        confirmations: requests that subscribe upstream and were not confirmed yet, by their id.
        confirmations_due: the second after which nobody waits for that any more, by that id.
        tasks: the tasks of servers that clients know.
        kept_results: the results that were cut.
        counts: the requests that have ended, and what became of sessions.
        usages: the use that tokens make of their limits, by name; only of tokens that have any.
        lone_choices: the lists of tools that clients without sessions got last in `auto` views, by
            place, client and the name of its principal.
        log_level: the lowest level that any client set, as upstreams were told; None for none.
        draining: True while the router stops.
        drain_reply_to: gets None once nothing is under way (`is_busy`); None before `Drain`
            and after the reply.
    """

    settings: CoreSettings
    seal: Seal
    tracer: Tracer = field(default_factory=NoTracer)
    now_s: float = 0.0
    effects: list[Effect] = []
    instances: Instances = field(default_factory=Instances)
    are_instances_known: bool = False
    client_sessions: ClientSessions = field(default_factory=ClientSessions)
    replicas: dict[str, Instance] = {}
    known: dict[str, KnownServer] = {}
    pins: PinTable | None = None
    views: Views = field(default_factory=Views)
    clients: dict[ClientId, Client] = {}
    calls: Calls = field(default_factory=Calls)
    sessions: dict[SessionId, Instance] = {}
    ejections: dict[SessionId, Ejection] = {}
    parked: Deadlines[tuple[ClientId, RequestId]] = field(
        default_factory=Deadlines[tuple["ClientId", "RequestId"]]
    )
    queues: dict[FairQueue[tuple[ClientId, RequestId]], Instance] = {}
    questions_due: Deadlines[tuple[ClientId | int, RequestId]] = field(
        default_factory=Deadlines[tuple["ClientId | int", "RequestId"]]
    )
    saving: dict[int, Saving] = {}
    searches: Searches = field(default_factory=Searches)
    code_runs: dict[int, Awaiting] = {}
    asking: dict[ClientId, AdminCommand] = {}
    leaving: dict[str, Leaving] = {}
    leaving_due: Deadlines[str] = field(default_factory=Deadlines[str])
    idle_due: Deadlines[str] = field(default_factory=Deadlines[str])
    input_required: dict[int, InputRequired] = {}
    input_required_due: Deadlines[int] = field(default_factory=Deadlines[int])
    approvals: Approvals = field(default_factory=Approvals)
    elicited: dict[tuple[SessionId, str], ClientId] = {}
    subscribers: dict[str, dict[str, dict[ClientId, str]]] = {}
    listens: dict[SessionId, int] = {}
    listens_due: Deadlines[SessionId] = field(default_factory=Deadlines["SessionId"])
    confirmations: dict[int, Confirmation] = {}
    confirmations_due: Deadlines[int] = field(default_factory=Deadlines[int])
    tasks: Tasks = field(default_factory=Tasks)
    kept_results: KeptResults = field(default_factory=KeptResults)
    counts: CallCounts = field(default_factory=CallCounts)
    usages: dict[str, Usage] = {}
    lone_choices: dict[tuple[str | None, str, str], ListChoice] = {}
    log_level: str | None = None
    draining: bool = False
    drain_reply_to: Outbox | None = None
    _last_key: int = 0

    def next_key(self) -> int:
        """Return a number that was never returned before."""
        self._last_key += 1
        return self._last_key

    @property
    def is_busy(self) -> bool:
        """True while a call, a change, a search or a run of code is under way."""
        return bool(self.calls.by_id or self.saving or self.searches.waiting or self.code_runs)

    def is_awaited(self, awaiting: Awaiting) -> bool:
        """Return whether a request still waits: its client is there, and has not cancelled it."""
        request, client = awaiting.request, awaiting.request.client
        # The id of a request that was cancelled may be another's now.
        return client.id in self.clients and client.awaited.get(request.id) is awaiting

    def start_of(self, row: Instance) -> StartSession:
        """Return the command to start the session of a row, by which that session can be told.

        A former session of the same name may come up, and say so, while the command is on its way.
        """
        row.start = self.next_key()
        return StartSession(attrs.evolve(row.spec, start=row.start))

    def add_question(self, client: Client, request_id: RequestId, asked: ServerRequest) -> None:
        """Have a request of an upstream wait for the answer of a client, for a limited time."""
        limit_s = self.settings.question_timeout_s
        client.server_requests[request_id] = asked
        self.questions_due.arm((client.id, request_id), self.now_s + limit_s)
        if asked.call is not None:
            self.calls.suspend(asked.call, self.now_s, limit_s)

    def take_question(self, client: Client, request_id: RequestId) -> ServerRequest | None:
        """Return such a request, which waits no more; None if it does not wait."""
        self.questions_due.disarm((client.id, request_id))
        return client.server_requests.pop(request_id, None)

    def unanswered_error(self) -> RpcError:
        """Return the error for a request of an upstream that a client has not answered in time."""
        limit = f"{self.settings.question_timeout_s:g} s (mcp_client.question_timeout_s)"
        return RpcError(TIMEOUT, f"The client has not answered within {limit}")

    def row_named(self, name: str) -> Instance | None:
        """Return the row of an instance, client's session or replica by the supervisor's name."""
        row = self.instances.by_name.get(name) or self.client_sessions.by_name.get(name)
        return row or self.replicas.get(name)

    def pins_of(self, instance: str) -> PinnedTools | None:
        """Return the approved tools of an instance; None with pinning off."""
        return None if self.pins is None else self.pins.of(instance)

    def task_scope(self, session: SessionUp) -> str:
        """Return the name, in the handles of tasks, under which a live session's ids are unique."""
        row = self.sessions.get(session.session)
        return session.configured_as if row is None else row.task_scope

    def row_at(self, address: str) -> Instance | None:
        """Return the row of an instance, or of a client's session, at this address."""
        return self.instances.by_name.get(address) or self.client_sessions.by_address.get(address)

    def sight_of(self, client: Client) -> Sight:
        """Return what this client sees; it is found out once per change of the configuration.

        Raises:
            RpcError: -32010, the place that it asked for does not exist (any more).
        """
        sight = client.sight
        if (
            sight is not None
            and sight.instances is self.instances
            and sight.settings is self.settings
        ):
            return sight
        view = self.find_view(client)
        if view is None:
            shown = client.place or client.principal.profile or self.settings.view
            raise RpcError(INSTANCE_NOT_FOUND, f"View not found: {shown}")
        seen = view.seen_by(self.instances, client.principal)
        sight = client.sight = Sight(view, seen, self.settings, self.instances)
        return sight

    def forget_sights(self) -> None:
        """Have it found out anew; each client would keep the former state until it asks again."""
        for client in self.clients.values():
            client.sight = None

    def view_of(self, client: Client) -> View:
        """Return the view of this client; see `sight_of`."""
        return self.sight_of(client).view

    def find_view(self, client: Client) -> View | None:
        """Return what this client sees; None if the place that it asked for does not exist."""
        if client.era == "own":
            return self.view_of_sender(client.principal)
        place = client.place or client.principal.profile
        return self.views.find(place, self.settings, self.instances)

    def view_of_sender(self, principal: Principal) -> View | None:
        """Return what the sender of a command sees: everything, or the profile of its token.

        The result is None if that profile does not exist (any more).
        """
        if principal.profile is None:
            return ALL
        return self.views.find(principal.profile, self.settings, self.instances)

    def seen_by(self, client: Client) -> Instances:
        """Return the instances that this client sees; see `sight_of`."""
        return self.sight_of(client).seen

    def shown_to(self, principal: Principal) -> Instances:
        """Return the instances that whoever sends a command sees: of its profile, if it has one."""
        view = self.view_of_sender(principal)
        return Instances() if view is None else view.seen_by(self.instances, principal)

    def overseen_by(self, principal: Principal) -> Instances:
        """Return the same, but what is each person's own is summed up for all persons."""
        view = self.view_of_sender(principal)
        return Instances({} if view is None else view.overseen_by(self.instances, principal))


Method: TypeAlias = "Callable[[RoutingState, ClientRequest], None]"
"""Answers, forwards or parks a request; it raises `RpcError` to have that answered."""

"""Keeps one row for each client session, with its requests that are not answered yet.

A request without a session (MCP 2026-07-28) gets a row of its own. The rows of calls, and of the
questions that upstreams ask about them, stand here as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct, field

from router.core.names.client_names import spelling_for
from router.core.protocol.severities import DEFAULT_LOG_LEVEL, LOG_LEVELS
from router.core.state.views import Selection
from router.core.text.raw_json import is_object, optional_text_of
from router.messages.errors import TIMEOUT, RpcError
from router.messages.frames import NO_RAW, ErrorResponse, Response
from router.messages.params import object_of
from router.messages.revisions import DEFAULT_REVISION

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from msgspec import Raw

    from router.core.bounded.usage import Usage
    from router.core.measures.call_draft import CallDraft
    from router.core.names.client_names import Spelling
    from router.core.protocol.questions import InputRequest, InputRound
    from router.core.state.instances import Instance
    from router.core.state.subscriptions import Subscription
    from router.core.state.tasks import KnownTask
    from router.core.state.views import ListChoice, Sight
    from router.messages.commands import Change, Principal
    from router.messages.events import SessionUp
    from router.messages.frames import ClientId, Outbox, RequestId
    from router.messages.params import Params
    from router.messages.revisions import Era

Members: TypeAlias = "dict[str, Raw]"
"""The members of `params`."""


class ClientRoots(Struct, eq=False):
    """The roots of a client session, as far as instances depend on them (`${roots.0}`).

    Attributes:
        first: the path of its first root; None while it was not asked, or after it said that its
            roots have changed.
        asked: the ids of the questions that the router has asked it, and of the request whose
            stream each was sent on; None for its own outbox.
        wanted_by: the names of the instances that are to be started once the root is known.
    """

    first: str | None = None
    asked: dict[RequestId, RequestId | None] = {}
    wanted_by: set[str] = set()


class Client(Struct, eq=False, weakref=True):
    """One client session, or one request without a session, which counts as a client.

    `Struct` gives each row its own copy of the empty defaults. A row may be referred to weakly, so
    that one can find out whether it was freed.

    Attributes:
        id: the client session's id, made by its listener.
        outbox: takes the frames that belong to none of its requests.
        principal: the name and permissions with which its listener admitted it.
        one_shot: True for a lone HTTP request without a session; nothing is remembered for it.
        era: the form that its requests have to have.
        is_stateless: True for one request of MCP 2026-07-28.
        has_initialized: True once it sent `initialize`.
        place: the name of the view that it asked for; None for the default view.
        address: the IP address that it called from; empty if there is none.
        selection: the instance that it chose.
        revision: the negotiated protocol revision.
        capabilities: the capabilities it declared (`roots`, `sampling`, ...), each a raw value.
        info: its `clientInfo`, raw; `NO_RAW` if it sent none.
        log_level: the level that it asked for, None until then.
        owes_listing: the kinds of lists (`tools`, `prompts`, `resources`) that it has not listed
            since it came or was last sent their `list_changed`; to be told again would be no news.
        calls: its requests in flight upstream, by its own id.
        parked: its requests that wait for an instance, or for their turn, by its own id.
        parked_count: the number of these, and of those of its `requests`.
        awaited: its requests that wait for another task of the router, by its own id.
        listed_tools: the list of tools that it got last, where it searches for tools.
        held: its requests that wait for a yes, by its own id: the ids in `RoutingState.approvals`.
        server_requests: requests of upstreams that it has not answered yet, by its id for them.
        requests: its requests without a session that are not answered yet, by its own id.
        request: the request that this row stands for, until it is answered; None for a session.
        connection: the client whose connection that request shares; None if it has its own.
        resources: the addresses of rows and the URIs of the resources that it is told updates of.
        subscription: the open subscription that this row stands for; None if it is none.
        roots: its roots, if an instance depends on them.
        is_recorded: True once the begin of this session was recorded.
        sight: what it saw when it was last asked for; see `RoutingState.sight_of`.
        list_choice: the list of tools that it gets in an `auto` view; None until it is chosen.
    """

    id: ClientId
    outbox: Outbox
    principal: Principal
    one_shot: bool
    era: Era = "handshake"
    is_stateless: bool = False  # Follows from `era`, and is asked for several times a call.
    has_initialized: bool = False
    place: str | None = None
    address: str = ""
    selection: Selection = field(default_factory=Selection)
    revision: str = DEFAULT_REVISION
    capabilities: dict[str, Raw] = {}
    info: Raw = NO_RAW
    log_level: str | None = None
    owes_listing: set[str] = field(default_factory=lambda: {"tools", "prompts", "resources"})
    calls: dict[RequestId, Call] = {}
    parked: dict[RequestId, Parked] = {}
    parked_count: int = 0
    awaited: dict[RequestId, Awaiting] = {}
    listed_tools: Raw | None = None
    held: dict[RequestId, str] = {}
    server_requests: dict[RequestId, ServerRequest] = {}
    requests: dict[RequestId, Client] = {}
    request: ClientRequest | None = None
    connection: Client | None = None
    subscription: Subscription | None = None
    roots: ClientRoots = field(default_factory=ClientRoots)
    is_recorded: bool = False
    sight: Sight | None = None
    list_choice: ListChoice | None = None
    resources: set[tuple[str, str]] = set()
    _last_server_request_id: int = 0

    def __post_init__(self) -> None:
        self.is_stateless = self.era == "stateless"

    @property
    def is_for_one_request(self) -> bool:
        """True if nothing of this client outlives its request."""
        return self.one_shot or self.is_stateless

    @property
    def hears_beside_requests(self) -> bool:
        """True if it may be sent what belongs to none of its requests.

        At 2026-07-28 nothing is, but on subscriptions; so not to a connection without a handshake.
        """
        return not self.is_for_one_request and (self.era != "either" or self.has_initialized)

    @property
    def peer(self) -> object:
        """The identity of the program at the other end; rows of the same program have equal ones.

        Requests over HTTP without a session have nothing in common but their principal and their
        `clientInfo`. Programs that differ in either are surely two.
        """
        if self.connection is not None:
            return self.connection.id
        if self.one_shot and self.is_stateless:
            return self.principal.name, bytes(self.info)
        return self.id

    @property
    def the_request(self) -> ClientRequest:
        """The one request that this row stands for."""
        assert self.request is not None, "a session is more than one request"
        return self.request

    def wants_list_changed(self, kind: str) -> bool:
        """Return whether a `list_changed` of this kind would be news for it."""
        if self.subscription is not None:
            return kind in self.subscription.kinds
        return not (kind in self.owes_listing or self.is_for_one_request)

    def wants_any_list_changed(self) -> bool:
        """Return whether a `list_changed` of any kind would be news for it."""
        return any(map(self.wants_list_changed, ("tools", "prompts", "resources")))

    def spelling(self, tool_names: str) -> Spelling:
        """Return how the names of the router's own tools are spelled for it.

        Args:
            tool_names: `server.tool_names`.
        """
        name = optional_text_of(object_of(self.info), "name") if is_object(self.info) else None
        return spelling_for(tool_names, name, self.revision)

    def waits_for(self, request_id: RequestId) -> bool:
        """Return whether a request of its own with this id is not answered yet."""
        return (
            request_id in self.calls
            or request_id in self.parked
            or request_id in self.awaited
            or request_id in self.held
            or request_id in self.requests
        )

    def drop_request_row(self, clients: dict[ClientId, Client]) -> None:
        """Remove this row from `clients` if it stands for one request on a connection."""
        if self.connection is not None and clients.pop(self.id, None) is not None:
            del self.connection.requests[self.the_request.id]
            self.request = None  # The two refer to each other: this spares the cycle collector.

    def next_server_request_id(self) -> int:
        """Return an id for a request to this client, unique within its session."""
        self._last_server_request_id += 1
        return self._last_server_request_id

    def wants_log(self, level: str, default: str | None = DEFAULT_LOG_LEVEL) -> bool:
        """Return whether a log message of this severity is to be sent to it.

        A request without a session gets logs only if it asks for them (MCP 2026-07-28, Logging).

        Args:
            level: the severity.
            default: the level of a client that never set one; None for every message.
        """
        if self.is_stateless and self.log_level is None:
            return False
        wanted = self.log_level or default
        if wanted is None:
            return True
        # An unknown level counts as the most severe: better one log message too many.
        return LOG_LEVELS.get(level, LOG_LEVELS["emergency"]) >= LOG_LEVELS[wanted]


class ClientRequest(Struct, eq=False):
    """A request of a client that is being handled, and may be parked meanwhile.

    Attributes:
        client: the client that sent it; without a session, the row of this request alone.
        id: the client's own id.
        method: its method.
        params: its `params`, as they came.
        reply_to: takes progress and the answer.
        began_s: the second at which the router took it.
        is_own_tool: True once it calls one of the router's own tools: errors are results then.
        waits_since_s: the second since which it waits for its turn; None if it does not.
        ends_at_s: the second by which it ends, once it is carried out again after a loss.
        instance: the name of the instance that it was brought to; empty until then.
        draft: the begin of its record; None if there is to be none.
        usage: counts it while it is in flight; None if its token has no limits.
        approved: what a yes was given for: the instance, the server's name of the tool, and the
            digest of the arguments; None without a yes.
    """

    client: Client
    id: RequestId
    method: str
    params: Params
    reply_to: Outbox
    began_s: float = 0.0
    is_own_tool: bool = False
    waits_since_s: float | None = None
    ends_at_s: float | None = None
    instance: str = ""
    draft: CallDraft | None = None
    usage: Usage | None = None
    approved: tuple[str, str, str] | None = None


class Parked(Struct, frozen=True, eq=False):
    """A request that waits for its instance to become ready, or for its turn there.

    Attributes:
        request: the request.
        instance: the row it waits for.
        overdue: the answer when it has waited too long; None for the state of the instance.
        queued_for: the client for which it waits in `instance.turns`; None if it does not.
    """

    request: ClientRequest
    instance: Instance
    overdue: RpcError | None = None
    queued_for: Hashable | None = None


class Call(Struct, eq=False):
    """One request of a client, forwarded to an upstream.

    Attributes:
        id: its id upstream, also its progress token there.
        client: the client that waits for its answer.
        reply_to: takes progress and the answer.
        request_id: the client's own id.
        method: its method.
        session: the incarnation it was sent to.
        instance: the name of that session's instance, for messages.
        progress_token: the client's own raw token, or None when it wants no progress.
        is_own_tool, usage: see `ClientRequest`.
        timeout_s: the time without news after which it ends.
        ends_at_s: the second after which not even progress extends it.
        waited_s: the part of `timeout_s` for which it waited for its turn.
        moved_s: the seconds by which requests of the upstream have moved `ends_at_s`.
        unanswered: how many requests of the upstream about it the client has not answered yet.
        input_required: set while the client is away: from the answer with it to the retry.
        sent: its `params` as they were sent (`_meta` decoded), if it may be sent again with input.
        input_round: the input that its upstream asked for last.
        rewrite: puts its result into the words of the client's view; None to leave it as it is.
        is_transparent: True if the client sees the server as if the router were not there.
        subscribes: the address of the row and the URI of a `resources/subscribe`; else None.
        task: the task whose result a `tasks/result` waits for; None for others.
        headers: what of the headers of its client goes to its server; None for nothing.
        to_repeat: what is needed to send it again: the request, and the raw name of its tool.
        began_s, draft: see `ClientRequest`.
    """

    id: int
    client: Client
    reply_to: Outbox
    request_id: RequestId
    method: str
    session: SessionUp
    instance: str
    is_own_tool: bool
    timeout_s: float
    ends_at_s: float
    progress_token: Raw | None = None
    waited_s: float = 0.0
    moved_s: float = 0.0
    unanswered: int = 0
    input_required: InputRequired | None = None
    sent: dict[str, Any] | None = None
    input_round: InputRound | None = None
    rewrite: Callable[[Raw], Raw] | None = None
    is_transparent: bool = False
    subscribes: tuple[str, str] | None = None
    task: KnownTask | None = None
    headers: dict[str, str] | None = None
    to_repeat: tuple[ClientRequest, Raw] | None = None
    began_s: float = 0.0
    draft: CallDraft | None = None
    usage: Usage | None = None

    def timeout_error(self) -> RpcError:
        """Return the error of a call that got no answer in time."""
        waited = f", of which {self.waited_s:.1f} s waiting for its turn" if self.waited_s else ""
        return RpcError(TIMEOUT, f"Timeout exceeded: {self.timeout_s:g}s{waited}")


class ServerRequest(Struct, frozen=True, eq=False):
    """One request of an upstream, forwarded to a client: whose call, task or session it is about.

    Attributes:
        session: the incarnation that asked.
        call: the call that it belongs to; None if it belongs to a task that no call waits for, or
            to nothing but a session that serves this client alone.
        upstream_id: the upstream's own id for its request.
        progress_token: the upstream's own token, or None when it wants no progress.
        input_key: its key in `inputRequests` if the upstream has no sessions; None otherwise.
        task: the task that it belongs to; None for others.
    """

    session: SessionUp
    call: Call | None
    upstream_id: RequestId
    progress_token: RequestId | None
    input_key: str | None = None
    task: KnownTask | None = None


class InputRequired(Struct, eq=False):
    """A call whose request was answered with `input_required` (MCP 2026-07-28).

    Attributes:
        call: it goes on upstream.
        requests: the requests of the upstream, by their keys in `inputRequests`.
        target: what the call asks its server for, for the record of the retry; see `CallDraft`.
        outcome, error: see `answer_call`; set if the answer came before the client's retry.
    """

    call: Call
    requests: dict[str, InputRequest]
    target: str = ""
    outcome: Response | ErrorResponse | None = None
    error: RpcError | None = None


class Awaiting(Struct, frozen=True, eq=False):
    """A request that is answered when another task of the router has done its part."""

    request: ClientRequest


class Saving(Awaiting, frozen=True, eq=False):
    """A change that is being written.

    Attributes:
        change: the change.
        name: the instance's name after the change.
        wait_ready: True if the answer waits until the instance is ready.
    """

    change: Change
    name: str
    wait_ready: bool

"""Keeps one row for each client session, with its requests that are not answered yet.

A request without a session (MCP 2026-07-28) gets a row of its own. The rows of calls, and of the
questions that upstreams ask about them, stand here as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from router.messages.errors import TIMEOUT, RpcError
from router.messages.frames import NO_RAW, ErrorResponse, Response
from router.messages.revisions import DEFAULT_REVISION

if TYPE_CHECKING:
    from msgspec import Raw

    from router.core.state.instances import Parked
    from router.messages.commands import Principal
    from router.messages.events import FromClient, SessionUp
    from router.messages.frames import ClientId, Outbox, Request, RequestId
    from router.messages.revisions import Era

Members: TypeAlias = "dict[str, Raw]"
"""The members of `params`."""


LOG_LEVELS: Final = {
    "debug": 0,
    "info": 1,
    "notice": 2,
    "warning": 3,
    "error": 4,
    "critical": 5,
    "alert": 6,
    "emergency": 7,
}
"""Severities of `logging/setLevel` (MCP 2025-11-25, Logging; RFC 5424), least severe first."""

DEFAULT_LOG_LEVEL: Final = "info"
"""Applies to a client that never set a level: the specification leaves it to the server."""


@attrs.define(eq=False)
class Selection:
    """The instance chosen with `mcp.router.use`, whose tools are listed beside the router's.

    A selection belongs to a session. Without sessions (MCP 2026-07-28) it belongs to the connection
    on stdio, and on HTTP to the principal until that is idle for long. So requests that share a
    selection come from the same client.

    Attributes:
        instance: the name of the instance; None before the first `use`.
        used_at_s: monotonic second of the principal's last request; kept for HTTP only.
    """

    instance: str | None = None
    used_at_s: float = 0.0


@attrs.frozen(eq=False)
class Listening:
    """An open `subscriptions/listen` (MCP 2026-07-28, Subscriptions).

    Attributes:
        request_id: of that request.
        reply_to: where it is answered, and notified before.
        meta: what marks its messages.
        to_tools: does it want `tools/list_changed`?
    """

    request_id: RequestId
    reply_to: Outbox
    meta: dict[str, Any]
    to_tools: bool


@attrs.define(eq=False)
class Client:
    """One client session, or one request without a session, which counts as a client.

    Attributes:
        id: the client session's id, made by its listener.
        outbox: takes the frames that belong to none of its requests.
        principal: its name and permissions, as its listener found out.
        one_shot: True for a lone HTTP request without a session; nothing is remembered for it.
        era: the form that its requests have to have.
        selection: the instance that it chose.
        revision: the negotiated protocol revision.
        capabilities: the capabilities it declared (`roots`, `sampling`, ...), each a raw value.
        info: its `clientInfo`, raw; `NO_RAW` if it sent none.
        log_level: the level that it asked for, None until then.
        owes_listing: True until it lists tools after it came or was last sent `list_changed`;
            sending that again would tell it nothing new.
        calls: its requests in flight upstream, by its own id.
        parked: its requests that wait for an instance to become ready, by its own id.
        saving: its requests that wait for a change to be on disk, by its own id.
        asks: requests of upstreams it has not answered yet, by the id it knows them under.
        requests: its requests without a session that are not answered yet, by its own id.
        request: the one request that it is, without a session.
        connection: whose request that is, if there are others on it.
        listening: the subscription that it is.
    """

    id: ClientId
    outbox: Outbox
    principal: Principal
    one_shot: bool
    era: Era = "handshake"
    selection: Selection = attrs.field(factory=Selection)
    revision: str = DEFAULT_REVISION
    capabilities: dict[str, Raw] = attrs.field(factory=dict[str, "Raw"])
    info: Raw = NO_RAW
    log_level: str | None = None
    owes_listing: bool = True
    calls: dict[RequestId, Call] = attrs.field(factory=dict["RequestId", "Call"])
    parked: dict[RequestId, Parked] = attrs.field(factory=dict["RequestId", "Parked"])
    saving: dict[RequestId, Saving] = attrs.field(factory=dict["RequestId", "Saving"])
    asks: dict[RequestId, Ask] = attrs.field(factory=dict["RequestId", "Ask"])
    requests: dict[RequestId, Client] = attrs.field(factory=dict["RequestId", "Client"])
    request: Request | None = None
    connection: Client | None = None
    listening: Listening | None = None
    _last_ask_id: int = 0

    @property
    def is_stateless(self) -> bool:
        """True for one request of MCP 2026-07-28."""
        return self.era == "stateless"

    @property
    def is_for_one_request(self) -> bool:
        """True if nothing of this client outlives its request."""
        return self.one_shot or self.is_stateless

    @property
    def the_request(self) -> Request:
        """The one request that this row stands for."""
        assert self.request is not None, "a session is more than one request"
        return self.request

    def wants_list_changed(self) -> bool:
        """Return whether a `list_changed` would be news for it."""
        return self.listening is not None or not (self.owes_listing or self.is_for_one_request)

    def waits_for(self, request_id: RequestId) -> bool:
        """Return whether a request of its own with this id is not answered yet."""
        return (
            request_id in self.calls
            or request_id in self.parked
            or request_id in self.saving
            or request_id in self.requests
        )

    def drop_request_row(self, clients: dict[ClientId, Client]) -> None:
        """Remove this row from `clients` if it stands for one request on a connection."""
        if self.connection is not None and clients.pop(self.id, None) is not None:
            del self.connection.requests[self.the_request.id]

    def next_ask_id(self) -> int:
        """Return an id for a request to this client, unique within its session."""
        self._last_ask_id += 1
        return self._last_ask_id

    def wants_log(self, level: str) -> bool:
        """Return whether a log message of this severity is to be sent to it.

        A request without a session gets logs only if it asks for them (MCP 2026-07-28, Logging).
        """
        if self.is_stateless and self.log_level is None:
            return False
        wanted = LOG_LEVELS[self.log_level or DEFAULT_LOG_LEVEL]
        # An unknown level counts as the most severe: better one log message too many.
        return LOG_LEVELS.get(level, LOG_LEVELS["emergency"]) >= wanted


@attrs.define(eq=False)
class Call:
    """One request of a client, forwarded to an upstream.

    Attributes:
        id: its id upstream, also its progress token there.
        client: the client that waits for its answer.
        reply_to: takes progress and the answer.
        request_id: the client's own id.
        session: the incarnation it was sent to.
        instance: the name of that session's instance, for messages.
        progress_token: the client's own raw token, or None when it wants no progress.
        is_tool: router errors are tool results (`mcp.router.call`), not JSON-RPC errors.
        timeout_s: the time without news after which it ends.
        ends_at_s: the second after which not even progress extends it.
        asked: how many questions of the upstream about it the client has not answered yet.
        held: what it waits for with nobody there to be answered, until it is taken up again.
        sent: its `params` as they were sent, where it may have to be sent again with input.
        inputs: what was asked for, and of it what the client has answered already.
    """

    id: int
    client: Client
    reply_to: Outbox
    request_id: RequestId
    session: SessionUp
    instance: str
    progress_token: Raw | None
    is_tool: bool
    timeout_s: float
    ends_at_s: float
    asked: int = 0
    held: Held | None = None
    sent: dict[str, Raw] | None = None
    inputs: Inputs | None = None

    def timeout_error(self) -> RpcError:
        """Return the error of a call that got no answer in time."""
        return RpcError(TIMEOUT, f"Timeout exceeded: {self.timeout_s:g}s")


@attrs.frozen(eq=False)
class Ask:
    """One request of an upstream, forwarded to the client whose call it belongs to.

    Attributes:
        call: that call.
        upstream_id: the upstream's own id for its request.
        progress_token: the upstream's own token, or None when it wants no progress.
        input_key: its key in `inputRequests`, where the upstream has no sessions and no ids.
    """

    call: Call
    upstream_id: RequestId
    progress_token: RequestId | None
    input_key: str | None = None


@attrs.frozen(eq=False)
class Question:
    """A request of an upstream that waits for a stateless client to bring its answer.

    Attributes:
        upstream_id: the upstream's own id for it.
        raw: `method` and `params`, as they stand in `inputRequests`.
    """

    upstream_id: RequestId
    raw: Raw


@attrs.define(eq=False)
class Held:
    """A call whose request was answered with `input_required` (MCP 2026-07-28).

    Attributes:
        call: it goes on upstream.
        questions: what is asked, by the keys of `inputRequests`.
        outcome: the call's answer, where it came before the client did.
    """

    call: Call
    questions: dict[str, Question]
    outcome: Response | ErrorResponse | None = None


@attrs.define(eq=False)
class Inputs:
    """What an upstream without sessions needs before it goes on with a call.

    Attributes:
        state: its `requestState`, raw; `NO_RAW` where it sent none.
        wanted: the keys of `inputRequests` that have no answer yet.
        answers: those that have one.
        rounds: how often it has asked.
    """

    state: Raw
    wanted: set[str]
    rounds: int
    answers: dict[str, Raw] = attrs.field(factory=dict[str, "Raw"])


@attrs.frozen(eq=False)
class Saving:
    """A change that is being written.

    Attributes:
        event, request: whose answer depends on it.
        name: what the instance is called afterwards.
        is_tool: it was asked for by one of our tools.
        wait_ready: the answer is to wait until the instance is ready.
    """

    event: FromClient
    request: Request
    name: str
    is_tool: bool
    wait_ready: bool

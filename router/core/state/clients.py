"""Client sessions: who they are, what they declared, what they selected, what they were asked.

Job: one row for each client session. Neighbours: `core` alone changes it. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs
from msgspec import Struct

from router.messages.errors import TIMEOUT, RpcError
from router.messages.frames import NO_RAW, ErrorResponse, Response
from router.messages.revisions import DEFAULT_REVISION

if TYPE_CHECKING:
    from msgspec import Raw

    from router.core.state.clients import Call, ClientRequest, Parked, Saving, ServerRequest
    from router.core.state.instances import Instance
    from router.messages.commands import Principal
    from router.messages.events import SessionUp
    from router.messages.frames import ClientId, Outbox, RequestId
    from router.messages.params import Params
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
"""What a client gets that never set a level: the specification leaves it to the server."""


@attrs.define(eq=False)
class Selection:
    """What was chosen with `mcp.router.use`: the instance whose tools are listed beside ours.

    It belongs to a session. Without sessions (2026-07-28) it belongs to the connection on stdio,
    and to the principal on HTTP, as long as that does not stay away (`used_at_s`). So whoever has
    the same one is the same client.
    """

    instance: str | None = None
    used_at_s: float = 0.0


@attrs.frozen(eq=False)
class Subscription:
    """An open `subscriptions/listen` (MCP 2026-07-28, Subscriptions).

    Attributes:
        request_id: of that request.
        reply_to: where it is answered, and notified before.
        meta: marks its messages.
        to_tools: True if it wants `tools/list_changed`.
    """

    request_id: RequestId
    reply_to: Outbox
    meta: dict[str, Any]
    to_tools: bool


@attrs.define(eq=False)
class Client:
    """One client session; or one request without a session, which is like a client of its own.

    Attributes:
        outbox: takes what belongs to no request of its own.
        principal: who it is and what it may do, as its listener found out.
        one_shot: a lone HTTP request without a session; nothing is remembered for it.
        era: what its requests have to be.
        selection: which instance it chose.
        revision: the negotiated protocol revision.
        capabilities: what it declared (`roots`, `sampling`, ...), each a raw value.
        info: what it said of itself, raw.
        log_level: what it asked for, None until then.
        owes_listing: it has not listed since it came or was last told `list_changed`, so that
            telling it again would tell it nothing.
        calls: its requests in flight upstream, by its own id.
        parked: its requests that wait for an instance to become ready, by its own id.
        saving: its requests that wait for a change to be on disk, by its own id.
        server_requests: requests of upstreams it has not answered yet, by the id it knows them
            under.
        requests: its requests without a session that are not answered yet, by its own id.
        request: the one request that it is, without a session, until that is answered.
        connection: whose request that is, if there are others on it.
        subscription: the one that it is, while that is open.
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
    server_requests: dict[RequestId, ServerRequest] = attrs.field(
        factory=dict["RequestId", "ServerRequest"]
    )
    requests: dict[RequestId, Client] = attrs.field(factory=dict["RequestId", "Client"])
    request: ClientRequest | None = None
    connection: Client | None = None
    subscription: Subscription | None = None
    _last_server_request_id: int = 0

    @property
    def is_stateless(self) -> bool:
        """Is it one request of MCP 2026-07-28?"""
        return self.era == "stateless"

    @property
    def is_for_one_request(self) -> bool:
        """Is there nothing of it that goes on after its request?"""
        return self.one_shot or self.is_stateless

    @property
    def the_request(self) -> ClientRequest:
        """The one request that it is."""
        assert self.request is not None, "a session is more than one request"
        return self.request

    def wants_list_changed(self) -> bool:
        """Is it to be told that its list of tools is another one?"""
        return self.subscription is not None or not (self.owes_listing or self.is_for_one_request)

    def waits_for(self, request_id: RequestId) -> bool:
        """Is this request of its own not answered yet?"""
        return (
            request_id in self.calls
            or request_id in self.parked
            or request_id in self.saving
            or request_id in self.requests
        )

    def drop_request_row(self, clients: dict[ClientId, Client]) -> None:
        """Forget it among these, if it was one request on a connection: that is over."""
        if self.connection is not None and clients.pop(self.id, None) is not None:
            del self.connection.requests[self.the_request.id]
            self.request = None  # The two refer to each other: this spares the cycle collector.

    def next_server_request_id(self) -> int:
        """Return an id for a request to this client, unique within its session."""
        self._last_server_request_id += 1
        return self._last_server_request_id

    def wants_log(self, level: str) -> bool:
        """Is a log message of this severity to be sent to it?

        Without a session only to those that ask for it (MCP 2026-07-28, Logging).
        """
        if self.is_stateless and self.log_level is None:
            return False
        wanted = LOG_LEVELS[self.log_level or DEFAULT_LOG_LEVEL]
        return LOG_LEVELS.get(level, LOG_LEVELS["emergency"]) >= wanted


class ClientRequest(Struct, eq=False):
    """A request of a client that is being handled, and may be parked meanwhile.

    Attributes:
        client: the client that sent it; without a session, the row of this request alone.
        id: the client's own id.
        method: its method.
        params: its `params`, as they came.
        reply_to: takes progress and the answer.
        is_own_tool: True once it turned out to call one of the router's own tools: errors of the
            router are tool results then, which the model can read.
    """

    client: Client
    id: RequestId
    method: str
    params: Params
    reply_to: Outbox
    is_own_tool: bool = False


@attrs.frozen(eq=False)
class Parked:
    """A request that waits for its instance to become ready."""

    request: ClientRequest
    instance: Instance


@attrs.define(eq=False)
class Call:
    """One request of a client, forwarded to an upstream.

    Attributes:
        id: its id upstream, also its progress token there.
        client: who waits.
        reply_to: where progress and the answer go.
        request_id: the client's own id.
        session: the incarnation it was sent to.
        instance: that session's instance, for messages.
        progress_token: the client's own raw token, or None when it wants no progress.
        is_own_tool: see `ClientRequest`.
        timeout_s: the time without news after which it ends.
        ends_at_s: the second after which not even progress extends it.
        unanswered: how many requests of the upstream about it the client has not answered yet.
        input_required: set from the answer with `input_required` to the client's retry: between
            them nobody is there to be answered.
        sent: its `params` as they were sent (`_meta` decoded), if it may have to be sent again
            with input.
        input_round: the input that its upstream asked for last.
    """

    id: int
    client: Client
    reply_to: Outbox
    request_id: RequestId
    session: SessionUp
    instance: str
    progress_token: Raw | None
    is_own_tool: bool
    timeout_s: float
    ends_at_s: float
    unanswered: int = 0
    input_required: InputRequired | None = None
    sent: dict[str, Any] | None = None
    input_round: InputRound | None = None

    def timed_out(self) -> RpcError:
        """The error of a call that got no answer in time."""
        return RpcError(TIMEOUT, f"Timeout exceeded: {self.timeout_s:g}s")


@attrs.frozen(eq=False)
class ServerRequest:
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
class InputRequest:
    """A request of an upstream that a client without a session answers when it retries its call.

    Attributes:
        upstream_id: the upstream's own id for it.
        raw: `method` and `params`, as they stand in `inputRequests`.
    """

    upstream_id: RequestId
    raw: Raw


@attrs.define(eq=False)
class InputRequired:
    """A call whose request was answered with `input_required` (MCP 2026-07-28).

    Attributes:
        call: it goes on upstream.
        requests: what the upstream asks for, by the keys of `inputRequests`.
        outcome: the call's answer, if it came before the client's retry.
    """

    call: Call
    requests: dict[str, InputRequest]
    outcome: Response | ErrorResponse | None = None


@attrs.define(eq=False)
class InputRound:
    """The input that an upstream without sessions needs before it goes on with a call.

    Attributes:
        request_state: its `requestState`, raw; `NO_RAW` where it sent none.
        unanswered: the keys of `inputRequests` that have no answer yet.
        number: how often the upstream has asked for input, 1 for the first time.
        responses: the client's answers, by those keys.
    """

    request_state: Raw
    unanswered: set[str]
    number: int
    responses: dict[str, Raw] = attrs.field(factory=dict[str, "Raw"])


@attrs.frozen(eq=False)
class Saving:
    """A change that is being written.

    Attributes:
        request: waits for that to be answered.
        name: the instance's name after the change.
        wait_ready: True if the answer waits until the instance is ready.
    """

    request: ClientRequest
    name: str
    wait_ready: bool

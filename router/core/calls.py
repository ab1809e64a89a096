"""Calls in flight: which answer belongs to whom, and until when it may come.

Job: correlate requests forwarded to upstreams with the clients that wait, in both directions.
Neighbours: `core` opens and closes calls; `deadlines` says which are due. Pure.

Invariants: every id sent upstream is minted here, so two clients with the same ids can never
cross; it is even, because a session numbers its own requests with odd ids. A call is closed
exactly once; an answer that comes later finds nothing and is dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from router.core.deadlines import Deadlines
from router.errors import TIMEOUT, RpcError

if TYPE_CHECKING:
    from msgspec import Raw

    from router.core.clients import Client
    from router.core.instances import Instance
    from router.messages import (
        ErrorResponse,
        FromClient,
        Outbox,
        Request,
        RequestId,
        Response,
        SessionUp,
    )

MAX_ID: Final = 2**31 - 2
"""Upstreams in some languages hold ids in 32 bits."""

MAX_CALLS: Final = 100_000
"""Calls that may be in flight; beyond it they are shed (-32015). Some hundred bytes each."""

MAX_EXTENSION: Final = 10
"""Progress may extend a call to this many times its timeout, then it ends (protocol: deadlines)."""


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

    def timed_out(self) -> RpcError:
        """The error of a call that got no answer in time."""
        return RpcError(TIMEOUT, f"Timeout exceeded: {self.timeout_s:g}s")


@attrs.frozen(eq=False)
class Parked:
    """A request that waits for its instance to become ready; `is_tool` as for a `Call`."""

    event: FromClient
    request: Request
    instance: Instance
    is_tool: bool


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


@attrs.define
class Calls:
    """All calls in flight, by their upstream id."""

    by_id: dict[int, Call] = attrs.field(factory=dict[int, Call])
    by_session: dict[int, dict[int, Call]] = attrs.field(factory=dict[int, dict[int, Call]])
    deadlines: Deadlines[int] = attrs.field(factory=Deadlines[int])
    _last_id: int = 0

    def next_id(self) -> int:
        """An even id that no call in flight has."""
        while True:
            self._last_id = self._last_id + 2 if self._last_id < MAX_ID else 2
            if self._last_id not in self.by_id:
                return self._last_id

    def open(self, call: Call, now_s: float) -> None:
        """Begin to wait for the answer of `call`."""
        self.by_id[call.id] = call
        self.by_session.setdefault(call.session.session, {})[call.id] = call
        call.client.calls[call.request_id] = call
        self.deadlines.arm(call.id, min(now_s + call.timeout_s, call.ends_at_s))

    def close(self, call: Call) -> None:
        """Stop waiting for the answer of a call in flight."""
        self.deadlines.disarm(call.id)
        del self.by_id[call.id]
        of_session = self.by_session[call.session.session]
        del of_session[call.id]
        if not of_session:
            del self.by_session[call.session.session]
        if call.held is None:
            del call.client.calls[call.request_id]

    def again(self, call: Call, now_s: float) -> None:
        """It is sent upstream once more, under another id."""
        self.close(call)
        call.id = self.next_id()
        self.open(call, now_s)

    def leave(self, call: Call) -> None:
        """The request that brought this call in flight is over, the call is not."""
        del call.client.calls[call.request_id]

    def take_up(self, call: Call, client: Client, request: Request, reply_to: Outbox) -> None:
        """Another request waits for this call from here on."""
        call.client, call.request_id, call.reply_to = client, request.id, reply_to
        client.calls[request.id] = call

    def find(self, call_id: RequestId | None, session: int) -> Call | None:
        """The call in flight with this id; None when there is none *on this session*.

        Ids are easy to guess, so an upstream must not reach the calls of another one with them.
        """
        call = self.by_id.get(call_id) if isinstance(call_id, int) else None
        return call if call is not None and call.session.session == session else None

    def of_session(self, session: int) -> list[Call]:
        """The calls in flight on one session, oldest first."""
        return list(self.by_session.get(session, {}).values())

    def extend(self, call: Call, now_s: float) -> None:
        """There was news of the call: its time runs anew, up to its hard end."""
        if not call.asked:
            self.deadlines.arm(call.id, min(now_s + call.timeout_s, call.ends_at_s))

    def suspend(self, call: Call) -> None:
        """The upstream waits for the client now: only the hard end applies."""
        call.asked += 1
        self.deadlines.arm(call.id, call.ends_at_s)

    def resume(self, call: Call, now_s: float) -> None:
        """The upstream waits for one answer less."""
        call.asked -= 1
        self.extend(call, now_s)

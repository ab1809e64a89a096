"""Correlates the calls in flight with the clients that wait for them, and keeps their deadlines.

Invariants:

- Every id sent upstream is made here, so answers of two clients that use the same id never cross.
- These ids are even, because a session numbers its own requests with odd ids.
- A call is closed exactly once; a later answer finds no call and is dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct, field

from router.core.state.deadlines import Deadlines
from router.messages.errors import OVERLOADED, RpcError

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from msgspec import Raw

    from router.core.state.clients import Call, Client, ClientRequest
    from router.messages.frames import RequestId

MAX_ID: Final = 2**31 - 2
"""The largest even id that fits into a signed 32-bit integer, which some upstreams use."""

MAX_CALLS: Final = 100_000
"""Calls in flight at the same time, of some hundred bytes each; more are refused (-32015)."""

MAX_CALLS_OF_CLIENT: Final = MAX_CALLS // 4
"""Those of one session or connection, so that no client has the calls of all others refused."""

MAX_PARKED: Final = 10_000
"""Requests that may wait for instances to start, or for their turn; more are refused (-32015)."""

MAX_PARKED_OF_CLIENT: Final = MAX_PARKED // 4

MAX_EXTENSION: Final = 10
"""Progress extends a call to this many times its timeout at most."""


def program_of(client: Client) -> Hashable:
    """Return what a request of this client counts for: a program, as far as can be told."""
    if client.is_for_one_request and client.connection is None:
        return client.principal.name, bytes(client.info)
    return client.peer


class Loads(Struct):
    """The number of calls in flight on one session, for each program.

    Attributes:
        counts: the numbers; a program without calls has none.
    """

    counts: dict[Hashable, int] = {}
    # By call id: the client of a call may be another one when it ends.
    _programs: dict[int, Hashable] = {}

    def add(self, call: Call) -> None:
        """Count a call."""
        program = self._programs[call.id] = program_of(call.client)
        self.counts[program] = self.counts.get(program, 0) + 1

    def remove(self, call: Call) -> None:
        """Count a call no more."""
        program = self._programs.pop(call.id)
        self.counts[program] -= 1
        if not self.counts[program]:
            del self.counts[program]


class Calls(Struct):
    """All calls in flight.

    Attributes:
        by_id: the calls by their upstream id.
        by_session: the same calls by session and upstream id; a session without calls has no key.
        deadlines: the upstream ids by the second at which their call times out.
        loads: the loads of sessions for which they are counted, until the last call there ends.
    """

    by_id: dict[int, Call] = {}
    by_session: dict[int, dict[int, Call]] = {}
    deadlines: Deadlines[int] = field(default_factory=Deadlines[int])
    loads: dict[int, Loads] = {}
    _last_id: int = 0

    def next_id(self) -> int:
        """Return an even id that no call in flight has."""
        call_id = self._last_id
        while True:
            call_id = call_id + 2 if call_id < MAX_ID else 2
            if call_id not in self.by_id:
                self._last_id = call_id
                return call_id

    def check_room(self, client: Client) -> None:
        """Check that another call of a client may be in flight.

        Raises:
            RpcError: -32015, too many are.
        """
        if len(self.by_id) >= MAX_CALLS:
            raise RpcError(OVERLOADED, "Too many calls are in flight; try again later")
        owner = client.connection or client
        if len(owner.calls) + len(owner.requests) >= MAX_CALLS_OF_CLIENT:
            message = f"This client has {MAX_CALLS_OF_CLIENT:,} calls in flight; try again later"
            raise RpcError(OVERLOADED, message)

    def open(self, call: Call, due_s: float) -> None:
        """Put a call in flight.

        Args:
            call: the call.
            due_s: the second at which it times out.
        """
        call_id, session = call.id, call.session.session
        self.by_id[call_id] = call.client.calls[call.request_id] = call
        if call.usage is not None:
            call.usage.in_flight += 1
        of_session = self.by_session.get(session)
        if of_session is None:
            of_session = self.by_session[session] = {}
        of_session[call_id] = call
        if self.loads and session in self.loads:
            self.loads[session].add(call)
        self.deadlines.arm(call_id, due_s)

    def count_wait(self, call: Call, request: ClientRequest, now_s: float) -> None:
        """Count the time for which the request of a new call waited for its turn as the call's."""
        since_s, request.waits_since_s = request.waits_since_s, None
        assert since_s is not None, "it waited"
        call.waited_s = now_s - since_s
        call.ends_at_s -= call.waited_s
        self.deadlines.arm(call.id, since_s + call.timeout_s)

    def keep_to_repeat(
        self, call: Call, request: ClientRequest, members: Mapping[str, Raw]
    ) -> None:
        """Keep what a call needs to be sent again; a call that was sent again ends in time.

        A call that was approved is not: one yes is for one call.

        Args:
            call: the call, which is open.
            request: the request that it forwards.
            members: the `params` that are sent.
        """
        if request.ends_at_s is not None:
            call.ends_at_s = request.ends_at_s
            self.deadlines.arm(call.id, request.ends_at_s)
        elif request.approved is None and _is_plain_tool_call(call, members):
            call.to_repeat = request, members["name"]

    def close(self, call: Call) -> None:
        """Take a call out of flight, whether it was answered or not."""
        call_id, session = call.id, call.session.session
        self.deadlines.disarm(call_id)
        del self.by_id[call_id]
        if call.usage is not None:
            call.usage.in_flight -= 1
        of_session = self.by_session[session]
        del of_session[call_id]
        if self.loads and session in self.loads:
            self.loads[session].remove(call)
        if not of_session:
            del self.by_session[session]
            self.loads.pop(session, None)
        if call.input_required is None:
            del call.client.calls[call.request_id]

    def reopen(self, call: Call, now_s: float) -> None:
        """Give a call in flight a new id and a new deadline, to send it upstream once more."""
        self.close(call)
        call.id = self.next_id()
        self.open(call, min(now_s + call.timeout_s, call.ends_at_s))

    def detach(self, call: Call) -> None:
        """Keep a call in flight although its client's request was answered."""
        del call.client.calls[call.request_id]

    def attach(self, call: Call, request: ClientRequest) -> None:
        """Have another request wait for this call from now on."""
        call.client, call.request_id, call.reply_to = request.client, request.id, request.reply_to
        call.began_s, call.draft = request.began_s, request.draft
        request.client.calls[request.id] = call

    def find(self, call_id: RequestId | None, session: int) -> Call | None:
        """Return the call with this id; None when no call *on this session* has this id.

        Ids are easy to guess, and an upstream must not reach the calls of another upstream.
        """
        call = self.by_id.get(call_id) if isinstance(call_id, int) else None
        return call if call is not None and call.session.session == session else None

    def of_session(self, session: int) -> list[Call]:
        """Return the calls in flight on one session, oldest first."""
        return list(self.by_session.get(session, {}).values())

    def loads_of(self, session: int) -> dict[Hashable, int]:
        """Return how many calls each program has on a session; they are counted from now on."""
        loads = self.loads.get(session)
        if loads is None:
            loads = Loads()
            for call in self.of_session(session):
                loads.add(call)
            if loads.counts:
                self.loads[session] = loads
        return loads.counts

    def extend(self, call: Call, now_s: float) -> None:
        """Restart a call's timeout, up to its hard end, unless its upstream waits for a client."""
        if not call.unanswered:
            self.deadlines.arm(call.id, min(now_s + call.timeout_s, call.ends_at_s))

    def suspend(self, call: Call, now_s: float, answer_within_s: float) -> None:
        """Count one more request of the upstream: until its answer only the hard end applies.

        That comes no sooner than the end of the time for the answer and of the call's own after it.
        All requests together move it by `MAX_EXTENSION` times the time for an answer at most. While
        the client is away it is not moved: the client was told until when it may come again.
        """
        call.unanswered += 1
        if call.input_required is None:
            missing_s = now_s + answer_within_s + call.timeout_s - call.ends_at_s
            left_s = MAX_EXTENSION * answer_within_s - call.moved_s
            moved_s = max(0.0, min(missing_s, left_s))
            call.ends_at_s += moved_s
            call.moved_s += moved_s
        self.deadlines.arm(call.id, call.ends_at_s)

    def resume(self, call: Call, now_s: float) -> None:
        """Count one request of the upstream less; after the last one the timeout runs again."""
        call.unanswered -= 1
        self.extend(call, now_s)


def _is_plain_tool_call(call: Call, members: Mapping[str, Raw]) -> bool:
    return call.method == "tools/call" and "task" not in members and "name" in members

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

from router.core.state.clients import Call
from router.core.state.deadlines import Deadlines

if TYPE_CHECKING:
    from router.core.state.clients import ClientRequest
    from router.messages.frames import RequestId

MAX_ID: Final = 2**31 - 2
"""Upstreams in some languages hold ids in 32 bits."""

MAX_CALLS: Final = 100_000
"""Calls that may be in flight; beyond it they are shed (-32015). Some hundred bytes each."""

MAX_EXTENSION: Final = 10
"""Progress may extend a call to this many times its timeout, then it ends (protocol: deadlines)."""


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
        if call.input_required is None:
            del call.client.calls[call.request_id]

    def reopen(self, call: Call, now_s: float) -> None:
        """It is sent upstream once more, under another id."""
        self.close(call)
        call.id = self.next_id()
        self.open(call, now_s)

    def detach(self, call: Call) -> None:
        """The request that brought this call in flight is over, the call is not."""
        del call.client.calls[call.request_id]

    def attach(self, call: Call, request: ClientRequest) -> None:
        """Have another request wait for this call from now on."""
        call.client, call.request_id, call.reply_to = request.client, request.id, request.reply_to
        request.client.calls[request.id] = call

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
        if not call.unanswered:
            self.deadlines.arm(call.id, min(now_s + call.timeout_s, call.ends_at_s))

    def suspend(self, call: Call) -> None:
        """The upstream waits for the client now: only the hard end applies."""
        call.unanswered += 1
        self.deadlines.arm(call.id, call.ends_at_s)

    def resume(self, call: Call, now_s: float) -> None:
        """The upstream waits for one answer less."""
        call.unanswered -= 1
        self.extend(call, now_s)

"""The routing state, all of it, and the effects that are being decided.

Job: hold what the rules of `forward`, `from_client` and `from_session` read and change.
Neighbours: `core` owns the one instance. Pure.
"""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

import attrs

from router.core.state.calls import Calls
from router.core.state.clients import Selection
from router.core.state.deadlines import Deadlines
from router.core.state.instances import Instance, Instances

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.core.state.clients import Client, ClientRequest, InputRequired, Saving
    from router.core.state.instances import Leaving
    from router.messages.core_settings import CoreSettings
    from router.messages.effects import Effect
    from router.messages.events import AdminCommand
    from router.messages.frames import ClientId, Outbox, RequestId, SessionId

MAX_LOST_EARLY: Final = 64
"""Several times as many as start at once; most of them are sessions that were simply stopped."""


class Seal(Protocol):
    """Authenticated encryption with a key that only this process has."""

    def seal(self, secret: bytes, context: bytes) -> str:
        """Printable text that says nothing, and from which `unseal` gets the secret back."""
        ...

    def unseal(self, sealed: str, context: bytes) -> bytes:
        """What was sealed.

        Raises:
            ValueError: it was not sealed here, or in another context, or was changed since.
        """
        ...


def _selections() -> defaultdict[str, Selection]:
    return defaultdict(Selection)


def _lost_early() -> deque[SessionId]:
    return deque(maxlen=MAX_LOST_EARLY)


@attrs.define
class RoutingState:
    """Everything the core knows.

    Attributes:
        now_s: monotonic time of the event being handled.
        effects: what has been decided for it so far.
        sessions: live sessions by id.
        lost_early: the last sessions said to be lost that were not known: one of them may have
            broken between its start and the supervisor's report that it is up, which follows.
        parked: deadlines of requests that wait for an instance.
        saving: changes that are being written, by their key.
        asking: commands that are not answered yet, by the client that stands in for the asker.
        leaving: sessions whose instances changed and that have calls in flight still, by name.
        leaving_due: until when these may go on.
        seal: makes and reads what a client has to bring back unread and unchanged.
        input_required: calls that wait for their client's retry, by a key of their own.
        input_required_due: until when their outcome is kept.
        elicited: clients that were sent to a URL, by the session and its name for that.
        selections: of the principals that have no session.
        log_level: the lowest that any client set, as upstreams were told it; None for none.
        draining: is the router stopping?
        drained: who waits for the last call and change to end, until it is told.
    """

    settings: CoreSettings
    seal: Seal
    now_s: float = 0.0
    effects: list[Effect] = attrs.field(factory=list["Effect"])
    instances: Instances = attrs.field(factory=Instances)
    clients: dict[ClientId, Client] = attrs.field(factory=dict["ClientId", "Client"])
    calls: Calls = attrs.field(factory=Calls)
    sessions: dict[SessionId, Instance] = attrs.field(factory=dict["SessionId", Instance])
    lost_early: deque[SessionId] = attrs.field(factory=_lost_early)
    parked: Deadlines[tuple[ClientId, RequestId]] = attrs.field(
        factory=Deadlines[tuple["ClientId", "RequestId"]]
    )
    saving: dict[int, Saving] = attrs.field(factory=dict[int, "Saving"])
    asking: dict[ClientId, AdminCommand] = attrs.field(factory=dict["ClientId", "AdminCommand"])
    leaving: dict[str, Leaving] = attrs.field(factory=dict[str, "Leaving"])
    leaving_due: Deadlines[str] = attrs.field(factory=Deadlines[str])
    input_required: dict[int, InputRequired] = attrs.field(factory=dict[int, "InputRequired"])
    input_required_due: Deadlines[int] = attrs.field(factory=Deadlines[int])
    elicited: dict[tuple[SessionId, str], ClientId] = attrs.field(
        factory=dict[tuple["SessionId", str], "ClientId"]
    )
    selections: defaultdict[str, Selection] = attrs.field(factory=_selections)
    log_level: str | None = None
    draining: bool = False
    drained: Outbox | None = None
    _last_key: int = 0

    def next_key(self) -> int:
        """A number that was never given out before."""
        self._last_key += 1
        return self._last_key


Method: TypeAlias = "Callable[[RoutingState, ClientRequest], None]"
"""Answers, forwards or parks a request; it raises `RpcError` to have that answered."""

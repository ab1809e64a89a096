"""Holds all routing state, and the effects of the event that is being handled.

Invariant: one `Core` owns the one `RoutingState`; everything below it gets it as an argument.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

import attrs

from router.core.state.calls import Calls
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


@attrs.define
class RoutingState:
    """Everything the core knows.

    Attributes:
        settings: the settings of `config.json` that the core reads.
        seal: seals `requestState`, which a client has to bring back unread and unchanged.
        now_s: monotonic second of the event that is being handled.
        effects: the effects decided for that event so far, in order.
        instances: the configured instances.
        clients: the client sessions and lone requests, by client id.
        calls: the calls in flight upstream.
        sessions: the instances of live sessions, by session id.
        parked: deadlines of the requests that wait for an instance.
        saving: changes that are being written, by their key.
        asking: commands that are not answered yet, by the client that stands in for the asker.
        leaving: sessions of changed instances that still have calls in flight, by instance name.
        leaving_due: deadlines of those sessions, by instance name.
        input_required: calls that wait for their client's retry, by a key of their own.
        input_required_due: the second until which the outcome of such a call is kept, by that key.
        elicited: clients that were sent to a URL, by session and the session's elicitation id.
        log_level: the lowest level that any client set, as upstreams were told; None for none.
        draining: True while the router stops.
        drain_reply_to: gets None once no call and no change is under way; None before `Drain`
            and after the reply.
    """

    settings: CoreSettings
    seal: Seal
    now_s: float = 0.0
    effects: list[Effect] = attrs.field(factory=list["Effect"])
    instances: Instances = attrs.field(factory=Instances)
    clients: dict[ClientId, Client] = attrs.field(factory=dict["ClientId", "Client"])
    calls: Calls = attrs.field(factory=Calls)
    sessions: dict[SessionId, Instance] = attrs.field(factory=dict["SessionId", Instance])
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
    log_level: str | None = None
    draining: bool = False
    drain_reply_to: Outbox | None = None
    _last_key: int = 0

    def next_key(self) -> int:
        """Return a number that was never returned before."""
        self._last_key += 1
        return self._last_key


Method: TypeAlias = "Callable[[RoutingState, ClientRequest], None]"
"""Answers, forwards or parks a request; it raises `RpcError` to have that answered."""

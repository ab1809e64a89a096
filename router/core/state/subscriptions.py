"""Keeps the rows of subscriptions: those of clients, and those upstream that are not confirmed yet.

Invariant: a client's subscription is acknowledged before anything else comes on it (MCP 2026-07-28,
Subscriptions). Changes until then are held back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

if TYPE_CHECKING:
    from router.messages.frames import ClientId, Notification, Outbox, RequestId, SessionId

MAX_HELD: Final = 1024
"""Different notifications that are held back for one subscription; more are dropped."""


class Subscription(Struct, eq=False):
    """An open `subscriptions/listen` (MCP 2026-07-28, Subscriptions).

    Attributes:
        request_id: the id of that request.
        reply_to: takes its notifications, and then its answer.
        meta: the `_meta` that marks its messages.
        kinds: the kinds of lists (`tools`, `prompts`, `resources`) of whose changes it is told.
        honoured: the members of `notifications` that are honoured, except resources.
        resources: the URIs that the client wants to be told of -> instance and the server's URI.
        unconfirmed: the requests upstream that it waits for before it is acknowledged.
    """

    request_id: RequestId
    reply_to: Outbox
    meta: dict[str, Any]
    kinds: frozenset[str]
    honoured: dict[str, Any] = {}
    resources: dict[str, tuple[str, str]] = {}
    unconfirmed: set[int] = set()
    _held: dict[tuple[str, bytes], Notification] | None = {}

    @property
    def is_acknowledged(self) -> bool:
        return self._held is None

    def hold(self, frame: Notification) -> bool:
        """Hold a notification back until the acknowledgement; return False if that was sent."""
        if self._held is None:
            return False
        if len(self._held) < MAX_HELD:
            self._held[frame.method, bytes(frame.params)] = frame
        return True

    def take_held(self) -> list[Notification]:
        """Return what was held back, to be sent after the acknowledgement; no more is held."""
        held, self._held = self._held or {}, None
        return list(held.values())


class Confirmation(Struct, eq=False):
    """A request that subscribes upstream and was not confirmed yet.

    Attributes:
        instance: the address of the row of the instance, or of a client's session.
        session: the session that it was sent to.
        uris: the server's own URIs.
        listeners: the clients of 2026-07-28 whose subscriptions wait for it.
        calls: the ids of calls that are answered once it is confirmed.
    """

    instance: str
    session: SessionId
    uris: frozenset[str]
    listeners: list[ClientId] = []
    calls: list[int] = []

"""The sessions of one endpoint, and its line to the dispatch actor.

Job: mint session ids, find a session by its id and owner, cap their number, say which have been
idle for too long; send events to the actor from where nothing can wait. Neighbours: `http` and
`sse` keep their sessions here.

Invariants: an id that is unknown and one that belongs to somebody else are the same (None). Every
session is counted for its principal exactly as long as it is here. It belongs to a principal's
name, and lives only as long as what that principal may do stays the same.
"""

from __future__ import annotations

import secrets
from collections import Counter, OrderedDict
from itertools import takewhile
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import attrs

from router.messages.errors import HttpRefusal
from transports.listen.serving.exchange import RETRY_AFTER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from router.messages.commands import Principal
    from router.messages.frames import ClientId


@attrs.frozen
class SessionLimits:
    """How many sessions there may be, and for how long.

    Attributes:
        total: of all principals. An idle session costs about 5 kB, one with an open stream 40.
        per_principal: of one of them.
        idle_s: after so long without a request or an open stream a session ends.
    """

    total: int = 4096
    per_principal: int = 2048
    idle_s: float = 30 * 60.0


class Session(Protocol):
    """What the table has to know of a session."""

    id: ClientId
    principal: Principal
    used_at_s: float

    def end(self) -> None:
        """End it, which removes it from its table."""
        ...


S = TypeVar("S", bound=Session)


class Sessions(Generic[S]):
    """All sessions of one endpoint, the least recently used first."""

    def __init__(self, limits: SessionLimits) -> None:
        self.limits = limits
        self._by_id: OrderedDict[ClientId, S] = OrderedDict()
        self._of_principal: Counter[str] = Counter()

    def check_room(self, principal: Principal) -> None:
        """Make sure that one more session may be opened.

        Raises:
            Refused: 503, there are too many.
        """
        of_principal = self._of_principal[principal.name]
        if len(self._by_id) >= self.limits.total or of_principal >= self.limits.per_principal:
            raise HttpRefusal(503, "Too many sessions; try again later", RETRY_AFTER)

    def add(self, session: S) -> None:
        """Keep a new session."""
        self._by_id[session.id] = session
        self._of_principal[session.principal.name] += 1

    def find(self, session_id: str, principal: Principal) -> S | None:
        """The session of this id, if it belongs to `principal`.

        Where the permissions of its owner have changed since it was opened, it is ended: whoever
        opens it anew gets what is allowed now, and nothing goes on with what was allowed before.
        """
        session = self._by_id.get(session_id)
        if session is None or session.principal.name != principal.name:
            return None
        if session.principal != principal:
            session.end()
            return None
        return session

    def touch(self, session: S, now_s: float) -> None:
        """It is being used."""
        session.used_at_s = now_s
        self._by_id.move_to_end(session.id)

    def remove(self, session: S) -> None:
        """Forget a session, unless it is gone already."""
        if self._by_id.pop(session.id, None) is None:
            return
        self._of_principal[session.principal.name] -= 1
        if not self._of_principal[session.principal.name]:
            del self._of_principal[session.principal.name]

    def end_revoked(self, knows: Callable[[Principal], bool]) -> None:
        """End the sessions of all but those whom the router still knows."""
        for session in self:
            if not knows(session.principal):
                session.end()

    def next_expiry_s(self, now_s: float) -> float:
        """The first moment at which any session, opened by then, can have been idle too long."""
        first = next(iter(self._by_id.values()), None)
        return (now_s if first is None else first.used_at_s) + self.limits.idle_s

    def overdue(self, now_s: float) -> list[S]:
        """Those that have not been used for too long."""
        limit_s = now_s - self.limits.idle_s
        return list(takewhile(lambda session: session.used_at_s <= limit_s, self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[S]:
        return iter(list(self._by_id.values()))


def new_id() -> ClientId:
    """An unguessable id: 32 hex digits (MCP 2025-11-25, Transports, Session Management)."""
    return secrets.token_hex(16)

"""The sessions of one endpoint: mints ids, finds sessions, limits their number, finds idle ones.

A new session beyond a limit takes the place of the one that was idle for longest; its client gets
404 for its next request and initializes again (MCP 2025-11-25, Transports, Session Management).
Many clients never send DELETE, so without that they would lock each other out for `idle_s`.

Invariants:

- An unknown id and the id of another principal's session give the same result: None.
- Each session counts for its principal exactly as long as the session is in the table.
- A session belongs to a principal's name, and ends when the permissions of that principal change,
  unless that is a person, whose tokens may have different ones.
- A session with an open stream or an unanswered call never makes room.
- A principal can take the places of others only while it has fewer sessions than they have.
"""

from __future__ import annotations

import logging
import secrets
from collections import Counter, OrderedDict
from itertools import takewhile
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from msgspec import Struct

from router.messages.errors import HttpRefusal
from transports.listen.serving.counted_warnings import CountedWarning
from transports.listen.serving.refusals import RETRY_AFTER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from router.messages.commands import Principal
    from router.messages.frames import ClientId

log = logging.getLogger("mcp_router.listen")


def new_client_id() -> ClientId:
    """Return an unguessable id: 32 hex digits (MCP 2025-11-25, Transports, Session Management)."""
    return secrets.token_hex(16)


class SessionLimits(Struct, frozen=True):
    """The limits of an endpoint's sessions in number and time.

    Attributes:
        total: the most sessions of all principals. An idle session costs about 5 kB, a session with
            an open stream about 40 kB.
        per_principal: the most sessions of one principal.
        idle_s: a session ends after so long without a request or an open stream.
    """

    total: int = 4096
    per_principal: int = 2048
    idle_s: float = 30 * 60.0


class Session(Protocol):
    """A session as the table sees it.

    Attributes:
        view: the name of the view at its place; None at the default place.
        used_at_s: the time of the last use; written by `SessionTable.touch`.
    """

    id: ClientId
    principal: Principal
    view: str | None
    used_at_s: float

    def is_busy(self) -> bool:
        """Return whether the session has an open stream or an unanswered call."""
        ...

    def end(self) -> None:
        """End the session, which removes it from its table."""
        ...


S = TypeVar("S", bound=Session)


class SessionTable(Generic[S]):
    """All sessions of one endpoint, the least recently used first.

    Attributes:
        made_room: tells in the log how many sessions have ended for new ones; the endpoint runs it.
    """

    def __init__(self, limits: SessionLimits) -> None:
        self.limits = limits
        self._by_id: OrderedDict[ClientId, S] = OrderedDict()
        self._count_of: Counter[str] = Counter()  # name of a principal -> its sessions
        self.made_room = CountedWarning(self._warn)

    def make_room(self, principal: Principal) -> None:
        """Make sure that one more session may be opened: end an idle one if there are too many.

        Raises:
            HttpRefusal: 503, there are too many sessions, and all of them are in use.
        """
        if self._count_of[principal.name] >= self.limits.per_principal:
            owner = principal.name
        elif len(self._by_id) >= self.limits.total:
            most = max(self._count_of.values(), default=0)
            of_own = self._count_of[principal.name]
            owner = principal.name if of_own == most else self._count_of.most_common(1)[0][0]
        else:
            return
        idle = self._longest_idle(owner)
        if idle is None:
            raise HttpRefusal(503, "Too many sessions; try again later", RETRY_AFTER)
        idle.end()
        self.made_room.note()

    def _longest_idle(self, owner: str) -> S | None:
        """Return the session of this principal that was idle for longest, None if all are busy."""
        for session in self._by_id.values():
            if session.principal.name == owner and not session.is_busy():
                return session
        return None

    def _warn(self, times: int) -> None:
        log.warning(
            "Too many sessions are open (at most %d, and %d for one token): the longest idle ones "
            "make room for new ones (so far %d since the last such line). Clients that are done "
            "should send DELETE",
            self.limits.total,
            self.limits.per_principal,
            times,
        )

    def add(self, session: S) -> None:
        """Add a new session."""
        self._by_id[session.id] = session
        self._count_of[session.principal.name] += 1

    def find(self, session_id: str, principal: Principal) -> S | None:
        """Return the session with this id, if it belongs to `principal`.

        A session whose owner has other permissions now is ended: a new session gets what is
        allowed now, and nothing goes on with what was allowed before. The tokens of a person come
        and go, so that one's session stays, with the permissions of the token that is sent now.
        """
        session = self._by_id.get(session_id)
        if session is None or session.principal.name != principal.name:
            return None
        if session.principal != principal:
            if not _is_same_person(session.principal, principal):
                session.end()
                return None
            session.principal = principal
        return session

    def touch(self, session: S, now_s: float) -> None:
        """Note that a session is in use."""
        session.used_at_s = now_s
        self._by_id.move_to_end(session.id)

    def remove(self, session: S) -> None:
        """Remove a session, unless it is gone already."""
        if self._by_id.pop(session.id, None) is None:
            return
        self._count_of[session.principal.name] -= 1
        if not self._count_of[session.principal.name]:
            del self._count_of[session.principal.name]

    def end_revoked(self, is_known: Callable[[Principal], bool]) -> None:
        """End the sessions of all principals for which `is_known` is false."""
        for session in self:
            if not is_known(session.principal):
                session.end()

    def end_vanished(self, is_place: Callable[[str, Principal], bool]) -> None:
        """End the sessions at all places for which `is_place` is false."""
        for session in self:
            if session.view is not None and not is_place(session.view, session.principal):
                session.end()

    def next_expiry_s(self, now_s: float) -> float:
        """Return the earliest time at which a session can expire, also one opened after now."""
        first = next(iter(self._by_id.values()), None)
        return (now_s if first is None else first.used_at_s) + self.limits.idle_s

    def expired(self, now_s: float) -> list[S]:
        """Return the sessions that have not been used for too long."""
        limit_s = now_s - self.limits.idle_s
        return list(takewhile(lambda session: session.used_at_s <= limit_s, self._by_id.values()))

    def end_idle(self, now_s: float) -> None:
        """End the sessions that have not been used for too long; those in use go on."""
        for session in self.expired(now_s):
            if session.is_busy():
                self.touch(session, now_s)
            else:
                session.end()

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[S]:
        return iter(list(self._by_id.values()))  # a copy: sessions end while a caller iterates


def _is_same_person(before: Principal, now: Principal) -> bool:
    """Return whether two principals are a person with two tokens, who sees the same with both."""
    sees_the_same = (before.instances, before.profile) == (now.instances, now.profile)
    return now.is_of_issuer and before.name == now.name and sees_the_same

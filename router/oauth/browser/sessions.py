"""Keeps the sessions of browsers in memory: after a restart people log in anew.

Invariants:

- A session's word is made here, after the login, and only its digest is kept. A word that a browser
  brings along is never taken for a new session.
- A session ends when it was not used for long, after some hours however it was used, at a logout,
  and when the settings of its issuer change.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import trio
from msgspec import Struct

from router.oauth.browser.cookies import new_word

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from router.config.security.oauth import Issuer
    from router.messages.commands import Principal

MAX_SESSIONS: Final = 1000
"""Beyond that the one that was unused for longest ends."""

IDLE_S: Final = 3600.0
"""A browser that was left behind is of no use to others after that."""

LONGEST_S: Final = 8 * 3600.0
"""A working day; then the issuer is asked again whether the person may come in."""


class BrowserSession(Struct):
    """One session.

    Attributes:
        principal: the person, with the permissions that the issuer's claims gave.
        issuer: as it was configured at the login.
        shown_name: the person's name for the page.
        opened_s, used_s: seconds of Trio's clock.
    """

    principal: Principal
    issuer: Issuer
    shown_name: str
    opened_s: float
    used_s: float


class Sessions:
    """All sessions.

    Args:
        issuers: returns the issuers as they are configured now.
    """

    def __init__(self, issuers: Callable[[], Sequence[Issuer]]) -> None:
        self._issuers = issuers
        self._by_digest: OrderedDict[bytes, BrowserSession] = OrderedDict()

    def open(self, principal: Principal, issuer: Issuer, shown_name: str) -> str:
        """Open a session; return the word for the browser's cookie."""
        word, now_s = new_word(), trio.current_time()
        self._by_digest[_digest(word)] = BrowserSession(principal, issuer, shown_name, now_s, now_s)
        if len(self._by_digest) > MAX_SESSIONS:
            self._by_digest.popitem(last=False)
        return word

    def find(self, word: str) -> BrowserSession | None:
        """Return the session with this word, which counts as used now; None if there is none."""
        digest = _digest(word)
        session = self._by_digest.get(digest)
        if session is None:
            return None
        if not self._holds(session):
            del self._by_digest[digest]
            return None
        session.used_s = trio.current_time()
        self._by_digest.move_to_end(digest)
        return session

    def close(self, word: str) -> BrowserSession | None:
        """End the session with this word, and return it; None if there is none."""
        return self._by_digest.pop(_digest(word), None)

    def is_known(self, principal: Principal) -> bool:
        """Return whether exactly this principal has a session."""
        return any(
            session.principal == principal and self._holds(session)
            for session in self._by_digest.values()
        )

    def _holds(self, session: BrowserSession) -> bool:
        now_s = trio.current_time()
        is_young = now_s < session.opened_s + LONGEST_S and now_s < session.used_s + IDLE_S
        return is_young and session.issuer in self._issuers()


def _digest(word: str) -> bytes:
    return hashlib.sha256(word.encode()).digest()

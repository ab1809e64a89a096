"""Keeps the logins that have begun and are not over: who began them, and where they come back.

Invariants:

- A ticket is redeemed once, by a browser that was shown its page.
- A login for one person that came by a ticket is finished by the browser that redeemed it. So
  nobody can have somebody else log in to an account that then counts as their own (MCP 2025-11-25,
  Elicitation, "Phishing").
- Everything here ends after ten minutes, and there is a most of it.
"""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING, Final

import trio
from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Callable

ATTEMPT_S: Final = 600.0
"""Time for a login, as `router.oauth.client` allows it."""

MAX_ATTEMPTS: Final = 256
"""Logins at the same time; beyond it the oldest one is forgotten."""

MAX_OF_ONE: Final = 32
"""Those of one principal, who else could push out everybody's."""

TOKEN_BYTES: Final = 32


class Attempt(Struct, eq=False):
    """One login that has begun.

    Attributes:
        instance: its name.
        person: who logs in; None where one login serves everybody.
        begun_by: the name of the principal that asked for it.
        ends_at_s: when it is given up, by the clock of the table.
        state: the parameter `state` of its callback; empty until it is known.
        handle: of a login on another device; empty for none.
        interval_s: see `router.oauth.client.login_results.DeviceStart`.
        ticket: of its page; empty for none.
        page_key: the cookie of browsers that were shown its page; empty for none.
        browser_key: of the browser that has to finish it; empty if any browser may.
        polling: held by who asks the authorization server whether that one is over.
        over: set once it is finished or has failed.
        problem: why it has failed; empty if it is not over, or finished.
    """

    instance: str
    person: str | None
    begun_by: str
    ends_at_s: float
    state: str = ""
    handle: str = ""
    interval_s: float = 5.0
    ticket: str = ""
    page_key: str = ""
    browser_key: str = ""
    polling: trio.Lock = field(default_factory=trio.Lock)
    over: trio.Event = field(default_factory=trio.Event)
    problem: str = ""

    def end(self, problem: str = "") -> None:
        """Note that it is over."""
        self.problem = problem
        self.over.set()


class Attempts(Struct, eq=False):
    """The logins that have begun, the newest last.

    Attributes:
        now_s: returns the time of a clock that never goes back.
    """

    now_s: Callable[[], float] = trio.current_time
    _all: list[Attempt] = []

    def add(self, instance: str, person: str | None, begun_by: str) -> Attempt:
        """Add a login, and return it."""
        self._forget_old()
        ends_at_s = self.now_s() + ATTEMPT_S
        attempt = Attempt(instance, person, begun_by, ends_at_s)
        own = [one for one in self._all if one.begun_by == begun_by]
        if len(own) >= MAX_OF_ONE:
            self._drop(own[0])
        elif len(self._all) >= MAX_ATTEMPTS:
            self._drop(self._all[0])
        self._all.append(attempt)
        return attempt

    def _drop(self, attempt: Attempt) -> None:
        attempt.end("too many other logins have begun; begin again")
        self._all.remove(attempt)

    def with_ticket(self, instance: str, person: str | None, begun_by: str) -> Attempt:
        """Return the login of a person that waits for its page to be opened; a new one if none."""
        self._forget_old()
        for attempt in self._all:
            is_same = (attempt.instance, attempt.person) == (instance, person)
            if attempt.ticket and is_same and not attempt.over.is_set():
                attempt.ends_at_s = self.now_s() + ATTEMPT_S
                return attempt
        attempt = self.add(instance, person, begun_by)
        attempt.ticket, attempt.page_key = new_key(), new_key()
        return attempt

    def last_of(self, instance: str, person: str | None) -> Attempt | None:
        """Return the newest login of a person, also one that is over; None if there was none."""
        self._forget_old()
        found = (a for a in reversed(self._all) if (a.instance, a.person) == (instance, person))
        return next(found, None)

    def by_state(self, state: str) -> Attempt | None:
        """Return the login that waits for a callback with this state; None if none does."""
        return self._find(lambda attempt: attempt.state, state)

    def by_ticket(self, ticket: str) -> Attempt | None:
        """Return the login whose page this ticket opens; None if there is none."""
        return self._find(lambda attempt: attempt.ticket, ticket)

    def redeem(self, ticket: str, page_key: str) -> Attempt | None:
        """Return the login of a ticket, which is used up by that; None if it opens none.

        Args:
            ticket: of the page.
            page_key: the cookie of the browser, which has it from the page.
        """
        attempt = self.by_ticket(ticket)
        if attempt is None or not _is_same(attempt.page_key, page_key):
            return None
        attempt.ticket = ""
        return attempt

    def is_of_browser(self, attempt: Attempt, browser_key: str) -> bool:
        """Return whether a browser may finish a login."""
        return not attempt.browser_key or _is_same(attempt.browser_key, browser_key)

    def _find(self, key_of: Callable[[Attempt], str], key: str) -> Attempt | None:
        self._forget_old()
        found = (attempt for attempt in self._all if not attempt.over.is_set())
        return next((one for one in found if key_of(one) and _is_same(key_of(one), key)), None)

    def _forget_old(self) -> None:
        now_s = self.now_s()
        for attempt in self._all:
            if attempt.ends_at_s <= now_s and not attempt.over.is_set():
                attempt.end("it took too long; begin again")
        self._all = [one for one in self._all if one.ends_at_s + ATTEMPT_S > now_s]


def new_key() -> str:
    """Return a random value for a cookie or a URL."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def _is_same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode("utf-8", "surrogatepass"))

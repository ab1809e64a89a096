"""Keeps the logins that have begun, until the browser comes back from the issuer.

Invariants: a login is finished once, by the browser that began it, within some minutes. Of that
browser's cookie only the digest is kept.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import trio
from msgspec import Struct

from router.oauth.browser.cookies import new_word
from router.oauth.browser.refused import LoginRefused

if TYPE_CHECKING:
    from router.config.security.browser_login import BrowserLogin
    from router.config.security.oauth import Issuer

MAX_PENDING: Final = 1000
"""Beyond that the oldest is dropped: anybody may begin a login."""

LOGIN_S: Final = 600
"""Time for a person to log in at the issuer."""

_UNKNOWN: Final = "This login is not known: it took too long, or was finished before"
_OF_ANOTHER: Final = "This login was begun by another browser, or this one keeps no cookies"


class PendingLogin(Struct, frozen=True):
    """One login.

    Attributes:
        issuer: where the person logs in.
        redirect_uri: the address to which the issuer sends the browser back.
        return_to: the path for the browser after that.
        verifier: the secret of PKCE (RFC 7636 section 4.1).
        nonce: in the token that the issuer makes for this login.
        browser: SHA-256 of the word in the cookie of the browser.
        began_s: second of Trio's clock.
    """

    issuer: Issuer
    redirect_uri: str
    return_to: str
    verifier: str
    nonce: str
    browser: bytes
    began_s: float

    def __repr__(self) -> str:
        return f"PendingLogin({self.issuer.issuer!r})"

    @property
    def client(self) -> BrowserLogin:
        """The client that the router is at the issuer."""
        assert self.issuer.login is not None
        return self.issuer.login


class PendingLogins:
    """All logins that have begun."""

    def __init__(self) -> None:
        self._by_state: OrderedDict[str, PendingLogin] = OrderedDict()

    def begin(
        self, issuer: Issuer, redirect_uri: str, return_to: str
    ) -> tuple[str, str, PendingLogin]:
        """Begin a login; return its state, the word for the browser's cookie, and the login."""
        state, word = new_word(), new_word()
        login = PendingLogin(
            issuer=issuer,
            redirect_uri=redirect_uri,
            return_to=return_to,
            verifier=new_word(),
            nonce=new_word(),
            browser=_digest(word),
            began_s=trio.current_time(),
        )
        self._by_state[state] = login
        if len(self._by_state) > MAX_PENDING:
            self._by_state.popitem(last=False)
        return state, word, login

    def take(self, state: str, word: str) -> PendingLogin:
        """Return the login with this state, which ends with that.

        Args:
            state: as the issuer sent it back.
            word: of the browser's cookie.

        Raises:
            LoginRefused: there is none (any more), or another browser began it. That browser can
                still finish it.
        """
        login = self._by_state.get(state)
        if login is None or trio.current_time() >= login.began_s + LOGIN_S:
            self._by_state.pop(state, None)
            raise LoginRefused(400, _UNKNOWN)
        if not hmac.compare_digest(login.browser, _digest(word)):
            raise LoginRefused(403, _OF_ANOTHER)
        del self._by_state[state]
        return login


def _digest(word: str) -> bytes:
    return hashlib.sha256(word.encode()).digest()

"""Keeps the logins that persons have begun, and checks what comes back from the browser.

Invariants:

- A state is 256 random bits, serves once, and ends after ten minutes.
- The code of an answer is sent only to the server that was asked, with the PKCE verifier of this
  very login (RFC 7636; RFC 9207 section 2.4): a code of another login, or of another server, is of
  no use.
- What an answer says is shown only if it is of the server that was asked.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from msgspec import Struct

from router.oauth.client.login_results import LoginFailed, LoginStart
from router.oauth.client.parties import Parties  # noqa: TC001 - looked up in annotations
from router.oauth.client.protocol.untrusted import clean, is_printable_ascii, is_safe_url

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from router.oauth.client.protocol.discovery import AuthorizationServer

LIFETIME_S: Final = 600.0
"""The time for a login in the browser."""

MOST_PENDING: Final = 1000
"""Logins that are begun at the same time; a further one takes the place of the oldest."""

_VERIFIER_BYTES: Final = 48
_STATE_BYTES: Final = 32


class PendingLogin(Struct, frozen=True):
    """A login that was begun.

    Attributes:
        instance: its name.
        person: who logs in; None where one login serves everybody.
        key: the name that the login will have in the file.
        parties: who takes part.
        redirect_uri: where the browser comes back to; "" on another device.
        secret: the PKCE verifier, or the code of the device.
        expires_at_s: Unix time.
        interval_s: of polling for a device.
        not_before_s: Unix time of the next poll.
    """

    instance: str
    person: str | None
    key: str
    parties: Parties
    redirect_uri: str
    secret: str
    expires_at_s: float
    interval_s: float = 0
    not_before_s: float = 0

    def __repr__(self) -> str:
        return f"PendingLogin(instance={self.instance!r})"


class PendingLogins:
    """The logins that were begun, by their secret names. Bounded."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        """Take the clock, in Unix time."""
        self._now_s = now_s
        self._entries: dict[str, PendingLogin] = {}

    def add(self, login: PendingLogin) -> str:
        """Keep a login, and return its new name: 256 random bits."""
        now_s = self._now_s()
        self._entries = {
            name: entry for name, entry in self._entries.items() if now_s < entry.expires_at_s
        }
        while len(self._entries) >= MOST_PENDING:
            del self._entries[next(iter(self._entries))]
        name = secrets.token_urlsafe(_STATE_BYTES)
        self._entries[name] = login
        return name

    def take(self, name: str) -> PendingLogin:
        """Return a login, which is then not kept any more.

        Raises:
            LoginFailed: there is none of this name, or its time is over.
        """
        entry = self._entries.pop(name, None)
        if entry is None:
            raise LoginFailed("this login is unknown, or was finished before; begin a new one")
        if self._now_s() >= entry.expires_at_s:
            raise LoginFailed("this login has taken too long; begin a new one")
        return entry

    def put_back(self, name: str, entry: PendingLogin) -> None:
        """Keep a login that was taken, under the same name."""
        self._entries[name] = entry


def new_verifier() -> str:
    """Return a new code verifier (RFC 7636 section 4.1)."""
    return secrets.token_urlsafe(_VERIFIER_BYTES)


def check_pkce(server: AuthorizationServer) -> None:
    """Check that a server has PKCE with S256, without which a stolen code could be used.

    A server of MCP 2025-03-26 without metadata has to have it, and cannot say so.

    Raises:
        LoginFailed: it has not.
    """
    if not server.has_s256 and not server.is_guessed:
        problem = f"{clean(server.issuer)} does not say that it supports PKCE with S256"
        raise LoginFailed(f"{problem} (code_challenge_methods_supported), so no login is begun")


def authorization_url(login: PendingLogin, state: str) -> str:
    """Return the URL that a browser is to open (RFC 6749 section 4.1.1).

    Raises:
        LoginFailed: the server's own URL is not safe, or has a parameter of these.
    """
    parties = login.parties
    endpoint = parties.server.authorization_endpoint
    place = clean(parties.server.issuer)
    if not is_safe_url(endpoint):
        raise LoginFailed(f"{place} has no page for logins: no authorization_endpoint")
    digest = hashlib.sha256(login.secret.encode()).digest()
    parameters = {
        "response_type": "code",
        "client_id": parties.client.client_id,
        "redirect_uri": login.redirect_uri,
        "state": state,
        "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
        "code_challenge_method": "S256",
        "resource": parties.resource,
    }
    if parties.scopes:
        parameters["scope"] = " ".join(parties.scopes)
        if "offline_access" in parties.scopes:
            # OpenID Connect Core section 11.
            parameters["prompt"] = "consent"
    query = urlsplit(endpoint).query
    if any(name in parameters for name, _ in parse_qsl(query, keep_blank_values=True)):
        raise LoginFailed(f"the authorization_endpoint of {place} has parameters of the request")
    # A query that is there is kept (RFC 6749 section 3.1).
    separator = "&" if query else ("" if endpoint.endswith("?") else "?")
    return f"{endpoint}{separator}{urlencode(parameters)}"


def started(login: PendingLogin, state: str) -> LoginStart:
    """Return the start of a login in a browser.

    Raises:
        LoginFailed: as `authorization_url`.
    """
    return LoginStart(authorization_url(login, state), state, LIFETIME_S)


def code_of(login: PendingLogin, query: Mapping[str, str]) -> str:
    """Return the code in an answer of the authorization server (RFC 6749 section 4.1.2).

    Raises:
        LoginFailed: the answer is not of the server that was asked, or says that there is no code.
    """
    server = login.parties.server
    place = clean(server.issuer)
    issuer = query.get("iss")
    if issuer is None and server.names_itself:
        raise LoginFailed(f"the answer does not say that it is of {place}, and is not used")
    if issuer is not None and issuer != server.issuer:
        raise LoginFailed(f"the answer is not of {place}, and is not used")
    if "error" in query:
        said = clean(query["error"], 60)
        description = clean(query.get("error_description"))
        raise LoginFailed(f"{place} refuses the login: {said}" + _in_brackets(description))
    code = query.get("code", "")
    if not is_printable_ascii(code):
        raise LoginFailed(f"the answer of {place} has no code")
    return code


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""

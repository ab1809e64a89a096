"""Asks an authorization server for tokens (RFC 6749 sections 4 to 6), and revokes them (RFC 7009).

Invariants:

- A refusal, which trying again does not change, is told apart from a server that cannot answer now.
- Only bearer tokens that fit into a header are taken.
- No token, code or secret is in a repr or a message.
"""

from __future__ import annotations

import base64
import secrets
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_plus

import trio
from msgspec import Struct

from router.oauth.client.login_results import LoginFailed
from router.oauth.client.protocol import sdk
from router.oauth.client.protocol.requests import Unreachable
from router.oauth.client.protocol.untrusted import clean, decode_object, is_printable_ascii
from transports.outbound.slow_imports import IMPORTING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.oauth.client.protocol.clients import Client
    from router.oauth.client.protocol.discovery import AuthorizationServer
    from router.oauth.client.protocol.requests import Requests
    from transports.outbound.fetched import Fetched

_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_LIFE_S: Final = 120

_LONGEST_LIFE_S: Final = 10 * 365 * 24 * 3600
"""Ten years: further ahead, a time is a mistake, and no float of seconds should overflow."""

_FIRST_ERROR: Final = 400
_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500

_TEMPORARY: Final = frozenset({"temporarily_unavailable", "server_error", "slow_down"})
"""Codes that say that the same request may succeed later (RFC 6749 section 4.1.2.1)."""


class TokenRefused(LoginFailed):
    """The authorization server gives no token for this.

    Attributes:
        code: of the error, such as `invalid_grant` (RFC 6749 section 5.2); "" for an answer that
            is none.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Tokens(Struct, frozen=True):
    """The answer of a token endpoint (RFC 6749 section 5.1).

    Attributes:
        access_token: a bearer token.
        refresh_token: "" for none.
        scopes: that the token has; None for those that were asked for.
        lifetime_s: seconds until it expires; None if the server does not say so.
    """

    access_token: str
    refresh_token: str = ""
    scopes: tuple[str, ...] | None = None
    lifetime_s: float | None = None

    def __repr__(self) -> str:
        return f"Tokens(scopes={self.scopes!r}, lifetime_s={self.lifetime_s!r})"


async def ask(
    requests: Requests,
    server: AuthorizationServer,
    client: Client,
    fields: Mapping[str, str],
    *,
    is_assertion: bool = False,
) -> Tokens:
    """Return what the token endpoint answers.

    Args:
        requests: for the instance.
        server: to ask.
        client: as which to ask.
        fields: of the form, without those that say who asks.
        is_assertion: True if the answer is to be an assertion, which is no bearer token.

    Raises:
        TokenRefused: the server gives none.
        Unreachable: it gave no answer, or one that says so.
    """
    await sdk.load()
    form, headers = await with_client(requests, server, client, fields)
    fetched = await requests.post_form(server.token_endpoint, form, headers)
    members = decode_object(fetched.body)
    if members is None or "error" in members or fetched.status >= _FIRST_ERROR:
        raise failure_of(server, fetched, members)
    return _tokens(server, members, is_assertion=is_assertion)


def failure_of(
    server: AuthorizationServer,
    fetched: Fetched,
    members: Mapping[str, Any] | None,
    said_of_it: str = "gives no token",
) -> LoginFailed:
    """Return the error for an answer that is none (RFC 6749 section 5.2)."""
    place = clean(server.issuer)
    code = clean((members or {}).get("error"), 60)
    is_temporary = fetched.status >= _SERVER_ERROR or fetched.status == _TOO_MANY
    if is_temporary or code in _TEMPORARY or not code:
        said = f": {code}" if code else ""
        return Unreachable(f"{place} {said_of_it} now: HTTP {fetched.status}{said}")
    description = clean((members or {}).get("error_description"))
    said = f"{code} ({description})" if description else code
    return TokenRefused(code, f"{place} {said_of_it}: {said}")


def _tokens(
    server: AuthorizationServer, members: Mapping[str, Any], *, is_assertion: bool
) -> Tokens:
    from mcp.shared.auth import OAuthToken
    from pydantic import ValidationError

    place = clean(server.issuer)
    # Servers write these in many ways, and a token is no worse for it.
    lax = {"expires_in": None, "scope": _text_of(members.get("scope"))}
    kind = {"token_type": "Bearer"} if is_assertion else {}  # RFC 8693: it is N_A
    try:
        token = OAuthToken.model_validate({**members, **lax, **kind})
    except ValidationError:
        problem = f"{place} gives no bearer token, but something else"
        raise TokenRefused("", problem) from None
    refresh_token = token.refresh_token or ""
    if not is_printable_ascii(token.access_token) or " " in token.access_token:
        raise TokenRefused("", f"{place} gives a token that no header can hold")
    return Tokens(
        token.access_token,
        refresh_token if is_printable_ascii(refresh_token) else "",
        None if token.scope is None else tuple(token.scope.split()),
        lifetime_of(members.get("expires_in")),
    )


def _text_of(value: object) -> str | None:
    return value if isinstance(value, str) else None


def lifetime_of(value: object) -> float | None:
    """Return a lifetime in seconds; None for what cannot be one.

    RFC 6749 wants a number. Some servers write it as a string; some write 0, or less, for a token
    that does not expire.
    """
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    # A number that is none (NaN) compares as False, too.
    return float(min(value, _LONGEST_LIFE_S)) if value > 0 else None


async def revoke(
    requests: Requests, server: AuthorizationServer, client: Client, token: str, hint: str
) -> None:
    """Revoke a token (RFC 7009 section 2.1).

    Args:
        requests: for the instance.
        server: that has a revocation endpoint.
        client: that has the token.
        token: to revoke.
        hint: `access_token` or `refresh_token`.

    Raises:
        LoginFailed: the server did not.
    """
    fields = {"token": token, "token_type_hint": hint}
    form, headers = await with_client(requests, server, client, fields)
    fetched = await requests.post_form(server.revocation_endpoint, form, headers)
    if fetched.status >= _FIRST_ERROR:
        raise failure_of(server, fetched, decode_object(fetched.body), "revokes no token")


# --- Who asks --------------------------------------------------------------------------------


async def with_client(
    requests: Requests, server: AuthorizationServer, client: Client, fields: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the form and the headers that also say who asks (RFC 6749 section 2.3.1)."""
    await trio.lowlevel.checkpoint()
    # Some servers look the client up by the form alone, however it is authenticated.
    form = {**fields, "client_id": client.client_id}
    if client.auth_method == "client_secret_basic":
        # Both are encoded as in a form, before they are joined.
        pair = f"{quote_plus(client.client_id)}:{quote_plus(client.secret)}"
        return form, {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    if client.auth_method == "client_secret_post":
        form["client_secret"] = client.secret
    elif client.auth_method == "private_key_jwt":
        login = requests.spec.oauth
        key = login.private_key if login else ""
        form["client_assertion_type"] = _ASSERTION
        # A worker thread, for the time that the import and a long RSA key take.
        form["client_assertion"] = await trio.to_thread.run_sync(_assertion, server, client, key)
    return form, {}


def _assertion(server: AuthorizationServer, client: Client, private_key: str) -> str:
    """Return a signed statement of who asks (RFC 7523 section 2.2).

    Raises:
        LoginFailed: the key cannot sign.
    """
    with IMPORTING:
        from joserfc import jwt
        from joserfc.errors import JoseError
        from joserfc.jwk import import_key

    now_s = int(time.time())
    claims = {
        "iss": client.client_id,
        "sub": client.client_id,
        # The issuer alone: no other server can use the assertion then (RFC 7523bis).
        "aud": server.token_endpoint if server.is_guessed else server.issuer,
        "jti": secrets.token_urlsafe(16),
        "iat": now_s,
        "exp": now_s + _ASSERTION_LIFE_S,
    }
    problem = (
        "oauth.private_key is no PEM key of EC or RSA that can sign; make one with: openssl genpkey"
    )
    for kind in ("EC", "RSA"):
        try:
            key = import_key(private_key, kind)
        except (ValueError, TypeError, JoseError):
            continue
        if not key.is_private:
            break
        algorithm = _algorithm(kind, str(key.as_dict().get("crv", "")), server.signing_algorithms)
        try:
            return jwt.encode({"alg": algorithm}, claims, key, algorithms=[algorithm])
        except (ValueError, TypeError, JoseError):
            break
    raise LoginFailed(f"{problem} -algorithm EC -pkeyopt ec_paramgen_curve:P-256")


_BY_CURVE: Final = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}


def _algorithm(kind: str, curve: str, offered: tuple[str, ...] | None) -> str:
    if kind == "EC":
        return _BY_CURVE.get(curve, "ES256")
    possible = ("RS256", "PS256", "RS384", "PS384", "RS512", "PS512")
    return next((name for name in possible if not offered or name in offered), "RS256")

"""Words `WWW-Authenticate` for clients that are to log in at an identity provider. Pure.

Sources: RFC 6750 section 3, RFC 9728 section 5.1, and MCP 2025-11-25, Authorization, Scope
Challenge Handling. Without issuers it is `Bearer`, as for any token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias
from urllib.parse import quote

from router.config.security.oauth import SCOPE_MARK
from router.messages.errors import HttpRefusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from router.access.issued_tokens import Problem
    from router.config.security.oauth import Issuer
    from router.messages.commands import Permission

WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"
"""Begins the paths of metadata documents (RFC 9728 section 3)."""

PLACES: Final = ("/mcp", "/sse")
"""The places that have documents; each has further places below it."""

_POSTS: Final = "/messages"
"""Takes the messages of sessions at `/sse`, so its document is that of `/sse`."""

Error: TypeAlias = Literal["", "invalid_token", "insufficient_scope"]
"""The mistake (RFC 6750 section 3.1); empty if no token was sent."""

Headers: TypeAlias = tuple[tuple[str, str], ...]

_EXPIRED: Final = "This token has expired"
_NOT_CHECKED: Final = "The issuer of this token cannot be asked now; try again later"
_NOT_GRANTED: Final = (
    'Nothing in this token grants the permission "{}"; see security.oauth.issuers in config.json'
)
_RETRY_AFTER: Final[Headers] = (("Retry-After", "5"),)


def bearer_token_of(headers: Mapping[str, str]) -> str:
    """Return the bearer token of a request; empty without one."""
    # RFC 9110 section 11.1: the scheme's name is not case-sensitive.
    scheme, _, token = headers.get("authorization", "").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def not_let_in(problem: Problem, permission: Permission, how: Headers) -> HttpRefusal:
    """Return the refusal of a token of an issuer, which was no guess.

    Args:
        problem: see `Verdict`.
        permission: the permission that the request takes.
        how: what `challenge` returns.
    """
    if problem == "unavailable":
        return HttpRefusal(503, _NOT_CHECKED, _RETRY_AFTER)
    if problem == "expired":
        return HttpRefusal(401, _EXPIRED, how)
    return HttpRefusal(403, _NOT_GRANTED.format(permission), how)


def challenge(
    issuers: Sequence[Issuer],
    base_url: str,
    path: str,
    permission: Permission,
    error: Error = "",
) -> Headers:
    """Return the header that tells a client how to be let in.

    Args:
        issuers: whose tokens are taken.
        base_url: the URL of this router as the client sees it, without a slash at its end.
        path: of the request, percent-decoded.
        permission: the permission that the request takes.
        error: the mistake.
    """
    if not issuers:
        return (("WWW-Authenticate", "Bearer"),)
    parts = [f'error="{error}"'] if error else []
    parts.append(f'resource_metadata="{base_url}{WELL_KNOWN}{place_of(path)}"')
    scopes = scopes_for(issuers, permission)
    if scopes:
        parts.append(f'scope="{" ".join(scopes)}"')
    return (("WWW-Authenticate", f"Bearer {', '.join(parts)}"),)


def place_of(path: str) -> str:
    """Return the percent-encoded path of the place that a request is for; empty for no place."""
    if path == _POSTS:
        return "/sse"
    is_place = any(path == place or path.startswith(f"{place}/") for place in PLACES)
    return quote(path, safe="/") if is_place else ""


def scopes_for(issuers: Iterable[Issuer], permission: Permission) -> list[str]:
    """Return the scopes to ask for: of each issuer, the one that grants the least beside it."""
    found: dict[str, None] = {}
    for issuer in issuers:
        granting = [key for key, given in issuer.permissions.items() if permission in given]
        scopes = [key for key in granting if key.startswith(SCOPE_MARK)]
        if scopes:
            least = min(scopes, key=lambda key: len(issuer.permissions[key]))
            found[least.removeprefix(SCOPE_MARK)] = None
    return list(found)


def base_url_of(headers: Mapping[str, str], public_url: str, prefix: str) -> str:
    """Return the URL of this router as a client sees it.

    Args:
        headers: of the request, names in lower case; `Host` has been checked.
        public_url: `server.public_url`.
        prefix: the path that a trusted proxy has taken away.
    """
    if public_url:
        return public_url.rstrip("/")
    return f"http://{headers.get('host', '').lower()}{prefix}"

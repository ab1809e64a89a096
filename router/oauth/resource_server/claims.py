"""Judges the claims of a token that is genuine: whether it is for this router, and what it grants.

Pure. Sources: RFC 7519 section 4.1, RFC 9068 section 4, RFC 7662 section 2.2.

Invariants: issuer and audience are compared exactly; the table of permissions holds no code.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, cast

from msgspec import Struct

from router.config.security.oauth import SCOPE_MARK
from router.messages.commands import Principal
from router.oauth.resource_server.problems import TokenRefused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from router.config.security.oauth import Issuer
    from router.messages.commands import Permission

LEEWAY_S: Final = 60.0
"""How far the clock of an issuer may be ahead of ours."""

SUBJECT_LIMIT: Final = 255
"""Characters of a subject (OpenID Connect Core 1.0 section 2)."""


class Judged(Struct, frozen=True):
    """A token that is for this router.

    Attributes:
        principal: whose it is; without permissions if no entry of the table fits.
        expires_at_s: the Unix time of its end.
    """

    principal: Principal
    expires_at_s: float


def judge(claims: Mapping[str, Any], issuer: Issuer, now_s: float) -> Judged:
    """Judge the claims of a token that this issuer vouches for.

    An expired token is returned as any other: to have been let in is no guess.

    Args:
        claims: the claims.
        issuer: with audience and table.
        now_s: the Unix time.

    Raises:
        TokenRefused: the token is not for this router, not valid yet, or lacks a claim.
    """
    if claims.get("iss") != issuer.issuer:
        raise TokenRefused("its iss is another issuer")
    if issuer.audience not in _texts_of(claims.get("aud")):
        raise TokenRefused(f"its aud does not hold the audience {issuer.audience} of config.json")
    expires_at_s = _time_of(claims, "exp")
    if expires_at_s is None:
        raise TokenRefused("it has no exp")
    for name in ("nbf", "iat"):
        begins_at_s = _time_of(claims, name)
        if begins_at_s is not None and begins_at_s > now_s + LEEWAY_S:
            raise TokenRefused(f"its {name} is in the future")
    return Judged(_principal_of(claims, issuer), expires_at_s)


def _principal_of(claims: Mapping[str, Any], issuer: Issuer) -> Principal:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_LIMIT:
        raise TokenRefused("it has no sub, or a very long one")
    if not subject.isprintable():  # It gets into logs.
        raise TokenRefused("its sub has control characters")
    instances = None if issuer.instances is None else frozenset(issuer.instances)
    name = f"{issuer.issuer} {subject}"
    return Principal(name, _permissions(claims, issuer), instances, issuer.profile)


def _permissions(claims: Mapping[str, Any], issuer: Issuer) -> frozenset[Permission]:
    """Return the permissions of all entries of the table that fit."""
    found: set[Permission] = set()
    scopes = scopes_of(claims)
    for key, granted in issuer.permissions.items():
        if key.startswith(SCOPE_MARK):
            fits = key.removeprefix(SCOPE_MARK) in scopes
        else:
            fits = _has_claim(claims, key)
        if fits:
            found.update(granted)
    return frozenset(found)


def _has_claim(claims: Mapping[str, Any], key: str) -> bool:
    """Return whether a claim has the value that a key of the table names.

    Both may hold colons, as in `https://mcp.example.org/roles:admin` and `groups:urn:x:ops`.
    """
    colons = (index for index, character in enumerate(key) if character == ":")
    return any(key[index + 1 :] in _texts_of(claims.get(key[:index])) for index in colons)


def scopes_of(claims: Mapping[str, Any]) -> frozenset[str]:
    """Return the scopes of a token: of `scope` (RFC 8693 section 4.2), and of `scp`."""
    found: set[str] = set()
    for name in ("scope", "scp"):
        value = claims.get(name)
        found.update(value.split() if isinstance(value, str) else _texts_of(value))
    return frozenset(found)


def _texts_of(value: object) -> Iterable[str]:
    """Return a text, or the texts of an array."""
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list):
        return ()
    return tuple(one for one in cast("list[object]", value) if isinstance(one, str))


def _time_of(claims: Mapping[str, Any], name: str) -> float | None:
    """Return a NumericDate (RFC 7519 section 2); None without that claim."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TokenRefused(f"its {name} is no number")
    try:
        seconds = float(value)
    except OverflowError:
        seconds = math.inf
    if not math.isfinite(seconds):
        raise TokenRefused(f"its {name} is no time")
    return seconds

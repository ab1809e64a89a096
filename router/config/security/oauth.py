"""Defines `security.oauth` of `config.json`: the issuers whose access tokens let clients in.

`docs/identity.md` explains the keys. Invariants: pure; the table of permissions holds no code.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias
from urllib.parse import urlsplit

import attrs

from router.config.live import live
from router.config.security.browser_login import BrowserLogin  # noqa: TC001 - annotations
from router.config.security.tokens import InstanceName, OptionalToken  # noqa: TC001 - annotations
from router.config.strict import Check
from router.messages.commands import Permission  # noqa: TC001 - looked up in annotations
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})

_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
"""A scope (RFC 6749 section 3.3)."""

SCOPE_MARK: Final = "scope:"
"""Begins the keys of `permissions` that name a scope."""


def is_http_url(text: str) -> bool:
    """Return whether this is a URL for HTTP with a host, and without spaces."""
    scheme, separator, rest = text.partition("://")
    is_http = scheme.lower() in ("http", "https") and bool(separator)
    return is_http and rest[:1] not in ("", "/", "?", "#") and not any(map(str.isspace, text))


def is_safe_url(text: str) -> bool:
    """Return whether this is an https URL, or an http one of this machine.

    It holds no user name, no query and no fragment (RFC 8414 section 2), and printable ASCII only.
    """
    if not (is_http_url(text) and text.isascii() and text.isprintable()):
        return False
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or "@" in parts.netloc or "?" in text or "#" in text or '"' in text:
        return False
    return parts.scheme == "https" or host in _LOOPBACK


def _is_grant(text: str) -> bool:
    """Return whether this names a scope, or a claim and one of its values."""
    if text.startswith(SCOPE_MARK):
        return _SCOPE.fullmatch(text.removeprefix(SCOPE_MARK)) is not None
    claim, separator, value = text.partition(":")
    return bool(claim and separator and value)


HttpUrl: TypeAlias = Annotated[
    str, Check("a URL that begins with https:// or http://", lambda text: is_http_url(text))
]
SafeUrl: TypeAlias = Annotated[
    str,
    Check(
        "a URL that begins with https:// (or with http:// and a loopback host), without ? and #",
        is_safe_url,
    ),
]
Audience: TypeAlias = Annotated[
    str, Check("the audience of the tokens, which is not empty", lambda text: text.strip() != "")
]
Grant: TypeAlias = Annotated[
    str, Check('as a key "scope:NAME" or "CLAIM:VALUE", such as "groups:ops"', _is_grant)
]


@attrs.frozen
class Introspection:
    """An endpoint that says whether a token is valid (RFC 7662).

    Attributes:
        url: of the endpoint.
        client_id, client_secret: what the router shows to be allowed to ask; the secret may be a
            reference, as tokens are.
    """

    url: SafeUrl
    client_id: str = ""
    client_secret: OptionalToken = attrs.field(default="", repr=False)


def _no_permissions() -> dict[Grant, tuple[Permission, ...]]:
    return {}


@attrs.frozen
class Issuer:
    """An authorization server whose access tokens let clients in.

    Attributes:
        issuer: its identifier, exactly as its tokens have it in `iss` (RFC 8414 section 2).
        audience: what `aud` of a token must hold, exactly.
        further_audiences: what it may hold in place of that: an issuer that knows RFC 8707 puts the
            URL of a place there, and each place has its own.
        jwks_uri: where its keys are; None: what its metadata says.
        introspection: asked for each token in place of the keys; None for signed tokens.
        permissions: "scope:NAME" or "CLAIM:VALUE" -> the permissions of who has it. A person has
            those of all entries that fit; without one that fits, nobody is let in.
        instances: names of the only instances that its people see; None for all.
        profile: the name of the only profile that its people see; None for every view.
        login: the client with which browsers log in there, to use the REST API; None: they do not.
    """

    issuer: SafeUrl
    audience: Audience
    further_audiences: tuple[Audience, ...] = ()
    jwks_uri: SafeUrl | None = None
    introspection: Introspection | None = None
    permissions: dict[Grant, tuple[Permission, ...]] = attrs.field(factory=_no_permissions)
    instances: tuple[InstanceName, ...] | None = None
    profile: str | None = None
    login: BrowserLogin | None = None


@attrs.frozen
class OAuth:
    """Access by tokens of identity providers.

    Attributes:
        issuers: whose tokens are taken.
    """

    issuers: tuple[Issuer, ...] = live(())

    @property
    def secrets(self) -> list[str]:
        """Every secret, for the logs to mask."""
        found = (part for one in self.issuers for part in (one.introspection, one.login))
        return [one.client_secret for one in found if one is not None and one.client_secret]


def find_issuer_mistakes(oauth: OAuth, place: str) -> Iterator[ConfigError]:
    """Yield an error for each issuer that could not be told from another, or lets nobody in.

    Args:
        oauth: `security.oauth`.
        place: of `security.oauth.issuers`, for messages.
    """
    first: dict[str, int] = {}
    asking = None
    for index, one in enumerate(oauth.issuers):
        where = f"{place}[{index}]"
        before = first.setdefault(one.issuer, index)
        if before != index:
            problem = f"is the issuer of [{before}] too; write one entry for each issuer"
            yield ConfigError(f"{where}.issuer", problem)
        if not one.permissions:
            problem = "is empty, so that nobody is let in; name a scope or a claim, such as "
            yield ConfigError(f"{where}.permissions", problem + '{"scope:mcp": ["call", "read"]}')
        if one.introspection is None:
            continue
        if one.jwks_uri is not None:
            problem = "has no effect beside introspection; remove one of them"
            yield ConfigError(f"{where}.jwks_uri", problem)
        if asking is not None:
            # A token that says nothing of its issuer would be shown to the wrong one.
            problem = f"only one issuer may have it, and [{asking}] does; use the keys of this one"
            yield ConfigError(f"{where}.introspection", problem)
        asking = index if asking is None else asking

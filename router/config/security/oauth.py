"""Defines `security.oauth` of `config.json`: the issuers whose access tokens let clients in.

`docs/login.md` explains the keys. Invariants: pure; the table of permissions holds no code.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import attrs

from router.config.live import live
from router.config.security.tokens import InstanceName  # noqa: TC001 - looked up in annotations
from router.config.strict import Check
from router.messages.commands import Permission  # noqa: TC001 - looked up in annotations

HttpUrl: TypeAlias = Annotated[
    str, Check("a URL that begins with https:// or http://", lambda text: is_http_url(text))
]


def is_http_url(text: str) -> bool:
    """Return whether this is a URL for HTTP with a host, and without spaces."""
    scheme, separator, rest = text.partition("://")
    is_http = scheme.lower() in ("http", "https") and bool(separator)
    return is_http and rest[:1] not in ("", "/", "?", "#") and not any(map(str.isspace, text))


@attrs.frozen
class Introspection:
    """An endpoint that says whether a token is valid (RFC 7662).

    Attributes:
        url: of the endpoint.
        client_id, client_secret: what the router shows to be allowed to ask.
    """

    url: HttpUrl
    client_id: str = ""
    client_secret: str = attrs.field(default="", repr=False)


def _no_permissions() -> dict[str, tuple[Permission, ...]]:
    return {}


@attrs.frozen
class Issuer:
    """An authorization server whose access tokens let clients in.

    Attributes:
        issuer: its identifier, exactly as its tokens have it in `iss` (RFC 8414 section 2).
        audience: what `aud` of a token must hold, exactly.
        jwks_uri: where its keys are; None: what its metadata says.
        introspection: asked for each token in place of the keys; None for signed tokens.
        permissions: "scope:NAME" or "CLAIM:VALUE" -> the permissions of who has it.
        instances: names of the only instances that its people see; None for all.
        profile: the name of the only profile that its people see; None for every view.
    """

    issuer: HttpUrl
    audience: str
    jwks_uri: HttpUrl | None = None
    introspection: Introspection | None = None
    permissions: dict[str, tuple[Permission, ...]] = attrs.field(factory=_no_permissions)
    instances: tuple[InstanceName, ...] | None = None
    profile: str | None = None


@attrs.frozen
class OAuth:
    """Access by tokens of identity providers.

    Attributes:
        issuers: whose tokens are taken.
    """

    issuers: tuple[Issuer, ...] = live(())

"""Defines `login` of an issuer, at which people log in with a browser to use the REST API."""

from __future__ import annotations

from typing import Annotated

import attrs

from router.config.security.tokens import OptionalToken  # noqa: TC001 - annotations
from router.config.strict import Check

ClientId = Annotated[
    str,
    Check(
        "the client's identifier at the issuer, printable and without spaces",
        lambda text: bool(text) and text.isascii() and text.isprintable() and " " not in text,
    ),
]

Scope = Annotated[
    str,
    Check(
        "one scope, without spaces and quotes",  # RFC 6749 section 3.3
        lambda text: bool(text) and all("!" <= char <= "~" and char not in '"\\' for char in text),
    ),
]


@attrs.frozen
class BrowserLogin:
    """The client that the router is at an issuer when it has a person log in there.

    Attributes:
        client_id: as the issuer knows it. Its redirect address there is `/login/callback` at the
            URL of the REST API.
        client_secret: empty for a public client; may be a reference, as a token.
        scopes: asked for beside "openid"; None: those that the issuer's `permissions` name.
    """

    client_id: ClientId
    client_secret: OptionalToken = attrs.field(default="", repr=False)
    scopes: tuple[Scope, ...] | None = None

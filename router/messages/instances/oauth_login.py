"""The keys by which the router logs in to a remote server. Data only."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from msgspec import Struct

GrantSetting: TypeAlias = Literal[
    "authorization_code", "client_credentials", "token_exchange", "id_jag"
]
"""How the router gets its tokens.

- `authorization_code`: a person logs in, once (RFC 6749 section 4.1, with PKCE).
- `client_credentials`: the router is known to the authorization server (RFC 6749 section 4.4).
- `token_exchange`: the token of the person who calls is exchanged for another one (RFC 8693).
- `id_jag`: the same, by an Identity Assertion JWT Authorization Grant (RFC 8693, then RFC 7523).
"""

SubjectTokenSetting: TypeAlias = Literal["access_token", "id_token"]
"""The kind of token that people send to the router (RFC 8693 section 3)."""

SECRET_KEYS: Final = ("client_secret", "idp_client_secret", "private_key")
"""The attributes of `OAuthLogin` that are masked wherever it is shown."""


class OAuthLogin(Struct, frozen=True):
    """The key `oauth` of an instance, with every reference expanded.

    Attributes:
        client_id: of the router at the authorization server; empty to register it there.
        client_secret: of that client; empty for none.
        private_key: a PEM key that signs assertions in place of a secret (RFC 7523 section 2.2).
        grant: see `GrantSetting`.
        scopes: to ask for; None for those that the server names.
        issuer: of the authorization server; empty for the one that the server names.
        token_audience: with `token_exchange` and `id_jag`, the audience to ask for; empty for the
            server's resource.
        idp_client_id: with `id_jag`, of the router at the identity provider, where it is known by
            another name than at the authorization server; empty for `client_id`.
        idp_client_secret: of that client; empty for none.
        subject_token_type: with `token_exchange` and `id_jag`, see `SubjectTokenSetting`.
        per_user: each person logs in, and nobody's token serves another one's call.
    """

    client_id: str = ""
    client_secret: str = ""
    private_key: str = ""
    grant: GrantSetting = "authorization_code"
    scopes: tuple[str, ...] | None = None
    issuer: str = ""
    token_audience: str = ""
    idp_client_id: str = ""
    idp_client_secret: str = ""
    subject_token_type: SubjectTokenSetting = "access_token"
    per_user: bool = False

    @property
    def is_per_person(self) -> bool:
        """True if a token is for one person: each logs in, or brings a token to be exchanged."""
        return self.per_user or self.grant in ("token_exchange", "id_jag")

    def __repr__(self) -> str:
        # Without secrets and key.
        return f"OAuthLogin(client_id={self.client_id!r}, grant={self.grant!r})"

"""Defines the key `security` of `config.json`: who may do what."""

from __future__ import annotations

from typing import Literal

import attrs

from router.config.live import live
from router.config.security.oauth import OAuth

# The names in annotations are looked up when a class is filled, so these are no types only.
from router.config.security.tokens import NamedToken, OptionalToken, TokenName  # noqa: TC001
from router.messages.core_settings import PinningSetting  # noqa: TC001


def _no_tokens() -> dict[str, NamedToken]:
    return {}


@attrs.frozen
class Security:
    """Access to the router.

    Attributes:
        bearer_token: guards every listener but stdio, and has every permission; empty for none;
            `sha256:` and 64 hex digits stands for the token with that SHA-256 digest.
        tokens: further tokens by name, each with its permissions.
        allow_anonymous: serve beyond loopback although there is no token.
        enable_validation: a key of MCP Router 1.1. Names, URLs, sizes and depth are checked, and
            the token is required, whatever it says.
        check_arguments: check tool arguments against the tools' schemas before they are sent.
        allow_stdio_via_api: `with_token` lets its bearer add instances that run a command.
        oauth: who is let in with a token of an identity provider.
        pinning: "warn" reports that a tool is not the one that was approved; "block" hides and
            refuses it as well, until it is approved anew.
    """

    bearer_token: OptionalToken = live("", repr=False)
    tokens: dict[TokenName, NamedToken] = live(factory=_no_tokens)
    allow_anonymous: bool = live(False)
    enable_validation: bool = live(True)
    check_arguments: bool = live(False, core="check_arguments")
    allow_stdio_via_api: Literal["with_token", "never"] = live(
        "with_token", core="allow_stdio_via_api"
    )
    oauth: OAuth = attrs.field(factory=OAuth)
    pinning: PinningSetting = live("off", core="pinning")

    @property
    def secrets(self) -> list[str]:
        """Every token and secret, for the logs to mask."""
        tokens = (named.token for named in self.tokens.values())
        return [self.bearer_token, *tokens, *self.oauth.secrets]

    @property
    def has_token(self) -> bool:
        """True if any request needs a token."""
        return bool(self.bearer_token or self.tokens or self.oauth.issuers)

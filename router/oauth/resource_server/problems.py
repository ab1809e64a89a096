"""The two ways in which a token of an issuer does not let its bearer in.

Invariant: no text holds anything of a token, for it gets into the log.
"""

from __future__ import annotations


class TokenRefused(Exception):
    """The token is not valid here. Its text says why, for the log only."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class IssuerUnavailable(Exception):
    """The issuer cannot be asked whether a token is valid, or its answers make no sense."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

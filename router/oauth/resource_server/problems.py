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
    """It cannot be said whether the token is valid: its issuer does not answer, or not sensibly."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

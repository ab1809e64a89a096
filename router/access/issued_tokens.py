"""Declares how admission asks about tokens that an identity provider issued. Data and types only.

To judge such a token may take a request to its issuer, and admission never waits. So a token is
checked before its request is admitted (`IssuedTokens.check`), and its verdict is looked up then.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from router.config.security.oauth import Issuer
    from router.messages.commands import Principal

Problem: TypeAlias = Literal["", "invalid", "expired", "no permission", "unavailable"]


class Verdict(Struct, frozen=True):
    """The result of the check of a token.

    Attributes:
        principal: whose it is; None if it lets nobody in.
        problem: the reason why it lets nobody in: it is no token of an issuer; it was one; no entry
            of the table of permissions fits it; or its issuer cannot be asked. Empty for none.
        check_again_s: the second of Trio's clock from which it is to be checked again.
        expires_s: the second of Trio's clock at which it expires.
    """

    principal: Principal | None = None
    problem: Problem = ""
    check_again_s: float = math.inf
    expires_s: float = math.inf


class IssuedTokens(Protocol):
    """The tokens of all issuers.

    Attributes:
        keeps_tokens: returns whether the last token of each person is to be kept, for instances
            that exchange it for one of their own (RFC 8693).
    """

    keeps_tokens: Callable[[], bool]

    def token_of(self, name: str, /) -> str | None:
        """Return the token that the person of this name sent last, while it is valid."""
        ...

    def needs_check(self, token: str, /) -> bool:
        """Return whether `check` has to be awaited before `verdict` says what there is to say."""
        ...

    async def check(self, token: str, /) -> None:
        """Find out about a token; it may take as long as its issuer takes to answer."""
        ...

    def verdict(self, token: str, /) -> Verdict:
        """Return what is known of a token; one that was never checked is invalid."""
        ...

    def is_known(self, principal: Principal, /) -> bool:
        """Return whether a valid token of exactly this principal is known."""
        ...

    def apply(self, issuers: Sequence[Issuer], /) -> None:
        """Go by these issuers from now on; tokens of those that changed are judged anew."""
        ...

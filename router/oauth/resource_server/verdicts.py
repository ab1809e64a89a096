"""Keeps what was found out about tokens, so that a known one costs one look-up. Bounded.

Invariants:

- Tokens themselves are not kept, only their SHA-256 digests.
- Wrong tokens never take the places of right ones.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import trio

from router.access.issued_tokens import Verdict

if TYPE_CHECKING:
    from collections.abc import Container

    from router.messages.commands import Principal

VALID_LIMIT: Final = 8192
"""Tokens that let somebody in, each about 500 bytes; beyond it the least recently used go."""

REFUSED_LIMIT: Final = 1024
"""Tokens that do not."""

UNKNOWN: Final = Verdict(problem="invalid")
_EXPIRED: Final = Verdict(problem="expired")


def digest_of(token: str) -> bytes:
    """Return the digest under which a token is kept."""
    # Bytes that are no UTF-8 arrive as lone surrogates: no token has them, but none may raise.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


class Verdicts:
    """The verdicts on the tokens that were sent last."""

    def __init__(self) -> None:
        self._valid: OrderedDict[bytes, Verdict] = OrderedDict()
        self._refused: OrderedDict[bytes, Verdict] = OrderedDict()

    def is_due(self, digest: bytes) -> bool:
        """Return whether a token is to be checked, because it is unknown or was checked long ago.

        An expired one is not: it stays expired.
        """
        now_s = trio.current_time()
        verdict = self._valid.get(digest) or self._refused.get(digest)
        if verdict is None:
            return True
        return verdict.check_again_s <= now_s < verdict.expires_s

    def of(self, digest: bytes) -> Verdict:
        """Return the verdict on a token; `UNKNOWN` for one that was never checked."""
        verdict = self._valid.get(digest)
        if verdict is None:
            return self._refused.get(digest, UNKNOWN)
        self._valid.move_to_end(digest)
        return verdict if trio.current_time() < verdict.expires_s else _EXPIRED

    def keep(self, digest: bytes, verdict: Verdict) -> None:
        """Keep a verdict, in place of one before."""
        self._valid.pop(digest, None)
        self._refused.pop(digest, None)
        was_valid = verdict.problem in ("", "no permission")
        kept, limit = (self._valid, VALID_LIMIT) if was_valid else (self._refused, REFUSED_LIMIT)
        kept[digest] = verdict
        if len(kept) > limit:
            kept.popitem(last=False)

    def has(self, principal: Principal) -> bool:
        """Return whether a token of exactly this principal is known and has not expired."""
        now_s = trio.current_time()
        rows = self._valid.values()
        return any(one.principal == principal and now_s < one.expires_s for one in rows)

    def forget_all_but(self, issuers: Container[str]) -> None:
        """Forget all tokens but those that let in people of these issuers."""
        self._refused.clear()
        for digest, one in list(self._valid.items()):
            issuer = "" if one.principal is None else one.principal.name.partition(" ")[0]
            if issuer not in issuers:
                del self._valid[digest]

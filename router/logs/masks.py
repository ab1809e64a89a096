"""Masks the known secrets in texts, in every form in which they may occur.

Every log record passes here, and so does every reason that a server gives for its failure.

Invariants: no I/O; short values stay, because they are in every other line.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

SHORTEST_SECRET: Final = 6
"""Shorter values (`true`, `8080`) are in every other line; masking them would hide the log."""

MASK: Final = "***"

MOST_TOKENS: Final = 64
"""Tokens that come and go, and are masked at the same time: each costs some time in every line."""


class Masks:
    """The known secrets."""

    def __init__(self) -> None:
        self._forms: frozenset[str] = frozenset()
        self._tokens: dict[str, None] = {}
        self._pattern: re.Pattern[str] | None = None

    def add(self, values: Iterable[str]) -> None:
        """Mask these from now on, as they are and as JSON strings."""
        forms = {form for value in values for form in _forms_of(value)}
        self._forms |= {form for form in forms if len(form) >= SHORTEST_SECRET}
        self._compile()

    def add_token(self, token: str) -> None:
        """Mask a token that is renewed now and then, until `MOST_TOKENS` later ones have come."""
        self._tokens.pop(token, None)
        self._tokens[token] = None
        while len(self._tokens) > MOST_TOKENS:
            del self._tokens[next(iter(self._tokens))]
        self._compile()

    def _compile(self) -> None:
        tokens = {token for token in self._tokens if len(token) >= SHORTEST_SECRET}
        if self._forms or tokens:
            # The longest first: of a secret that begins like another, the end would stay.
            longest_first = sorted(self._forms | tokens, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def mask(self, text: str) -> str:
        """Return the text with `MASK` in the place of each secret."""
        return text if self._pattern is None else self._pattern.sub(MASK, text)


def _forms_of(value: str) -> set[str]:
    """Return the forms of a value in texts: as it is, line by line, and in JSON strings."""
    forms = {value, *(line.strip() for line in value.splitlines())}
    if not value.isascii() or not value.isprintable() or any(quoted in value for quoted in '"\\'):
        # For start-up time: few values need this.
        from json import encoder

        forms |= {encoder.encode_basestring(form)[1:-1] for form in set(forms)}
        forms |= {encoder.encode_basestring_ascii(form)[1:-1] for form in set(forms)}
    return forms

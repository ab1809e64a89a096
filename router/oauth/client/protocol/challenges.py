"""Reads the challenges in `WWW-Authenticate` (RFC 9110 section 11.6.1).

A value holds any number of challenges, and both they and their parameters are separated by commas.
Invariants: pure; what cannot be read is left out, and the time for it grows with the length alone.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

_LIMIT: Final = 16 * 1024
"""Characters that are read."""

_SEPARATORS: Final = re.compile(r"[ \t\r\n,]*")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(
    r"[ \t]*=[ \t]*(?:\"((?:[^\"\\]|\\.)*)\"|([!#$%&'*+.^_`|~0-9A-Za-z:/-]+))", re.DOTALL
)
_TOKEN68: Final = re.compile(r"[ \t]+[A-Za-z0-9._~+/-]+=*[ \t]*(?=[,\r\n]|$)")
_REST: Final = re.compile(r"[^,]*")


class Challenge(Struct, frozen=True):
    """One challenge.

    Attributes:
        scheme: in lower case.
        parameters: by their names in lower case; of a repeated one, the first.
    """

    scheme: str
    parameters: dict[str, str]

    @property
    def resource_metadata(self) -> str:
        """The URL of the metadata of the resource (RFC 9728 section 5.1); "" for none."""
        return self.parameters.get("resource_metadata", "")

    @property
    def scopes(self) -> tuple[str, ...] | None:
        """The scopes that the request needs (RFC 6750 section 3); None if it names none."""
        scope = self.parameters.get("scope")
        return None if scope is None else tuple(scope.split())

    @property
    def error(self) -> str:
        """The code of the error (RFC 6750 section 3.1); "" for none."""
        return self.parameters.get("error", "")


NO_CHALLENGE: Final = Challenge("", {})


def parse(text: str) -> list[Challenge]:
    """Return all challenges, in their order.

    Args:
        text: one value, or several joined by commas or line ends.
    """
    text = text[:_LIMIT]
    found: list[Challenge] = []
    at = _skip(text, 0)
    while at < len(text):
        name = _TOKEN.match(text, at)
        if name is None:
            at = _skip(text, max(at + 1, _end(_REST, text, at)))
            continue
        at = name.end()
        value = _VALUE.match(text, at)
        if value is not None and found:
            found[-1].parameters.setdefault(name[0].lower(), _unquoted(value))
            at = value.end()
        else:
            found.append(Challenge(name[0].lower(), {}))
            at = _end(_TOKEN68, text, at)
        at = _skip(text, at)
    return found


def bearer(text: str) -> Challenge | None:
    """Return the challenge of OAuth; None if there is none.

    Of several, the first counts that names the metadata of the resource, else the first.
    """
    found = [challenge for challenge in parse(text) if challenge.scheme == "bearer"]
    named = [challenge for challenge in found if challenge.resource_metadata]
    return (named or found or [None])[0]


def _unquoted(value: re.Match[str]) -> str:
    quoted = value[1]
    return value[2] if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)


def _skip(text: str, at: int) -> int:
    return _end(_SEPARATORS, text, at)


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return at if found is None else found.end()

"""The answer to one request of the router, and the type of the function that makes requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_HEADERS: Final[Mapping[str, str]] = {}

BODY_LIMIT_BYTES: Final = 1 << 20
"""The longest body of an answer: documents of authorization servers have some kilobytes."""

DEADLINE_S: Final = 10.0
"""Time for a request and its whole answer."""


class Fetched(Struct, frozen=True):
    """An answer, with whatever status.

    Attributes:
        status: of HTTP.
        headers: name in lower case -> value; values of repeated headers are joined by ", ".
        body: decoded from gzip if it was encoded.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class FetchFailed(Exception):
    """There was no answer, or none that is accepted.

    Attributes:
        sentence: the reason for the user, in one line. It shows no query, user info or header.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class Fetch(Protocol):
    """The type of `fetching.fetch`."""

    async def __call__(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] = NO_HEADERS,
        content: bytes = b"",
        allow_private: bool,
        limit_bytes: int = BODY_LIMIT_BYTES,
        timeout_s: float = DEADLINE_S,
    ) -> Fetched:
        """Make one request, and return its answer."""
        ...

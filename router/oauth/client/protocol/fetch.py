"""The type of the function that does the router's own requests for OAuth.

`transports.outbound.fetching` has the real one; tests have fakes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


class Fetched(Protocol):
    """A whole answer.

    Attributes:
        status: of HTTP.
        headers: by their names in lower case.
        body: no longer than the limit.
    """

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def body(self) -> bytes: ...


class Fetch(Protocol):
    """Does one bounded request, without redirects; see `transports.outbound.fetching`."""

    async def __call__(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] = ...,
        content: bytes = ...,
        allow_private: bool,
        limit_bytes: int = ...,
        timeout_s: float = ...,
    ) -> Fetched:
        """Return the answer.

        Raises:
            FetchFailed: there is none; its text is a sentence.
        """
        ...


class FetchFailed(Exception):
    """There is no answer; the text is a sentence without secrets."""

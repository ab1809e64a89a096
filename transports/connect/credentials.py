"""The interface between the connection to a remote server and those who log in to it.

Invariants: a token is in no message, no exception and no repr.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


class LoginNeeded(Exception):
    """There is no token for this server, and only a login gets one.

    Attributes:
        reason: the cause, as the end of a sentence that names the instance.
        login_url: the page on which a person logs in for their own session; empty if there is none.
        way_out: the way out where there is no page; empty if there is none.
        is_for_one_request: True if there is a token that other requests can go on with.
    """

    def __init__(
        self,
        reason: str,
        login_url: str = "",
        way_out: str = "",
        *,
        is_for_one_request: bool = False,
    ) -> None:
        super().__init__(reason, login_url, way_out, is_for_one_request)
        self.reason = reason
        self.login_url = login_url
        self.way_out = way_out
        self.is_for_one_request = is_for_one_request

    def __str__(self) -> str:
        # Without the page: it is for one person, and this is for all who see the state.
        return f"{self.reason}; {self.way_out}" if self.way_out else self.reason


class Credentials(Protocol):
    """The credentials for one session of an instance: one person's, or everybody's."""

    async def headers(self) -> Mapping[str, str]:
        """Return the headers for the next request, such as `authorization`; empty for none.

        It costs no I/O as long as a token is good. The values are plain ASCII.

        Raises:
            LoginNeeded: there was a login, and it is over.
        """
        ...

    async def refused(self, status: int, challenges: str, sent: Mapping[str, str]) -> bool:
        """Take note that the server refused a request, and get better credentials if possible.

        Args:
            status: 401, or 403.
            challenges: the values of its `WWW-Authenticate` headers (RFC 9110 section 11.6.1).
            sent: the headers that `headers` had returned for it.

        Returns:
            True if the request is to be sent once more, with what `headers` returns by then. False
            if this was no matter of credentials, so that the answer counts as it is.

        Raises:
            LoginNeeded: only a person can go on.
        """
        ...

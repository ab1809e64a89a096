"""Puts what the rest of the router has to know around the credentials of a session.

The logs mask each token before it is sent; and the error that asks a person for a login has the
page on which they log in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from transports.connect.credentials import LoginNeeded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from transports.connect.credentials import Credentials


def no_page() -> str:
    """Return no URL: for a session that is no single person's."""
    return ""


class SessionCredentials(Struct, eq=False):
    """The credentials of one session.

    Attributes:
        inner: the credentials themselves.
        mask_token: has the logs mask a token.
        login_url: returns the URL of the page of the session's person; empty if there is none.
    """

    inner: Credentials
    mask_token: Callable[[str], None]
    login_url: Callable[[], str] = no_page
    _masked: str = ""

    def __repr__(self) -> str:
        # Without the token.
        return f"SessionCredentials({self.inner!r})"

    async def headers(self) -> Mapping[str, str]:
        """See `Credentials`."""
        try:
            headers = await self.inner.headers()
        except LoginNeeded as error:
            raise self._linked(error) from None
        sent = headers.get("authorization", "")
        if sent != self._masked:
            self._masked = sent
            self.mask_token(sent.partition(" ")[2] or sent)
        return headers

    async def refused(self, status: int, challenges: str, sent: Mapping[str, str]) -> bool:
        """See `Credentials`."""
        try:
            return await self.inner.refused(status, challenges, sent)
        except LoginNeeded as error:
            raise self._linked(error) from None

    def _linked(self, error: LoginNeeded) -> LoginNeeded:
        url = error.login_url or self.login_url()
        return LoginNeeded(error.reason, url) if url else error

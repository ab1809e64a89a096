"""The vocabulary of logins: their starts, their ends, and how they are shown. Data only.

Invariant: no token, code or secret is in any of these but `LoginStart.url` and the handles, which
belong to the person who logs in.
"""

from __future__ import annotations

from msgspec import Struct


class LoginFailed(Exception):
    """A login that came to nothing.

    Attributes:
        reason: one sentence for the user, with the way out where there is one.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class LoginStart(Struct, frozen=True):
    """A login that a person is to finish in a browser.

    Attributes:
        url: to open; always https, or http on this machine.
        state: 256 random bits that name this login; the callback brings them back.
        expires_in_s: the time for it.
    """

    url: str
    state: str
    expires_in_s: float

    def __repr__(self) -> str:
        return f"LoginStart(expires_in_s={self.expires_in_s})"


class DeviceStart(Struct, frozen=True):
    """A login that a person is to finish on any device (RFC 8628).

    Attributes:
        handle: names this login for `Logins.poll_device`; it is no code of the server.
        user_code: to type in at `url`.
        url: of the page where it is typed in; always https, or http on this machine.
        url_with_code: the same with the code in it; empty where the server has none.
        expires_in_s: the time for it.
        interval_s: the shortest time between two calls of `Logins.poll_device`.
    """

    handle: str
    user_code: str
    url: str
    url_with_code: str
    expires_in_s: float
    interval_s: float

    def __repr__(self) -> str:
        return f"DeviceStart(url={self.url!r}, expires_in_s={self.expires_in_s})"


class Finished(Struct, frozen=True):
    """A login that has come to a token.

    Attributes:
        instance: its name.
        person: who logged in; None where one login serves everybody.
    """

    instance: str
    person: str | None


class LoginState(Struct, frozen=True):
    """A login as it is shown to people; never a token.

    Attributes:
        is_logged_in: True if there is a token that is good as far as is known, or can be renewed.
        since_s: Unix time of the login; None without one.
        expires_at_s: Unix time at which its access token expires; None if that is not known.
        is_renewed: True if a new access token is had without a person.
        scopes: that it has, as far as is known.
        issuer: of the authorization server; empty if that is not known.
        problem: one sentence about why there is no login, or why it could not be renewed.
    """

    is_logged_in: bool = False
    since_s: float | None = None
    expires_at_s: float | None = None
    is_renewed: bool = False
    scopes: tuple[str, ...] = ()
    issuer: str = ""
    problem: str = ""

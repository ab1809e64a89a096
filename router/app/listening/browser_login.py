"""Has the logins of browsers at hand for the listener of the REST API, once an issuer has one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from router.config import live

if TYPE_CHECKING:
    from router.access.live_admission import LiveAdmission
    from router.app.logins.login_routes import SignedIn
    from router.config.settings import Settings
    from router.oauth.browser.browser_logins import BrowserLogins
    from router.reload.live_settings import LiveSettings


class BrowserLogin(Struct, eq=False):
    """The logins of browsers, which outlive a restart of that listener.

    Attributes:
        settings: the settings in force.
        admission: checks `Host` and `Origin`.
        is_served: the listener of the REST API is there, which has the routes of these logins.
    """

    settings: LiveSettings
    admission: LiveAdmission
    is_served: bool
    _logins: BrowserLogins | None = None

    def load(self) -> BrowserLogins | None:
        """Return the logins; None if no issuer has any. Blocks the first time: it imports them."""
        if not has_browser_login(self.settings.current):
            return None
        if self._logins is None:
            # For start-up time: few routers have an issuer.
            from router.oauth.browser.browser_logins import BrowserLogins
            from transports.outbound.fetching import fetch

            self._logins = BrowserLogins(
                issuers=lambda: self.settings.current.security.oauth.issuers,
                public_url=lambda: self.settings.current.server.public_url,
                check_site=self.admission.api.check_site,
                fetch=fetch,
            )
        return self._logins

    def sign_in_of(self, person: str) -> SignedIn | None:
        """Return what tells who is signed in by the browser of a request.

        Args:
            person: the name of a principal.

        Returns:
            None for a principal that cannot sign in with a browser.
        """
        issuer, _, subject = person.partition(" ")
        issuers = self.settings.current.security.oauth.issuers
        can = any(one.issuer == issuer and one.login is not None for one in issuers)
        logins = self.load() if self.is_served and subject and can else None
        return None if logins is None else logins.signed_in


def has_browser_login(settings: Settings) -> bool:
    """Return whether browsers can log in."""
    return any(issuer.login is not None for issuer in settings.security.oauth.issuers)


def values_at_api_start(settings: Settings) -> tuple[Any, ...]:
    """Return all that the listener of the REST API reads only when it starts."""
    return (*live.values_at_api_start(settings), has_browser_login(settings))

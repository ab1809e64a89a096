"""The logins of one router, as its other parts use them: sessions, listeners, the REST API.

Invariant: what only some of them need is imported when they start, in their worker threads.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

import attrs
from msgspec import Struct, field

from router.app.logins.session_credentials import SessionCredentials, no_page
from router.messages.instances.instance_spec import CLIENT_MARK

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from router.app.logins.instance_logins import InstanceLogins
    from router.app.logins.lazy_logins import LazyLogins
    from router.app.logins.login_routes import SignedIn
    from router.app.sockets import Bound
    from router.messages.instances.instance_spec import InstanceSpec
    from router.messages.observability.records import Record
    from transports.connect.credentials import Credentials
    from transports.listen.serving.admitting.open_routes import OpenRoutes


class RouterLogins(Struct, eq=False):
    """The logins of one router.

    Attributes:
        lazy: the logins themselves, which are made when they are first needed.
        mask_token: has the logs mask a token.
        write_record: hands a record to those who keep it.
        bound: returns the listeners at their present addresses.
        sign_in_of: see `LoginRoutes`; None if no principal can sign in with a browser.
    """

    lazy: LazyLogins
    mask_token: Callable[[str], None]
    write_record: Callable[[Record], None]
    bound: Callable[[], Sequence[Bound]] = tuple
    sign_in_of: Callable[[str], SignedIn | None] | None = None
    _asking: InstanceLogins | None = None
    _making: threading.Lock = field(default_factory=threading.Lock)

    def for_asking(self) -> InstanceLogins:
        """Return the logins for those who ask for them; the same ones each time.

        Listeners call it in their worker threads.
        """
        # For start-up time: no client on stdio needs it.
        from router.app.logins.instance_logins import InstanceLogins

        with self._making:
            if self._asking is None:
                self._asking = InstanceLogins(
                    self.lazy, self.lazy.public_url, lambda: self.bound(), self.write_record
                )
            return self._asking

    def open_routes(self) -> OpenRoutes:
        """Return the paths of logins that need no token; for a worker thread."""
        # For start-up time, as above.
        from router.app.logins.login_routes import LoginRoutes

        if self.sign_in_of is None:
            return LoginRoutes(self.for_asking()).routes()
        return LoginRoutes(self.for_asking(), self.sign_in_of).routes()

    def credentials_for(self, spec: InstanceSpec, person: str | None) -> Credentials:
        """Return the credentials for a session of an instance; see `Logins.credentials_for`."""
        # A login is the instance's, and not that of one of its sessions.
        spec = attrs.evolve(spec, name=spec.name.partition(CLIENT_MARK)[0])
        credentials = self.lazy.now().credentials_for(spec, person)
        # Where the token of a person is exchanged, nobody logs in.
        login = spec.oauth
        page = no_page
        if person and login and login.per_user and login.grant == "authorization_code":
            page = partial(self._login_url, spec.name, person)
        return SessionCredentials(credentials, self.mask_token, page)

    def _login_url(self, name: str, person: str) -> str:
        # Without one of them there is no listener that a browser reaches.
        return "" if self._asking is None else self._asking.login_url(name, person)

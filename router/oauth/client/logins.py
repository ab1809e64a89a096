"""Logs the router in to remote servers: the one way in for the rest of the program.

Each instance has one login, or one for each person (`oauth.per_user`). Tokens are kept in
`logins.json`, and renewed ahead of time.

Invariants: nothing is imported or read before a server asks for a login, but for the logins that
there are; a token is in no message, no exception and no repr.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from router.messages.instances.instance_spec import InstanceSpec
    from router.oauth.client.login_results import DeviceStart, Finished, LoginStart, LoginState
    from router.oauth.client.protocol.fetch import Fetch
    from transports.connect.credentials import Credentials


def _no_subject_token(_person: str) -> str | None:
    return None


def _no_change(_name: str, _person: str | None) -> None:
    pass


class Logins:
    """The logins of one router.

    Attributes:
        on_change: told the instance and the person after each login and logout.
    """

    def __init__(
        self,
        config: Path,
        fetch: Fetch,
        *,
        public_url: Callable[[], str] = str,
        subject_token: Callable[[str], str | None] = _no_subject_token,
    ) -> None:
        """Make the logins beside `config`; nothing is read or imported yet.

        Args:
            config: the path of `config.json`.
            fetch: does all requests.
            public_url: the setting `server.public_url` as it is now; "" for none.
            subject_token: the name of a principal -> the access token that this person sent last.
        """
        self.on_change: Callable[[str, str | None], None] = _no_change

    def take_specs(self, specs: Iterable[InstanceSpec]) -> None:
        """Take the instances as they are configured from now on."""
        raise NotImplementedError

    def credentials_for(self, spec: InstanceSpec, person: str | None) -> Credentials:
        """Return the credentials for a session of an instance.

        Args:
            spec: as the session is started.
            person: the name of the principal, with `oauth.per_user`, or with a grant that needs
                the token of a person; else None.
        """
        raise NotImplementedError

    async def begin(self, name: str, person: str | None, redirect_uri: str) -> LoginStart:
        """Prepare the login of a person in a browser: discovery, registration and PKCE.

        Args:
            name: of the instance.
            person: who logs in; None where one login serves everybody.
            redirect_uri: where the authorization server sends the browser back to.

        Raises:
            LoginFailed: it cannot begin.
        """
        raise NotImplementedError

    async def finish(self, query: Mapping[str, str]) -> Finished:
        """Finish a login with the parameters of the callback (RFC 6749 section 4.1.2).

        Raises:
            LoginFailed: the state is unknown, used or too old, the person or the server refused,
                or the answer is not of the server that was asked.
        """
        raise NotImplementedError

    async def begin_device(self, name: str, person: str | None) -> DeviceStart:
        """Prepare the login of a person on another device (RFC 8628).

        Raises:
            LoginFailed: the authorization server does not offer it, or it cannot begin.
        """
        raise NotImplementedError

    async def poll_device(self, handle: str) -> Finished | None:
        """Ask whether the login on another device is finished; None if it is not yet.

        Raises:
            LoginFailed: it is refused, too old, or unknown.
        """
        raise NotImplementedError

    async def log_out(self, name: str, person: str | None) -> bool:
        """Forget a login, and revoke its tokens where that is offered (RFC 7009).

        Returns:
            False if there was none.
        """
        raise NotImplementedError

    def state_of(self, name: str, person: str | None) -> LoginState:
        """Return what is known of a login, without any I/O."""
        raise NotImplementedError

    def client_metadata_document(self) -> bytes | None:
        """Return the document at `/oauth/client-metadata.json`; None without an https public URL.

        See draft-ietf-oauth-client-id-metadata-document.
        """
        raise NotImplementedError

    async def run(self) -> None:
        """Load the logins that there are, and renew them ahead of time, for ever."""
        raise NotImplementedError

"""Logs the router in to remote servers: the one way in for the rest of the program.

Each instance has one login, or one for each person (`oauth.per_user`). Tokens are kept in
`logins.json`, and renewed ahead of time.

Invariants: no library is imported before a server asks for a login, or a token has to be renewed; a
token is in no message, no exception and no repr.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import trio
from msgspec.structs import replace

from router.oauth.client import grants
from router.oauth.client.credentials import InstanceCredentials, NoCredentials
from router.oauth.client.held_login import HeldLogin
from router.oauth.client.login_results import DeviceStart, Finished, LoginFailed, LoginState
from router.oauth.client.login_store import LoginStore, client_key, login_key
from router.oauth.client.parties import (
    Parties,
    Surroundings,
    ask_for_challenge,
    introduce,
    lost_client,
)
from router.oauth.client.pending_logins import (
    LIFETIME_S,
    PendingLogin,
    PendingLogins,
    check_pkce,
    code_of,
    new_verifier,
    started,
)
from router.oauth.client.protocol import clients, device_endpoint, token_endpoint
from router.oauth.client.protocol.challenges import NO_CHALLENGE
from router.oauth.client.protocol.requests import Unreachable
from router.oauth.client.renewal_task import RenewalTask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from router.messages.instances.instance_spec import InstanceSpec
    from router.oauth.client.login_results import LoginStart
    from router.oauth.client.login_store import SavedLogin
    from transports.connect.credentials import Credentials
    from transports.outbound.fetched import Fetch

_log = logging.getLogger("mcp_router.login")


def _no_subject_token(_person: str) -> str | None:
    return None


def _no_change(_name: str, _person: str | None) -> None:
    pass


class Logins:
    """The logins of one router.

    Attributes:
        on_change: told the instance and the person after each login and logout, and when a login
            has ended because it could not be renewed ahead of time.
    """

    def __init__(
        self,
        config: Path,
        fetch: Fetch,
        *,
        public_url: Callable[[], str] = str,
        subject_token: Callable[[str], str | None] = _no_subject_token,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """Make the logins beside `config`; nothing is read or imported yet.

        Args:
            config: the path of `config.json`.
            fetch: does all requests.
            public_url: the setting `server.public_url` as it is now; "" for none.
            subject_token: the name of a principal -> the access token that this person sent last.
            now_s: the clock, Unix time in seconds.
        """
        self.on_change: Callable[[str, str | None], None] = _no_change
        store = LoginStore(config)
        self._around = Surroundings(fetch, store, public_url, subject_token, now_s)
        self._specs: dict[str, InstanceSpec] = {}
        self._held: dict[str, HeldLogin] = {}
        self._loaded: dict[str, SavedLogin] = {}
        self._unfinished: set[tuple[str, str]] = set()  # issuers, and client ids there
        self._is_loaded = False
        self._loading = trio.Lock()
        self._browser = PendingLogins(now_s)
        self._devices = PendingLogins(now_s)
        self._renewals = RenewalTask(self._held.values, self._tell, now_s)

    def take_specs(self, specs: Iterable[InstanceSpec]) -> None:
        """Take the instances as they are configured from now on."""
        self._specs = {spec.name: spec for spec in specs}
        for key, held in list(self._held.items()):
            spec = self._specs.get(held.spec.name)
            if spec is None or login_key(spec, held.person) != key:
                del self._held[key]
            else:
                held.configure(spec)
        self._adopt()

    def credentials_for(self, spec: InstanceSpec, person: str | None) -> Credentials:
        """Return the credentials for a session of an instance.

        Args:
            spec: as the session is started.
            person: the name of the principal, with `oauth.per_user`, or with a grant that needs
                the token of a person; else None.
        """
        if not grants.logs_in(spec):
            return NoCredentials()
        person = grants.person_of(spec, person)
        key = login_key(spec, person)
        return InstanceCredentials(lambda: self._hold(key, spec, person), self._load)

    def _hold(self, key: str, spec: InstanceSpec, person: str | None) -> HeldLogin:
        """Return the login of an instance, which may be the lack of one."""
        held = self._held.get(key)
        if held is None:
            held = self._held[key] = HeldLogin(self._around, spec, person, key)
            saved = self._loaded.pop(key, None)
            if saved is not None:
                held.take(saved)
                self._renewals.look_again()
        return held

    def _held_by(self, spec: InstanceSpec, person: str | None) -> HeldLogin:
        person = grants.person_of(spec, person)
        return self._hold(login_key(spec, person), spec, person)

    # --- Logging in ---

    async def begin(self, name: str, person: str | None, redirect_uri: str) -> LoginStart:
        """Prepare the login of a person in a browser: discovery, registration and PKCE.

        Args:
            name: of the instance.
            person: who logs in; None where one login serves everybody.
            redirect_uri: where the authorization server sends the browser back to.

        Raises:
            LoginFailed: it cannot begin.
        """
        held = await self._to_log_in(name, person)
        parties = await self._introduced(held, redirect_uri)
        check_pkce(parties.server)
        if parties.client.origin == "registered":
            parties = await self._with_good_registration(held, parties)
        pending = self._pending(held, parties, new_verifier(), redirect_uri, LIFETIME_S)
        return started(pending, self._browser.add(pending))

    async def finish(self, query: Mapping[str, str]) -> Finished:
        """Finish a login with the parameters of the callback (RFC 6749 section 4.1.2).

        Raises:
            LoginFailed: the state is unknown, used or too old, the person or the server refused,
                or the answer is not of the server that was asked.
        """
        pending = self._browser.take(query.get("state", ""))
        fields = {
            "grant_type": "authorization_code",
            "code": code_of(pending, query),
            "redirect_uri": pending.redirect_uri,
            "code_verifier": pending.secret,
            "resource": pending.parties.resource,
        }
        return await self._finish(pending, fields)

    async def begin_device(self, name: str, person: str | None) -> DeviceStart:
        """Prepare the login of a person on another device (RFC 8628).

        Raises:
            LoginFailed: the authorization server does not offer it, or it cannot begin.
        """
        held = await self._to_log_in(name, person)
        parties = await self._introduced(held, "")
        requests = self._around.requests(held.spec)
        asked = await device_endpoint.ask(
            requests, parties.server, parties.client, parties.resource, parties.scopes
        )
        pending = self._pending(held, parties, asked.device_code, "", asked.expires_in_s)
        pending = replace(pending, interval_s=asked.interval_s)
        return DeviceStart(
            self._devices.add(pending),
            asked.user_code,
            asked.url,
            asked.url_with_code,
            asked.expires_in_s,
            asked.interval_s,
        )

    async def poll_device(self, handle: str) -> Finished | None:
        """Ask whether the login on another device is finished; None if it is not yet.

        Raises:
            LoginFailed: it is refused, too old, or unknown.
        """
        await trio.lowlevel.checkpoint()
        pending = self._devices.take(handle)
        now_s = self._around.now_s()
        if now_s < pending.not_before_s:
            self._devices.put_back(handle, pending)
            return None
        fields = {
            "grant_type": clients.DEVICE_GRANT,
            "device_code": pending.secret,
            "resource": pending.parties.resource,
        }
        interval_s = pending.interval_s
        try:
            return await self._finish(pending, fields)
        except token_endpoint.TokenRefused as exc:
            if exc.code != "authorization_pending":
                raise
        except Unreachable:
            interval_s += device_endpoint.SLOWER_BY_S  # `slow_down`, or no answer
        later = replace(pending, interval_s=interval_s, not_before_s=now_s + interval_s)
        self._devices.put_back(handle, later)
        return None

    async def _to_log_in(self, name: str, person: str | None) -> HeldLogin:
        """Return the login that a person may make.

        Raises:
            LoginFailed: there is no such instance, or nobody logs in to it.
        """
        spec = self._specs.get(name)
        if spec is None:
            raise LoginFailed(f"there is no instance {name}")
        problem = grants.why_nobody_logs_in(spec)
        if problem:
            raise LoginFailed(f"nobody logs in to {name}: {problem}")
        if spec.oauth is not None and spec.oauth.per_user and person is None:
            raise LoginFailed(f"each person logs in to {name}; do so with a token of your own")
        await self._load()
        held = self._held_by(spec, person)
        if held.challenge is NO_CHALLENGE:
            held.challenge = await ask_for_challenge(self._around, spec)
        return held

    async def _introduced(self, held: HeldLogin, redirect_uri: str) -> Parties:
        return await introduce(
            self._around,
            held.spec,
            held.challenge,
            redirect_uri=redirect_uri,
            further_scopes=held.further_scopes,
        )

    async def _with_good_registration(self, held: HeldLogin, parties: Parties) -> Parties:
        """Register anew where a login with the same registration was begun and not finished.

        A server that has forgotten the registration shows that to the person alone.
        """
        await trio.lowlevel.checkpoint()
        client = parties.client
        if (client.issuer, client.client_id) in self._unfinished:
            await self._around.store.remove([client_key(client.issuer, client.redirect_uri)])
            self._unfinished.discard((client.issuer, client.client_id))
            parties = await self._introduced(held, client.redirect_uri)
        self._unfinished.add((parties.client.issuer, parties.client.client_id))
        return parties

    def _pending(
        self, held: HeldLogin, parties: Parties, secret: str, redirect_uri: str, life_s: float
    ) -> PendingLogin:
        ends_at_s = self._around.now_s() + life_s
        return PendingLogin(
            held.spec.name, held.person, held.key, parties, redirect_uri, secret, ends_at_s
        )

    async def _finish(self, pending: PendingLogin, fields: Mapping[str, str]) -> Finished:
        """Get the tokens of a login that was begun, and keep them."""
        spec = self._specs.get(pending.instance)
        if spec is None or login_key(spec, pending.person) != pending.key:
            raise LoginFailed(f"{pending.instance} was changed since; begin a new login")
        parties = pending.parties
        tokens = await self._tokens(spec, parties, fields)
        self._unfinished.discard((parties.client.issuer, parties.client.client_id))
        login = grants.new_login(spec, pending.person, parties, tokens, self._around.now_s())
        async with self._around.store.hold(pending.key):  # a renewal elsewhere comes to its end
            await self._around.store.write(pending.key, login)
        self._hold(pending.key, spec, pending.person).logged_in(login)
        self._renewals.look_again()
        _log.info("[%s] logged in at %s", spec.name, parties.server.issuer)
        self.on_change(spec.name, pending.person)
        return Finished(spec.name, pending.person)

    async def _tokens(
        self, spec: InstanceSpec, parties: Parties, fields: Mapping[str, str]
    ) -> token_endpoint.Tokens:
        requests = self._around.requests(spec)
        try:
            return await token_endpoint.ask(requests, parties.server, parties.client, fields)
        except token_endpoint.TokenRefused as exc:
            refusal = exc
        await self._around.store.remove(lost_client(parties.server, parties.client, refusal))
        raise refusal

    async def log_out(self, name: str, person: str | None) -> bool:
        """Forget a login, and revoke its tokens where that is offered (RFC 7009).

        Returns:
            False if there was none.

        Raises:
            LoginFailed: it could not be removed from the file.
        """
        await self._load()
        spec = self._specs.get(name)
        held = None if spec is None else self._held_by(spec, person)
        if held is None or held.saved is None:
            return False
        async with self._around.store.hold(held.key):
            saved = held.saved
            await self._around.store.remove([held.key])
            held.drop("", is_over=False)
        self._renewals.look_again()
        self.on_change(name, held.person)
        try:
            await grants.revoke(self._around, held.spec, saved)
        except LoginFailed as exc:
            _log.warning("[%s] the tokens could not be revoked: %s", name, exc.reason)
        return True

    # --- What is shown ---

    def state_of(self, name: str, person: str | None) -> LoginState:
        """Return what is known of a login, without any I/O."""
        spec = self._specs.get(name)
        if spec is None or not grants.logs_in(spec):
            return LoginState()
        held = self._held.get(login_key(spec, grants.person_of(spec, person)))
        return LoginState() if held is None else held.state()

    def client_metadata_document(self) -> bytes | None:
        """Return the document at `/oauth/client-metadata.json`; None without an https public URL.

        See draft-ietf-oauth-client-id-metadata-document.
        """
        return clients.document(self._around.public_url())

    # --- Renewing ahead of time ---

    async def run(self) -> None:
        """Load the logins that there are, and renew them ahead of time, for ever."""
        await self._load()
        if self._specs:
            await self._tidy()
        await self._renewals.run()

    async def _tidy(self) -> None:
        await trio.lowlevel.checkpoint()
        used = {key: held.saved for key, held in self._held.items() if held.saved is not None}
        try:
            await self._around.store.tidy(used, self._loaded, self._around.now_s())
        except LoginFailed as exc:
            _log.warning("%s", exc.reason)

    def _tell(self, held: HeldLogin) -> None:
        self.on_change(held.spec.name, held.person)

    async def _load(self) -> None:
        """Read the logins that there are, the first time."""
        if self._is_loaded:
            await trio.lowlevel.checkpoint()
            return
        async with self._loading:
            if self._is_loaded:
                return
            try:
                self._loaded = await self._around.store.load()
            except LoginFailed as exc:
                _log.error("%s", exc.reason)
            self._is_loaded = True
            self._adopt()

    def _adopt(self) -> None:
        """Use the logins of the file that belong to instances as they are configured."""
        for key, saved in list(self._loaded.items()):
            spec = self._specs.get(saved.instance)
            if spec is not None and grants.logs_in(spec) and login_key(spec, saved.person) == key:
                self._hold(key, spec, saved.person)

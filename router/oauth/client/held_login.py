"""One login while the router runs: its token, and how that is renewed.

Invariants:

- One renewal at a time: whoever asks while it runs waits for it, and takes what it got.
- A new token is on disk before it is used. Between the answer of the authorization server and the
  file, nothing cancels: a refresh token that was used up would be lost with its successor.
- Another process that renewed first is believed: the file is read again before each renewal.
- A server that cannot answer costs no login; one that refuses the refresh token ends it.
"""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING, Final

import attrs
import trio

from router.oauth.client import grants
from router.oauth.client.login_results import LoginFailed, LoginState
from router.oauth.client.parties import lost_client
from router.oauth.client.protocol.challenges import NO_CHALLENGE
from router.oauth.client.protocol.requests import Unreachable
from router.oauth.client.protocol.token_endpoint import TokenRefused
from transports.connect.credentials import LoginNeeded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.messages.instances.instance_spec import InstanceSpec
    from router.oauth.client.login_store import SavedLogin
    from router.oauth.client.parties import Surroundings
    from router.oauth.client.protocol.challenges import Challenge

_log = logging.getLogger("mcp_router.login")

RENEW_AT: Final = 0.8
"""The part of a token's life after which it is renewed ahead of time."""

JITTER: Final = 0.05
"""The part of a token's life by which that is earlier at most, so that many do not come at once."""

LAST_SECONDS_S: Final = 5.0
"""A token that has no more than these is not sent: it would expire on its way."""

REFRESH_LIMIT_S: Final = 30.0
"""The time for a refresh that nothing cancels: one request and the file, each with its limit."""

FIRST_PAUSE_S: Final = 5.0
LONGEST_PAUSE_S: Final = 300.0
"""After a renewal that failed, the next one is tried after the first pause, then twice that …"""


@attrs.define(eq=False)
class HeldLogin:
    """The login for one instance and person, or the lack of one.

    Attributes:
        around: see there.
        spec: of the instance, as it is configured now.
        person: None for everybody.
        key: its name in the file.
        saved: the login; None without one.
        challenge: the last one of the server.
        further_scopes: that the server has asked for since the login.
        step_ups: the times that it did so.
        problem: why there is no login, or why it could not be renewed; "" if all is well.
        is_over: True if there was a login that has ended.
        renew_at_s: Unix time of the next renewal ahead of time; None for none.
    """

    around: Surroundings = attrs.field(repr=False)
    spec: InstanceSpec = attrs.field(repr=False)
    person: str | None
    key: str
    saved: SavedLogin | None = attrs.field(default=None, repr=False)
    challenge: Challenge = attrs.field(default=NO_CHALLENGE, repr=False)
    further_scopes: tuple[str, ...] = ()
    step_ups: int = 0
    problem: str = ""
    is_over: bool = False
    renew_at_s: float | None = None
    _header: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)
    _failures: int = 0
    _paused_at_s: float = 0
    _pause_until_s: float = 0
    _is_on_disk: bool = True
    _is_refused: bool = False
    _dropped: str = attrs.field(default="", repr=False)
    _lock: trio.Lock = attrs.field(factory=trio.Lock, repr=False)

    @property
    def header(self) -> Mapping[str, str]:
        """The header that has the token; empty without a login."""
        return self._header

    @property
    def is_by_person(self) -> bool:
        """True if a person has to log in."""
        return grants.needs_a_person(self.spec)

    @property
    def is_stale(self) -> bool:
        """True if the token is not to be sent any more."""
        ends_at_s = None if self.saved is None else self.saved.expires_at_s
        return ends_at_s is not None and self.around.now_s() >= ends_at_s - LAST_SECONDS_S

    @property
    def can_renew(self) -> bool:
        """True if a new token can be had without a person at a browser."""
        if self.saved is None:
            return False
        return not self.is_by_person or bool(self.saved.refresh_token)

    def take(self, login: SavedLogin, *, is_on_disk: bool = True) -> None:
        """Use this login from now on."""
        self.saved = login
        self._header = {"authorization": f"Bearer {login.access_token}"}
        self._is_on_disk = is_on_disk
        self._failures, self._pause_until_s = 0, 0
        self.problem, self.is_over = "", False
        self.renew_at_s = None
        if login.expires_at_s is not None and self.can_renew:
            life_s = login.expires_at_s - login.obtained_at_s
            part = RENEW_AT - random.uniform(0, JITTER)
            self.renew_at_s = login.obtained_at_s + part * life_s

    def drop(self, why: str, *, is_over: bool = True) -> None:
        """Use no login from now on."""
        self._dropped = "" if self.saved is None else self.saved.access_token
        self.saved = None
        self._header = {}
        self.renew_at_s = None
        self.problem, self.is_over = why, is_over and self.is_by_person

    def configure(self, spec: InstanceSpec) -> None:
        """Take the instance as it is configured from now on; what failed before may work now."""
        if spec.oauth != self.spec.oauth:
            self.problem, self.is_over, self._dropped = "", False, ""
            self._failures, self._pause_until_s = 0, 0
        self.spec = spec

    def logged_in(self, login: SavedLogin) -> None:
        """Use this login, which a person has just made."""
        self.further_scopes, self.step_ups = (), 0
        self.take(login)

    def state(self) -> LoginState:
        """Return what is shown of it."""
        saved = self.saved
        if saved is None:
            return LoginState(problem=self.problem)
        return LoginState(
            is_logged_in=self.can_renew or not self.is_stale,
            since_s=saved.since_s,
            expires_at_s=saved.expires_at_s,
            is_renewed=self.can_renew,
            scopes=saved.scopes,
            issuer=saved.server.issuer,
            problem=self.problem,
        )

    # --- Renewing ---

    async def renew(self, used: str) -> bool:
        """Get another access token than `used`; return whether there is one.

        Raises:
            LoginNeeded: only a person can go on.
        """
        async with self._lock:
            if self.saved is None:
                raise self.needed()
            if self._has_other_than(used):
                return True  # somebody else was first
            if self._is_paused():
                self.renew_at_s = self._pause_until_s if self.can_renew else None
                return False
            try:
                await (self._renew_saved() if self.is_by_person else self._acquire())
            except TokenRefused as exc:
                self.drop(exc.reason)
            except LoginFailed as exc:
                self._pause(exc.reason)
            if not self.header:
                raise self.needed()
            return self._has_other_than(used)

    async def renew_ahead(self) -> None:
        """Renew the token before it expires; a failure shows in `problem`."""
        await trio.lowlevel.checkpoint()
        if self.saved is None:
            return
        try:
            await self.renew(self.saved.access_token)
        except LoginNeeded as exc:
            _log.info("[%s] needs a login: %s", self.spec.name, exc)

    async def _renew_saved(self) -> None:
        assert self.saved is not None
        async with self.around.store.hold(self.key):
            mine = self.saved
            current = await self.around.store.read(self.key) if self._is_on_disk else mine
            if current is None:
                self.drop("somebody has logged out")
                return
            if current.access_token != mine.access_token:
                self.take(current)
                return
            if not current.refresh_token:
                self.drop("its token is no longer taken, and cannot be renewed")
                return
            with trio.move_on_after(REFRESH_LIMIT_S, shield=True) as limit:
                await self._refresh(current)
        if limit.cancelled_caught:
            raise Unreachable(f"the renewal took more than {REFRESH_LIMIT_S:g} s")

    async def _refresh(self, login: SavedLogin) -> None:
        """Exchange the refresh token, while the lock of the login is held."""
        try:
            await self._keep(await grants.refresh(self.around, self.spec, login))
        except TokenRefused as exc:
            refusal = exc
        else:
            return
        lost = lost_client(login.server, login.client, refusal)
        if lost or refusal.code == "invalid_grant":
            await self.around.store.remove([*lost, self.key])
        raise refusal

    async def _keep(self, login: SavedLogin) -> None:
        """Put new tokens on disk, and use them even if that fails: the old ones may be void."""
        await trio.lowlevel.checkpoint()
        try:
            await self.around.store.write(self.key, login)
        except LoginFailed as exc:
            self.take(login, is_on_disk=False)
            self.problem = exc.reason
            _log.warning("[%s] %s; a restart needs a new login", self.spec.name, exc.reason)
        else:
            self.take(login)

    async def _acquire(self) -> None:
        self.take(
            await grants.acquire(
                self.around, self.spec, self.person, self.challenge, self.further_scopes
            )
        )

    def _pause(self, why: str) -> None:
        """Try no renewal for a while."""
        pause_s = min(FIRST_PAUSE_S * 2**self._failures, LONGEST_PAUSE_S)
        self._failures = min(self._failures + 1, 16)
        self._paused_at_s = self.around.now_s()
        self._pause_until_s = self._paused_at_s + pause_s
        # A person whose own token has ended may never come back: that one is asked for by a call.
        has_left = self.is_stale and self.person is not None and not self.is_by_person
        if self.can_renew and not has_left:
            self.renew_at_s = self._pause_until_s + random.uniform(0, pause_s / 4)
        self.problem = why
        _log.info("[%s] the login is not renewed now: %s", self.spec.name, why)

    def _is_paused(self) -> bool:
        # A clock that was set back must not make a pause of hours.
        return self._paused_at_s <= self.around.now_s() < self._pause_until_s

    # --- What its credentials ask for ---

    async def read_again(self, sent: str = "") -> None:
        """Take the login that another process may have made since.

        Args:
            sent: a token that is not to be taken.
        """
        await trio.lowlevel.checkpoint()
        if not self.is_by_person:
            return
        try:
            found = await self.around.store.read(self.key)
        except LoginFailed as exc:
            self.problem = exc.reason
            return
        if found is not None and found.access_token not in (sent, self._dropped):
            self.take(found)

    async def acquire(self, sent: str) -> bool:
        """Get a token without a person; return whether there is another one than `sent`.

        It is for a first token, or for one with further scopes.

        Raises:
            LoginNeeded: the servers do not give one, or the entry lacks something for it.
        """
        async with self._lock:
            if self._has_other_than(sent):
                return True
            if not self._is_paused():
                try:
                    await self._acquire()
                except LoginFailed as exc:
                    self._is_refused = not isinstance(exc, Unreachable)
                    self._pause(exc.reason)
                else:
                    return True
            if self._is_refused and self.saved is None:
                raise self.needed()
            return False

    def _has_other_than(self, token: str) -> bool:
        return self.saved is not None and self.saved.access_token != token

    def needed(self) -> LoginNeeded:
        """Return the error that says what is missing, and how to get it."""
        if not self.is_by_person:
            # Nobody can log in, and the router tries no more by itself.
            why = self.problem or "there is no token"
            restart = f"mcp-router restart {self.spec.name}"
            return LoginNeeded(why, way_out=f"mend oauth of its entry, then run: {restart}")
        command = f"mcp-router login {self.spec.name}"
        if self.person is not None:
            # For start-up time: few instances have logins of persons.
            from shlex import quote

            command += f" --person {quote(self.person)}"
        return LoginNeeded(self.problem or "nobody is logged in", way_out=f"run: {command}")

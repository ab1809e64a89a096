"""Gives a session of a remote instance its token, and reads what its server answers.

Invariant: a request is sent again only with another token, and a token that was got because the
last one was refused is not exchanged for a third: so nothing goes round in circles.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import attrs
import trio

from router.oauth.client.login_results import LoginFailed
from router.oauth.client.protocol import discovery
from router.oauth.client.protocol.challenges import Challenge, bearer
from router.oauth.client.protocol.untrusted import clean, merge

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from router.oauth.client.held_login import HeldLogin

_log = logging.getLogger("mcp_router.login")

FRESH_S: Final = 60.0
"""A token that is refused at this age is refused for another reason than its age."""

LOOKED_FOR_S: Final = 60.0
"""The time for which it counts whether a server that answers 401 has metadata for logins."""

MOST_STEP_UPS: Final = 5
"""Times that a server gets further scopes without a person in between."""

_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_PREFIX: Final = "Bearer "


class NoCredentials:
    """The credentials of an instance that never logs in, or whose entry has a token already."""

    async def headers(self) -> Mapping[str, str]:
        """See `Credentials.headers`."""
        await trio.lowlevel.checkpoint()
        return {}

    async def refused(self, status: int, challenges: str, sent: Mapping[str, str]) -> bool:
        """See `Credentials.refused`."""
        del status, challenges, sent
        await trio.lowlevel.checkpoint()
        return False


@attrs.define(eq=False)
class InstanceCredentials:
    """The credentials of one instance, and of one person where each logs in.

    Attributes:
        held: returns the login, which may be another one after a change of the settings.
        load: reads the logins that there are, the first time.
    """

    held: Callable[[], HeldLogin] = attrs.field(repr=False)
    load: Callable[[], Awaitable[None]] = attrs.field(repr=False)
    _looked_at_s: float | None = None
    _has_metadata: bool = False

    async def headers(self) -> Mapping[str, str]:
        """See `Credentials.headers`."""
        await self.load()
        held = self.held()
        saved = held.saved
        if saved is not None and held.is_stale:
            await held.renew(saved.access_token)
        if held.is_over:
            await held.read_again()
        if held.is_over:
            raise held.needed()
        return held.header

    async def refused(self, status: int, challenges: str, sent: Mapping[str, str]) -> bool:
        """See `Credentials.refused`."""
        await self.load()
        held = self.held()
        challenge = bearer(challenges)
        token = sent.get("authorization", "").removeprefix(_PREFIX)
        if status == _UNAUTHORIZED:
            if challenge is None and challenges.strip():
                return False  # it wants something else, such as a password
            return await self._unauthorized(held, challenge, token)
        if status == _FORBIDDEN and challenge and challenge.error == "insufficient_scope":
            return await self._forbidden(held, challenge, token)
        return False

    async def _unauthorized(self, held: HeldLogin, challenge: Challenge | None, sent: str) -> bool:
        await trio.lowlevel.checkpoint()
        if challenge is not None:
            held.challenge = challenge
        if held.saved is None:
            await held.read_again(sent)
        saved = held.saved
        if saved is None:
            if not held.is_by_person:
                return await held.acquire(sent)
            if await self._takes_logins(held, challenge):
                raise held.needed()
            return False
        if saved.access_token != sent:
            return True
        # A clock that was set back says nothing about its age.
        if 0 <= held.around.now_s() - saved.obtained_at_s < FRESH_S:
            held.problem = "its server refuses a token that is new"
            raise held.needed()
        return await held.renew(sent)

    async def _takes_logins(self, held: HeldLogin, challenge: Challenge | None) -> bool:
        """Return whether a 401 asks for a login by OAuth."""
        await trio.lowlevel.checkpoint()
        if held.spec.oauth is not None or (challenge and challenge.resource_metadata):
            return True
        now_s = held.around.now_s()
        if self._looked_at_s is None or now_s - self._looked_at_s >= LOOKED_FOR_S:
            requests = held.around.requests(held.spec)
            try:
                resource = await discovery.find_resource(requests, "")
                found = resource or await discovery.find_old_server(requests)
            except LoginFailed as exc:
                _log.info("[%s] no login: %s", held.spec.name, exc.reason)
                return False
            self._looked_at_s, self._has_metadata = now_s, found is not None
        return self._has_metadata

    async def _forbidden(self, held: HeldLogin, challenge: Challenge, sent: str) -> bool:
        """Get the scopes that a request lacks (MCP 2026-07-28, Step-Up Authorization Flow)."""
        await trio.lowlevel.checkpoint()
        saved = held.saved
        if saved is None:
            return False
        if saved.access_token != sent:
            return True
        missing = [scope for scope in challenge.scopes or () if scope not in saved.scopes]
        if not missing:
            return False
        # A person is told each time; what a server asks for is bounded all the same.
        if not (held.is_by_person and set(missing) <= set(held.further_scopes)):
            if held.step_ups >= MOST_STEP_UPS:
                return False
            held.step_ups += 1
        held.challenge = challenge
        held.further_scopes = merge(merge(saved.scopes, held.further_scopes), missing)
        if not held.is_by_person:
            return await held.acquire(sent)
        held.problem = f"its server asks for further scopes: {clean(' '.join(missing))}"
        needed = held.needed()
        # One request of somebody must not end what everybody else does with the same login.
        needed.is_for_one_request = held.person is None
        raise needed

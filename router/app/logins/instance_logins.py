"""Begins and ends logins for those who ask: over REST, by the commands, and from pages.

Invariants:

- A login that serves everybody takes the permission `admin`; that of a person for themselves, which
  no other one's calls use, takes `call`. Whoever may change all instances may begin the login of
  another person.
- A login is finished over REST by who began it. A person's login that began with a page is finished
  by the browser of that page, and by no other.
- Each login and logout gets one record, however it ends. No token and no code is in it.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

import trio
from msgspec import Struct, field

from router.app.logins.attempts import ATTEMPT_S, Attempt, Attempts, new_key
from router.app.logins.redirect_uris import (
    CALLBACK_PATH,
    LOGIN_PATH,
    check_loopback,
    own_base_url,
)
from router.core.protocol.permissions import check_may
from router.messages.errors import (
    INSTANCE_NOT_FOUND,
    INVALID_PARAMS,
    NOT_ALLOWED,
    TRANSPORT_ERROR,
    RpcError,
)
from router.messages.observability.records import ChangeRecord
from router.oauth.client.login_results import LoginFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from router.app.logins.lazy_logins import LazyLogins
    from router.app.sockets import Bound
    from router.messages.commands import Asker
    from router.messages.instances.instance_spec import InstanceSpec
    from router.messages.observability.records import Record
    from router.oauth.client.login_results import LoginState
    from router.oauth.client.logins import Logins

MAX_PARAMETERS: Final = 16
"""Parameters of a callback; it has about five."""

WAIT_S: Final = 25.0
"""How long an answer waits for the end of a login: less than what proxies allow."""

NO_BROWSER: Final = (
    "this router has no listener that a browser reaches; set server.public_url in config.json, "
    "give a redirect_uri, or log in with mcp-router login"
)
_UNKNOWN: Final = "This login is unknown, too old, or over already; begin again"
_NOT_BEGUN: Final = "no login of this instance waits for it; begin again"
_NO_CALLBACK: Final = "expected the whole URL that the browser was sent to, with code and state"
_OTHER_BROWSER: Final = "This login was begun in another browser; begin again in this one"


class InstanceLogins(Struct, eq=False):
    """The logins of one router, for all who ask.

    Attributes:
        lazy: the logins themselves.
        public_url: returns `server.public_url` as it is now.
        bound: returns the listeners at their present addresses.
        write_record: hands a record to those who keep it.
        attempts: the logins that have begun.
    """

    lazy: LazyLogins
    public_url: Callable[[], str]
    bound: Callable[[], Sequence[Bound]]
    write_record: Callable[[Record], None]
    attempts: Attempts = field(default_factory=Attempts)

    # --- Over REST -----------------------------------------------------------------------------

    async def begin(
        self, asker: Asker, name: str, *, redirect_uri: str = "", person: str = ""
    ) -> dict[str, Any]:
        """Begin the login of an instance in a browser.

        Args:
            asker: asks for it.
            name: of the instance.
            redirect_uri: on the machine of the browser; empty for the router's own.
            person: the name of another principal, whose login it is; empty for the asker.

        Returns:
            `url`, to be opened, `expires_in_s`, `redirect_uri`, and `state`, unless the URL is that
            of a page of the router, which asks first.

        Raises:
            RpcError: it is not allowed, makes no sense, or the server cannot be logged in to.
        """
        whose = self._whose(asker, name, person)
        if redirect_uri:
            check_loopback(redirect_uri)
        elif whose is not None:
            await trio.lowlevel.checkpoint()
            uri = self._own_uri()
            url = self.login_url(name, whose)
            return {"url": url, "redirect_uri": uri, "expires_in_s": ATTEMPT_S}
        uri = redirect_uri or self._own_uri()
        logins = await self.lazy.loaded()
        with _failures_told():
            start = await logins.begin(name, whose, uri)
        attempt = self.attempts.add(name, whose, asker.principal.name)
        attempt.state = start.state
        if whose is not None:
            # No browser has this key: only who began it can finish it, over REST.
            attempt.browser_key = new_key()
        return {
            "url": start.url,
            "state": start.state,
            "redirect_uri": uri,
            "expires_in_s": start.expires_in_s,
        }

    async def begin_device(self, asker: Asker, name: str, *, person: str = "") -> dict[str, Any]:
        """Begin a login on another device (RFC 8628); `state` with `wait` carries it on.

        Raises:
            RpcError: as for `begin`.
        """
        whose = self._whose(asker, name, person)
        logins = await self.lazy.loaded()
        with _failures_told():
            start = await logins.begin_device(name, whose)
        attempt = self.attempts.add(name, whose, asker.principal.name)
        attempt.handle, attempt.interval_s = start.handle, start.interval_s
        return {
            "url": start.url,
            "url_with_code": start.url_with_code,
            "user_code": start.user_code,
            "expires_in_s": start.expires_in_s,
        }

    async def state(
        self, asker: Asker, name: str, *, person: str = "", wait: bool = False
    ) -> dict[str, Any]:
        """Return how it is with the login of an instance; never a token.

        Args:
            asker: asks for it.
            name: of the instance.
            person: see `begin`.
            wait: answer when the login that has begun last is over, or after `WAIT_S`.

        Raises:
            RpcError: as for `begin`.
        """
        whose = self._whose(asker, name, person)
        logins = await self.lazy.loaded()
        attempt = self.attempts.last_of(name, whose)
        if wait and attempt is not None:
            await self._until_over(logins, attempt, asker.address)
        base = own_base_url(self.public_url(), self.bound())
        return {
            "instance": name,
            **described_state(logins.state_of(name, whose)),
            "person": whose,
            "redirect_uri": None if base is None else base + CALLBACK_PATH,
            "attempt": None if attempt is None else _described_attempt(attempt),
        }

    async def finish(self, asker: Asker, name: str, callback: str) -> dict[str, Any]:
        """Finish a login with what the authorization server sent the browser back with.

        Args:
            asker: has begun it.
            name: of the instance.
            callback: the URL that the browser was sent to, or its query.

        Raises:
            RpcError: no such login waits, or it came to nothing.
        """
        self._whose(asker, name, "")
        query = query_of(callback)
        attempt = self.attempts.by_state(query.get("state", ""))
        is_own = attempt is not None and attempt.begun_by == asker.principal.name
        if attempt is None or not is_own or attempt.instance != name:
            raise RpcError(INVALID_PARAMS, f"url: {_NOT_BEGUN}")
        self._whose(asker, name, attempt.person or "")
        logins = await self.lazy.loaded()
        with _failures_told():
            await self._finish(logins, attempt, query, asker.address)
        return {"instance": name, **described_state(logins.state_of(name, attempt.person))}

    async def log_out(self, asker: Asker, name: str, *, person: str = "") -> bool:
        """Forget a login; return False if there was none.

        Raises:
            RpcError: it is not allowed, or makes no sense.
        """
        whose = self._whose(asker, name, person)
        logins = await self.lazy.loaded()
        with _failures_told():
            was_there = await logins.log_out(name, whose)
        if was_there:
            self._record(asker.principal.name, asker.address, "log_out", name)
        return was_there

    # --- From pages ----------------------------------------------------------------------------

    def login_url(self, name: str, person: str) -> str:
        """Return the page on which a person logs in; empty where no browser reaches this router."""
        base = own_base_url(self.public_url(), self.bound())
        if base is None:
            return ""
        attempt = self.attempts.with_ticket(name, person, person)
        return f"{base}{LOGIN_PATH}/{attempt.ticket}"

    async def begin_confirmed(self, attempt: Attempt) -> str:
        """Begin the login of a person who has confirmed it; return the URL to go on to.

        Raises:
            LoginFailed: it cannot begin.
        """
        logins = await self.lazy.loaded()
        try:
            start = await logins.begin(attempt.instance, attempt.person, self._own_uri())
        except LoginFailed as error:
            attempt.end(error.reason)
            raise
        attempt.state, attempt.browser_key = start.state, new_key()
        attempt.ends_at_s = trio.current_time() + ATTEMPT_S
        return start.url

    async def finish_in_browser(
        self, query: Mapping[str, str], browser_key: str, address: str
    ) -> str:
        """Finish a login with the query of the callback; return the name of the instance.

        Raises:
            LoginFailed: it came to nothing.
        """
        attempt = self.attempts.by_state(query.get("state", ""))
        if attempt is None:
            raise LoginFailed(_UNKNOWN)
        if not self.attempts.is_of_browser(attempt, browser_key):
            raise LoginFailed(_OTHER_BROWSER)
        logins = await self.lazy.loaded()
        await self._finish(logins, attempt, query, address)
        return attempt.instance

    # --- Parts ---------------------------------------------------------------------------------

    async def _finish(
        self, logins: Logins, attempt: Attempt, query: Mapping[str, str], address: str
    ) -> None:
        # Taken: what comes with the same state from now on is another answer to the same question.
        attempt.state = ""
        try:
            await logins.finish(query)
        except LoginFailed as error:
            self._over(attempt, address, error.reason)
            raise
        self._over(attempt, address)

    async def _until_over(self, logins: Logins, attempt: Attempt, address: str) -> None:
        """Wait until a login is over, or for `WAIT_S`.

        The authorization server is asked about one on another device; a question that has begun is
        not cut off by the end of that time, since its answer may be the tokens.
        """
        ends_at_s = trio.current_time() + WAIT_S
        if not attempt.handle:
            with trio.move_on_at(ends_at_s):
                await attempt.over.wait()
        while attempt.handle and not attempt.over.is_set() and trio.current_time() < ends_at_s:
            # Several may wait, and the server wants this time between two questions.
            async with attempt.polling:
                with trio.move_on_after(attempt.interval_s):
                    await attempt.over.wait()
                if not attempt.over.is_set():
                    await self._poll(logins, attempt, address)
        await trio.lowlevel.checkpoint()

    async def _poll(self, logins: Logins, attempt: Attempt, address: str) -> None:
        await trio.lowlevel.checkpoint()
        try:
            finished = await logins.poll_device(attempt.handle)
        except LoginFailed as error:
            self._over(attempt, address, error.reason)
        else:
            if finished is not None:
                self._over(attempt, address)

    def _over(self, attempt: Attempt, address: str, problem: str = "") -> None:
        attempt.end(problem)
        self._record(attempt.begun_by, address, "log_in", attempt.instance, problem)

    def _record(self, who: str, address: str, action: str, name: str, problem: str = "") -> None:
        self.write_record(ChangeRecord(who, address, action, name, problem))

    def _whose(self, asker: Asker, name: str, person: str) -> str | None:
        """Return whose login it is; None where one login serves everybody.

        Raises:
            RpcError: the asker may not log in there, or nobody can.
        """
        spec = self.lazy.spec(name)
        if spec is None:
            raise RpcError(INSTANCE_NOT_FOUND, f"Instance not found: {name}")
        principal = asker.principal
        if spec.oauth is None or not spec.oauth.per_user:
            check_may(principal, "admin")
            check_can_log_in(spec)
            if person:
                problem = f"'{name}' has one login for everybody; oauth.per_user is not set"
                raise RpcError(INVALID_PARAMS, f"person: {problem}")
            return None
        check_may(principal, "call")
        check_can_log_in(spec)
        if person and person != principal.name:
            check_may(principal, "admin")
            if principal.instances is not None or principal.profile is not None:
                raise RpcError(NOT_ALLOWED, "This token is limited to some instances")
            return person
        if not principal.name:
            way_out = "set security.tokens in config.json"
            raise RpcError(NOT_ALLOWED, f"oauth.per_user needs a token for each person; {way_out}")
        return principal.name

    def _own_uri(self) -> str:
        base = own_base_url(self.public_url(), self.bound())
        if base is None:
            raise RpcError(INVALID_PARAMS, f"redirect_uri: {NO_BROWSER}")
        return base + CALLBACK_PATH


@contextmanager
def _failures_told() -> Generator[None]:
    """Turn the failure of a login into an error for who asked for it."""
    try:
        yield
    except LoginFailed as error:
        raise RpcError(TRANSPORT_ERROR, error.reason) from None


def check_can_log_in(spec: InstanceSpec) -> None:
    """Check that there are logins of an instance.

    Raises:
        RpcError: -32602, there are none.
    """
    if spec.type == "stdio":
        raise RpcError(INVALID_PARAMS, f"'{spec.name}' has a command; only a url is logged in to")
    if not spec.may_log_in:
        raise RpcError(INVALID_PARAMS, f"'{spec.name}' has \"oauth\": false; take that out")


def query_of(callback: str) -> dict[str, str]:
    """Return the parameters of a callback, given its URL or its query.

    Raises:
        RpcError: -32602, a parameter is there twice (RFC 6749 section 3.1), or there are too many.
    """
    text = callback.strip()
    try:
        query = urlsplit(text).query if "://" in text else text.removeprefix("?")
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
    except ValueError:
        pairs = []
    found = dict(pairs)
    if len(found) != len(pairs) or "state" not in found:
        raise RpcError(INVALID_PARAMS, f"url: {_NO_CALLBACK}")
    return found


def described_state(state: LoginState) -> dict[str, Any]:
    """Return what is shown of a login; times are Unix times in seconds."""
    return {
        "logged_in": state.is_logged_in,
        "since_s": _rounded(state.since_s),
        "expires_at_s": _rounded(state.expires_at_s),
        "renewed": state.is_renewed,
        "scopes": list(state.scopes),
        "issuer": state.issuer,
        "problem": state.problem,
    }


def _described_attempt(attempt: Attempt) -> dict[str, Any]:
    return {"over": attempt.over.is_set(), "problem": attempt.problem}


def _rounded(time_s: float | None) -> float | None:
    return None if time_s is None else round(time_s)

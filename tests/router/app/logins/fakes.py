"""Logins that reach no server: each step is noted, and fails if it is told to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import attrs

from router.app.logins.lazy_logins import LazyLogins
from router.app.logins.router_logins import RouterLogins
from router.messages.commands import Asker, Principal
from router.messages.instances.instance_spec import InstanceSpec
from router.messages.instances.oauth_login import OAuthLogin
from router.oauth.client.login_results import (
    DeviceStart,
    Finished,
    LoginFailed,
    LoginStart,
    LoginState,
)
from transports.connect.credentials import LoginNeeded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from router.app.logins.instance_logins import InstanceLogins
    from router.messages.observability.records import Record

ADMIN = Asker(Principal("ops"), "192.0.2.1")
ANA = Asker(Principal("ana", frozenset({"call"})), "192.0.2.2")
BEN = Asker(Principal("ben", frozenset({"call"})))
REMOTE = InstanceSpec("notion", "p", type="http", url="https://mcp.example/mcp")
SHARED = attrs.evolve(REMOTE, name="notion")
PERSONAL = attrs.evolve(REMOTE, name="mail", oauth=OAuthLogin(per_user=True))
OFF = attrs.evolve(REMOTE, name="off", may_log_in=False)
COMMAND = InstanceSpec("files", "p", command="x")
AUTHORIZE = "https://as.example/authorize?state="
OWN = "http://127.0.0.1:3000"


@attrs.define
class FakeCredentials:
    """Credentials that only a login would get, unless the logins have some."""

    logins: FakeLogins

    async def headers(self) -> Mapping[str, str]:
        if self.logins.sent:
            return {"authorization": self.logins.sent}
        raise LoginNeeded("log in first", way_out="do so")

    async def refused(self, status: int, challenges: str, sent: Mapping[str, str]) -> bool:
        raise LoginNeeded("log in again")


@attrs.define
class FakeLogins:
    """Stands for `router.oauth.client.logins.Logins`.

    Attributes:
        fails: the reason for which the next step fails; empty for none.
        is_polled_s: the number of questions after which a login on another device is finished.
    """

    fails: str = ""
    polls: int = 2
    begun: list[tuple[str, str | None, str]] = attrs.field(factory=list[Any])
    queries: list[dict[str, str]] = attrs.field(factory=list[Any])
    logged_in: set[tuple[str, str | None]] = attrs.field(factory=set[Any])
    specs: tuple[InstanceSpec, ...] = ()
    on_change: Any = None
    document: bytes | None = None
    runs: int = 0
    sent: str = ""
    masked: list[str] = attrs.field(factory=list[str])
    asked_for: list[str] = attrs.field(factory=list[str])

    def _check(self) -> None:
        if self.fails:
            raise LoginFailed(self.fails)

    def take_specs(self, specs: Iterable[InstanceSpec]) -> None:
        self.specs = tuple(specs)

    def credentials_for(self, spec: InstanceSpec, _person: str | None) -> FakeCredentials:
        self.asked_for.append(spec.name)
        return FakeCredentials(self)

    async def begin(self, name: str, person: str | None, redirect_uri: str) -> LoginStart:
        self._check()
        self.begun.append((name, person, redirect_uri))
        state = f"state-{len(self.begun)}"
        return LoginStart(AUTHORIZE + state, state, 600)

    async def finish(self, query: Mapping[str, str]) -> Finished:
        self.queries.append(dict(query))
        self._check()
        name, person, _ = self.begun[int(query["state"].removeprefix("state-")) - 1]
        return self._done(name, person)

    async def begin_device(self, name: str, person: str | None) -> DeviceStart:
        self._check()
        self.begun.append((name, person, ""))
        return DeviceStart("handle", "WDJB-MJHT", "https://as.example/device", "", 600, 5)

    async def poll_device(self, handle: str) -> Finished | None:
        assert handle == "handle"
        self._check()
        self.polls -= 1
        if self.polls > 0:
            return None
        return self._done(*self.begun[-1][:2])

    def _done(self, name: str, person: str | None) -> Finished:
        self.logged_in.add((name, person))
        self.on_change(name, person)
        return Finished(name, person)

    async def log_out(self, name: str, person: str | None) -> bool:
        self._check()
        was_there = (name, person) in self.logged_in
        self.logged_in.discard((name, person))
        return was_there

    def state_of(self, name: str, person: str | None) -> LoginState:
        if (name, person) not in self.logged_in:
            return LoginState()
        return LoginState(True, 1_000.0, 4_600.0, True, ("read",), "https://as.example")

    def client_metadata_document(self) -> bytes | None:
        return self.document

    async def run(self) -> None:
        self.runs += 1


def logins_for_asking(
    fake: FakeLogins, records: list[Record], public_url: str = OWN
) -> InstanceLogins:
    """Logins of a router that a browser reaches at `public_url`, in front of fake ones."""
    return router_logins(fake, records, public_url).for_asking()


def router_logins(fake: FakeLogins, records: list[Record], public_url: str = OWN) -> RouterLogins:
    """The logins of such a router for its other parts."""
    lazy = LazyLogins(Path("config.json"), lambda: public_url, made_by=lambda _: cast("Any", fake))
    lazy.take_specs([SHARED, PERSONAL, OFF, COMMAND])
    return RouterLogins(lazy, fake.masked.append, records.append)

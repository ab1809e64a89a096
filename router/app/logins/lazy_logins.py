"""Loads `router.oauth.client` once a server may need it, and hands its news to the actor.

Invariants: a router without remote servers imports nothing of it; imports
happen in a worker thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from pathlib import Path

    from router.messages.instances.instance_spec import InstanceSpec
    from router.oauth.client.logins import Logins
    from transports.outbound.fetched import Fetch

    SubjectToken = Callable[[str], str | None]


def _no_subject_token(_person: str) -> str | None:
    return None


class LazyLogins(Struct, eq=False):
    """The logins of one router, which are made when they are first needed.

    Attributes:
        config: the path of `config.json`; `logins.json` is beside it.
        public_url: returns `server.public_url` as it is now.
        subject_token: the name of a principal -> the access token that this person sent last.
        made_by: makes them.
        needed: set once they are there.
    """

    config: Path
    public_url: Callable[[], str]
    subject_token: SubjectToken = _no_subject_token
    made_by: Callable[[LazyLogins], Logins] = lambda lazy: _made(lazy)
    needed: trio.Event = field(default_factory=trio.Event)
    _logins: Logins | None = None
    _specs: tuple[InstanceSpec, ...] = ()
    _changes: list[tuple[str, str | None]] = []
    _changed: trio.Event = field(default_factory=trio.Event)
    _loading: trio.Lock = field(default_factory=trio.Lock)

    def take_specs(self, specs: Iterable[InstanceSpec]) -> None:
        """Take the instances as they are configured from now on."""
        self._specs = tuple(specs)
        if self._logins is not None:
            self._logins.take_specs(self._specs)

    def takes_tokens_of_persons(self) -> bool:
        """Return whether some instance gets its tokens in exchange for those of persons."""
        return any(
            spec.oauth is not None and spec.oauth.grant in ("token_exchange", "id_jag")
            for spec in self._specs
        )

    def spec(self, name: str) -> InstanceSpec | None:
        """Return the instance of this name; None if there is none."""
        return next((spec for spec in self._specs if spec.name == name), None)

    def known(self) -> Logins | None:
        """Return the logins if they are loaded; None if nobody has needed them yet."""
        return self._logins

    def import_for(self, specs: Iterable[InstanceSpec]) -> None:
        """Import what these instances need; for a worker thread."""
        if any(spec.type != "stdio" and spec.may_log_in for spec in specs):
            _imported()

    def now(self) -> Logins:
        """Return the logins; made here, if `import_for` has imported what they need."""
        if self._logins is None:
            self._logins = self.made_by(self)
            self._logins.on_change = self._note_change
            self._logins.take_specs(self._specs)
            self.needed.set()
        return self._logins

    async def loaded(self) -> Logins:
        """Return the logins; what they need is imported first."""
        async with self._loading:
            if self._logins is None:
                await trio.to_thread.run_sync(_imported)
            return self.now()

    def _note_change(self, name: str, person: str | None) -> None:
        # A login that ends twice before the actor has heard of it is one piece of news.
        if (name, person) not in self._changes:
            self._changes.append((name, person))
        self._changed.set()

    async def run(self, tell: Callable[[str, str | None], Awaitable[None]]) -> None:
        """Keep the logins fresh once they are needed, and tell of each login and logout.

        Args:
            tell: is given the instance and the person; waits for room in the actor's inbox.
        """
        await self.needed.wait()
        logins = await self.loaded()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(logins.run)
            while True:
                await self._changed.wait()
                self._changed = trio.Event()
                changes, self._changes = self._changes, []
                for name, person in changes:
                    await tell(name, person)


def _made(lazy: LazyLogins) -> Logins:
    logins_class, fetch = _imported()
    return logins_class(
        lazy.config, fetch, public_url=lazy.public_url, subject_token=lazy.subject_token
    )


def _imported() -> tuple[type[Logins], Fetch]:
    # For start-up time: only a router with remote servers needs it.
    from router.oauth.client.logins import Logins
    from transports.outbound.fetching import fetch

    return Logins, fetch

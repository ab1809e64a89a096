"""Logins are made when they are needed, and their news reach the actor."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import attrs
import trio
import trio.testing

from router.app.logins.lazy_logins import LazyLogins
from router.messages.instances.oauth_login import OAuthLogin
from tests.router.app.logins.fakes import COMMAND, OWN, SHARED, FakeLogins

LIMIT_S = 10


def lazy_logins(fake: FakeLogins) -> LazyLogins:
    return LazyLogins(Path("config.json"), lambda: OWN, made_by=lambda _: cast("Any", fake))


async def test_logins_are_made_once_and_know_the_instances() -> None:
    fake = FakeLogins()
    lazy = lazy_logins(fake)
    lazy.take_specs([SHARED])
    lazy.import_for([COMMAND])
    lazy.import_for([SHARED])
    assert not lazy.needed.is_set()
    assert await lazy.loaded() is fake
    assert lazy.needed.is_set()
    assert fake.specs == (SHARED,)
    lazy.take_specs([SHARED, COMMAND])
    assert fake.specs == (SHARED, COMMAND)
    assert (lazy.spec("notion"), lazy.spec("x")) == (SHARED, None)


async def test_each_login_is_told_once_after_the_logins_are_needed() -> None:
    fake, told = FakeLogins(), list[tuple[str, str | None]]()

    async def tell(name: str, person: str | None) -> None:
        await trio.lowlevel.checkpoint()
        told.append((name, person))

    lazy = lazy_logins(fake)
    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lazy.run, tell)
            await trio.testing.wait_all_tasks_blocked()
            assert fake.runs == 0
            lazy.now()
            await trio.testing.wait_all_tasks_blocked()
            assert fake.runs == 1
            for change in (("notion", None), ("mail", "ana"), ("notion", None)):
                fake.on_change(*change)
            await trio.testing.wait_all_tasks_blocked()
            fake.on_change("mail", "ana")
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    assert told == [("notion", None), ("mail", "ana"), ("mail", "ana")]


def test_tokens_of_persons_are_kept_only_for_those_who_exchange_them() -> None:
    lazy = lazy_logins(FakeLogins())
    lazy.take_specs([SHARED, COMMAND])
    assert not lazy.takes_tokens_of_persons()
    lazy.take_specs([SHARED, attrs.evolve(SHARED, oauth=OAuthLogin(grant="token_exchange"))])
    assert lazy.takes_tokens_of_persons()

"""Profiles that are shown and changed while the router runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from router.config import profile_edits
from router.config.options import Options
from router.config.settings import load_settings
from router.messages.errors import (
    ALREADY_EXISTS,
    INSTANCE_NOT_FOUND,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    NOT_SAVED,
    UNAVAILABLE,
    ConfigError,
    RpcError,
)
from router.messages.events import CoreSettingsChanged
from router.messages.instances.exposure import Profile
from router.reload import profile_store
from router.reload.live_settings import LiveSettings
from router.reload.profile_store import ProfileStore, keep_profiles

if TYPE_CHECKING:
    from pathlib import Path

    from router.config.settings import Settings

WAIT_S = 60.0


@attrs.define(eq=False)
class Site:
    """A `config.json`, its store at work, and the inbox of an actor that is the test."""

    path: Path
    live: LiveSettings
    store: ProfileStore
    inbox: Any
    events: Any
    applied: list[Settings] = attrs.field(factory=list)
    impossible: ConfigError | None = None

    def prepare(self, new: Settings) -> None:
        if self.impossible is not None:
            raise self.impossible

    def apply(self, new: Settings) -> None:
        self.applied.append(new)

    def written(self) -> Any:
        return json.loads(self.path.read_text())["profiles"]

    async def put(self, name: str, value: dict[str, Any]) -> bool:
        with trio.fail_after(WAIT_S):
            return await self.store.put(name, value)

    async def refusal(self, name: str, value: dict[str, Any] | None) -> RpcError:
        with trio.fail_after(WAIT_S), pytest.raises(RpcError) as refused:
            await (self.store.remove(name) if value is None else self.store.put(name, value))
        return refused.value


@pytest.fixture
async def site(tmp_path: Path, nursery: trio.Nursery) -> Site:
    path = tmp_path / "config.json"
    path.write_text('{"server": {"view": "home"}, "profiles": {"home": {}}}')
    live = LiveSettings(path, Options(), load_settings(path))
    store = ProfileStore(live, {"git"}.__contains__)
    inbox, events = trio.open_memory_channel[Any](64)
    site = Site(path, live, store, inbox, events)
    nursery.start_soon(keep_profiles, store, (site,), inbox.clone())
    return site


async def test_profiles_are_shown_with_all_their_keys(site: Site) -> None:
    row = {
        "name": "home",
        "expose": "direct",
        "instances": ["*"],
        "tools": {"allow": ["*"], "deny": [], "approve": []},
        "pinned": [],
        "instructions": None,
        "title": None,
    }
    assert site.store.rows() == [row]
    assert site.store.row("home") == row
    with pytest.raises(RpcError) as refused:
        site.store.row("x")
    assert refused.value.code == INSTANCE_NOT_FOUND
    assert refused.value.message == "Profile not found: x. Available profiles: 'home'"


async def test_change_is_on_disk_in_force_and_told_to_the_actor_when_it_is_answered(
    site: Site,
) -> None:
    assert await site.put("work", {"instances": ["a"]})
    assert site.written() == {"home": {}, "work": {"instances": ["a"]}}
    assert site.live.current.profiles["work"] == Profile(instances=("a",))
    assert site.applied == [site.live.current]
    event = site.events.receive_nowait()
    assert isinstance(event, CoreSettingsChanged)
    assert event.settings.profiles == site.live.current.profiles
    assert not await site.put("work", {})
    with trio.fail_after(WAIT_S):
        await site.store.remove("work")
    assert site.written() == {"home": {}}
    assert list(site.live.current.profiles) == ["home"]


async def test_reading_of_the_file_afterwards_finds_nothing_new(site: Site) -> None:
    await site.put("work", {})
    site.events.receive_nowait()
    await site.live.reload_and_tell((site,), site.inbox)
    assert len(site.applied) == 1
    with pytest.raises(trio.WouldBlock):
        site.events.receive_nowait()


async def test_changes_at_the_same_time_are_made_one_after_the_other(site: Site) -> None:
    with trio.fail_after(WAIT_S):
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(site.put, f"p{number}", {"title": str(number)})
    assert len(site.written()) == len(site.live.current.profiles) == 21


@pytest.mark.parametrize(
    ("name", "value", "code", "message"),
    [
        ("git", {}, ALREADY_EXISTS, "'git' is the name of an instance; choose another name"),
        ("work", {"expose": 1}, INVALID_PARAMS, "config.json: profiles.work.expose: expected one"),
        ("x", None, INSTANCE_NOT_FOUND, "Profile not found: x. Available profiles: 'home'"),
        (
            "home",
            None,
            INVALID_PARAMS,
            "Profile 'home' is in use: config.json: server.view: expected",
        ),
    ],
)
async def test_change_that_makes_no_sense_changes_nothing(
    site: Site, name: str, value: Any, code: int, message: str
) -> None:
    before = site.path.read_bytes()
    error = await site.refusal(name, value)
    assert error.code == code
    assert error.message.startswith(message)
    assert site.path.read_bytes() == before
    assert site.applied == []


async def test_profile_that_is_called_like_an_instance_already_can_be_changed_and_removed(
    site: Site,
) -> None:
    site.path.write_text('{"profiles": {"git": {}}}')
    await site.live.reload_and_tell((site,), site.inbox)
    assert not await site.put("git", {"title": "x"})
    await site.store.remove("git")
    assert site.written() == {}


async def test_file_that_is_broken_stays_as_it_is(site: Site) -> None:
    site.path.write_text("{")
    error = await site.refusal("work", {})
    assert error.code == NOT_SAVED
    assert error.message.startswith("Nothing was changed: config.json: line 1")


async def test_change_that_cannot_come_into_force_is_answered_with_the_reason(site: Site) -> None:
    site.impossible = ConfigError("127.0.0.1:1", "already in use")
    error = await site.refusal("work", {})
    assert error.code == NOT_SAVED
    assert error.message == (
        "The change is on disk, and cannot come into force: 127.0.0.1:1: already in use; "
        "the settings before stay"
    )


async def test_fault_in_a_change_is_answered_and_the_next_one_is_made(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise ValueError("oh")

    with monkeypatch.context() as patched:
        patched.setattr(profile_store, "save_profile", fails)
        assert (await site.refusal("work", {})).code == INTERNAL_ERROR
    assert await site.put("work", {})


async def test_change_is_made_although_nobody_waits_for_it_any_more(
    site: Site, monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery
) -> None:
    begun, may_go_on = trio.Event(), trio.Event()
    save = profile_edits.save_profile

    def slow(*args: Any) -> Any:
        trio.from_thread.run_sync(begun.set)
        trio.from_thread.run(may_go_on.wait)
        return save(*args)

    monkeypatch.setattr(profile_store, "save_profile", slow)
    with trio.fail_after(WAIT_S):
        with trio.CancelScope() as scope:
            nursery.start_soon(_cancel_when, begun, scope)
            await site.store.put("work", {})
        assert scope.cancelled_caught
        may_go_on.set()
        assert not await site.put("work", {"title": "x"})


async def _cancel_when(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


async def test_change_after_the_end_is_refused(tmp_path: Path) -> None:
    live = LiveSettings(tmp_path / "config.json", Options(), load_settings(tmp_path / "x.json"))
    store = ProfileStore(live, lambda _: False)
    inbox, _events = trio.open_memory_channel[Any](1)
    with trio.fail_after(WAIT_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_profiles, store, (), inbox)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        with pytest.raises(RpcError) as refused:
            await store.put("work", {})
    assert refused.value.code == UNAVAILABLE

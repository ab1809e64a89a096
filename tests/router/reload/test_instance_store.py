"""`data/` while the router runs: read again, changed, and what the actor is told."""

from __future__ import annotations

import errno
import logging
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
import trio.testing
from msgspec import Raw

from router.config.options import Options
from router.config.security.security import Security
from router.config.settings import McpClient, Settings
from router.instance_files import edits
from router.instance_files.catalogue_folder import CatalogueFolder
from router.messages.catalog import Catalog, KnownServer
from router.messages.commands import AddInstance, RemoveInstance, SetActive
from router.messages.effects import SaveInstance
from router.messages.errors import INSTANCE_NOT_FOUND, INTERNAL_ERROR, NOT_SAVED
from router.messages.events import CataloguesRead, InstanceSaved, InstancesChanged
from router.messages.instances.pin_events import PinsRead
from router.reload import instance_store
from router.reload.catalogue_store import CatalogueStore
from router.reload.instance_store import InstanceStore, keep_store
from router.reload.live_settings import LiveSettings
from router.reload.pin_store import PinStore
from tests.router.instance_files.providers import COMMAND, put

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from router.messages.instances.instance_spec import InstanceSpec

WAIT_S = 60.0

ENTRY = {"name": "new", "command": "npx", "env": {"KEY": "sk-12345"}}


@attrs.define
class Site:
    """`data/` and the inbox of an actor that is the test."""

    data: Path
    hidden: set[str] = attrs.field(factory=set)
    prepared: list[str] = attrs.field(factory=list)
    events: Any = None
    inbox: Any = None
    settings: Any = None
    catalogues: Any = None
    disk: Any = None

    def __attrs_post_init__(self) -> None:
        self.inbox, self.events = trio.open_memory_channel[Any](100)
        self.settings = LiveSettings(self.data.parent / "config.json", Options(), Settings())
        self.catalogues = CatalogueStore(self.data.parent / "cache")
        self.disk = InstanceStore(
            self.data, self.catalogues, self.settings, self.hidden.update, self._prepare
        )

    def _prepare(self, specs: Any) -> None:
        self.prepared += [spec.name for spec in specs]

    async def announced(self) -> Any:
        with trio.fail_after(WAIT_S):
            await self.disk.announce(self.inbox)
            event = await self.events.receive()
        assert isinstance(event, InstancesChanged)
        return event.specs

    async def saved(self, change: Any) -> InstanceSaved:
        with trio.fail_after(WAIT_S):
            await self.disk.save(SaveInstance(7, change), self.inbox)
            event = await self.events.receive()
        assert isinstance(event, InstanceSaved)
        assert event.key == 7
        return event


def _errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "data").mkdir()
    return Site(tmp_path / "data")


# --- Reading ---------------------------------------------------------------------------------


async def test_instances_are_announced_prepared_and_their_secrets_hidden(site: Site) -> None:
    put(site.data, "p", {"command": "x", "env": {"KEY": "sk-12345"}})
    assert [spec.name for spec in await site.announced()] == ["p"]
    assert "sk-12345" in site.hidden
    assert site.prepared == ["p"]


async def test_the_actor_hears_which_tools_were_approved_before_it_hears_of_the_instances(
    site: Site,
) -> None:
    site.disk.pins = PinStore(site.data.parent / "pins.json")
    site.settings.current = Settings(security=Security(pinning="warn"))
    kinds: list[type[Any]] = []
    with trio.fail_after(WAIT_S):
        await site.disk.announce(site.inbox)
        await site.disk.announce(site.inbox)
        kinds.extend([type(await site.events.receive()) for _ in range(3)])
    assert kinds == [PinsRead, InstancesChanged, InstancesChanged]


async def test_listeners_hear_of_a_reading_and_of_a_change_after_the_actor(site: Site) -> None:
    heard: list[tuple[list[str], int]] = []

    def tell(specs: Iterable[InstanceSpec]) -> None:
        waiting = site.events.statistics().current_buffer_used
        heard.append(([spec.name for spec in specs], waiting))

    site.disk.tell_listeners = tell
    put(site.data, "p", COMMAND)
    await site.announced()
    await site.saved(AddInstance("new", ENTRY))
    assert heard == [(["p"], 1), (["new", "p"], 1)]
    await site.saved(RemoveInstance("nothing"))
    assert len(heard) == 2


async def test_what_is_wrong_is_logged_and_harms_nobody_else(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    put(site.data, "bad", "{")
    put(site.data, "good", COMMAND)
    put(site.data, "unset", {"command": "x", "args": ["${NOT_SET_ANYWHERE}"]})
    assert [spec.name for spec in await site.announced()] == ["good", "unset"]
    assert len(site.disk.problems) == 2
    bad, unset = said = _errors(caplog)
    assert list(site.disk.problems) == said
    assert "bad/mcp_settings.json" in bad
    assert "NOT_SET_ANYWHERE" in unset


async def test_misspelled_key_is_warned_of_once_and_the_entry_works(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    put(site.data, "p", {**COMMAND, "idle_stop": 5})
    (spec,) = await site.announced()
    assert await site.announced() == (spec,)
    assert spec.problem is None
    warned = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert warned == list(spec.warnings)
    assert site.disk.problems == ()


async def test_problem_is_logged_once_and_its_end_too(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    put(site.data, "p", COMMAND)
    good = await site.announced()
    put(site.data, "p", "{")
    assert await site.announced() == good
    assert await site.announced() == good
    put(site.data, "p", COMMAND)
    assert await site.announced() == good
    assert site.disk.problems == ()
    first, broken, mended = caplog.messages
    assert first == f"1 instance in {site.data}"
    assert broken.endswith("; what was there before stays in force")
    assert mended == "All of data is valid again"


async def test_problem_is_logged_again_for_who_asks(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    put(site.data, "p", "{")
    await site.announced()
    site.disk.tell_again()
    for _ in range(2):
        await site.announced()
    assert _errors(caplog) == [*site.disk.problems] * 2


async def test_what_came_changed_and_went_is_logged_by_name(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    put(site.data, "a", COMMAND)
    put(site.data, "b", COMMAND)
    await site.announced()
    put(site.data, "a", {"command": "other", "env": {"KEY": "sk-12345"}})
    put(site.data, "c", COMMAND)
    (site.data / "b" / "mcp_settings.json").unlink()
    await site.announced()
    await site.announced()
    assert caplog.messages == [
        f"2 instances in {site.data}",
        "data: added c; changed a; removed b",
    ]


async def test_empty_folder_is_said_to_be(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await site.announced()
    assert caplog.messages == [f"0 instances in {site.data}"]


async def test_switched_off_instances_are_listed_and_not_started(site: Site) -> None:
    put(site.data, "p", COMMAND)
    site.settings.current = Settings(mcp_client=McpClient(enabled=False))
    (spec,) = await site.announced()
    assert spec.problem == "mcp_client.enabled is false in config.json"
    site.settings.current = Settings()
    (spec,) = await site.announced()
    assert spec.problem is None


async def test_too_many_instances_are_cut(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(instance_store, "MAX_INSTANCES", 1)
    for name in ("a", "b", "c"):
        put(site.data, name, COMMAND)
    assert [spec.name for spec in await site.announced()] == ["a"]
    assert _errors(caplog) == ["There are 2 instances too many; the last ones are left out"]


# --- Last known lists ------------------------------------------------------------------------


KNOWN = KnownServer("2025-11-25", Raw(b"{}"), Raw(b"{}"), None, Catalog())


async def _restarted(site: Site, *names: str) -> Site:
    """Return the next router at this place; the lists of these instances were kept before."""
    specs = await site.announced()
    folder = CatalogueFolder(site.catalogues.cache)
    folder.read(specs)
    for spec in specs:
        if spec.name in names:
            folder.write(spec, KNOWN)
    return Site(site.data)


async def _events_of(site: Site) -> list[Any]:
    """Read once, and return the events that the actor gets."""
    with trio.fail_after(WAIT_S):
        await site.disk.announce(site.inbox)
    return _content(site)


def _content(site: Site) -> list[Any]:
    events: list[Any] = []
    with suppress(trio.WouldBlock):
        while True:
            events.append(site.events.receive_nowait())
    return events


async def test_last_known_lists_come_before_their_instances_and_once(site: Site) -> None:
    for name in ("a", "b"):
        put(site.data, name, COMMAND)
    site = await _restarted(site, "a", "b")
    put(site.data, "c", COMMAND)
    known, changed = await _events_of(site)
    assert known == CataloguesRead({"a": KNOWN, "b": KNOWN})
    assert [spec.name for spec in changed.specs] == ["a", "b", "c"]
    (again,) = await _events_of(site)
    assert again == changed


async def test_instance_that_comes_back_later_brings_its_lists_with_it(site: Site) -> None:
    put(site.data, "a", COMMAND)
    path = put(site.data, "b", COMMAND)
    site = await _restarted(site, "b")
    put(site.data, "b", {"command": "npx", "isActive": False})
    assert [type(event) for event in await _events_of(site)] == [InstancesChanged]
    path.write_text('{"command": "npx"}')
    known, changed = await _events_of(site)
    assert known == CataloguesRead({"b": KNOWN})
    assert isinstance(changed, InstancesChanged)


async def test_change_from_inside_brings_the_lists_before_it_is_told_as_saved(site: Site) -> None:
    put(site.data, "a", COMMAND)
    site = await _restarted(site, "a")
    put(site.data, "a", {"command": "npx", "isActive": False})
    await site.announced()
    await site.disk.save(SaveInstance(7, SetActive("a", is_active=True)), site.inbox)
    known, saved = _content(site)
    assert known == CataloguesRead({"a": KNOWN})
    assert isinstance(saved, InstanceSaved)
    assert saved.specs is not None


async def test_bad_files_in_the_cache_cost_nothing_but_a_warning(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    put(site.data, "a", COMMAND)
    site = await _restarted(site, "a")
    for file in (site.catalogues.cache / "catalogues").iterdir():
        file.write_bytes(b"[" * 1_000_000)
    (changed,) = await _events_of(site)
    assert [spec.name for spec in changed.specs] == ["a"]
    assert "The catalogue of a on disk is not used: it is nested too deeply" in caplog.messages


async def test_lists_of_switched_off_instances_are_not_read(site: Site) -> None:
    put(site.data, "a", COMMAND)
    site = await _restarted(site, "a")
    site.settings.current = Settings(mcp_client=McpClient(enabled=False))
    assert [type(event) for event in await _events_of(site)] == [InstancesChanged]
    site.settings.current = Settings()
    assert (await _events_of(site))[0] == CataloguesRead({"a": KNOWN})


async def test_lists_are_kept_while_a_file_is_broken_and_removed_once_it_is_not(
    site: Site,
) -> None:
    for name in ("a", "b"):
        put(site.data, name, COMMAND)
    site = await _restarted(site, "a", "b")
    files = site.catalogues.cache / "catalogues"
    put(site.data, "b", "{")
    await _events_of(site)
    assert len(list(files.iterdir())) == 2
    (site.data / "b" / "mcp_settings.json").unlink()
    await _events_of(site)
    assert len(list(files.iterdir())) == 1


# --- Changing --------------------------------------------------------------------------------


async def test_change_is_on_disk_and_its_secrets_hidden_before_the_actor_hears(site: Site) -> None:
    event = await site.saved(AddInstance("p", ENTRY))
    assert event.problem is None
    assert [spec.name for spec in event.specs or ()] == ["new"]
    assert (site.data / "p" / "mcp_settings.json").exists()
    assert "sk-12345" in site.hidden


async def test_change_that_cannot_be_made_is_told_and_changes_nothing(site: Site) -> None:
    event = await site.saved(RemoveInstance("x"))
    assert event.specs is None
    assert event.problem is not None
    assert event.problem.code == INSTANCE_NOT_FOUND


async def test_broken_file_is_told_as_not_saved(site: Site) -> None:
    put(site.data, "p", "{")
    problem = (await site.saved(AddInstance("p", ENTRY))).problem
    assert problem is not None
    assert problem.code == NOT_SAVED
    assert "data/p/mcp_settings.json: line 1, column 2" in str(problem)


async def test_full_disk_is_told_by_its_name(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = put(site.data, "p", COMMAND)
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_space)
        problem = (await site.saved(SetActive("p", is_active=False))).problem
    assert problem is not None
    assert (problem.code, problem.data) == (NOT_SAVED, {"errno": "ENOSPC"})
    assert "No space left" in str(problem)
    assert path.read_bytes() == before


async def test_bug_in_a_change_is_answered_and_the_next_change_is_made(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> str:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(edits, "apply_change", fail)
        problem = (await site.saved(AddInstance("p", ENTRY))).problem
    assert problem is not None
    assert problem.code == INTERNAL_ERROR
    assert any("AddInstance in " in line for line in caplog.messages)
    assert (await site.saved(AddInstance("p", ENTRY))).problem is None


async def test_bug_in_reading_does_not_deny_the_change(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    site.disk.prepare = fail
    event = await site.saved(AddInstance("p", ENTRY))
    assert (event.specs, event.problem) == (None, None)


# --- The task that saves ---------------------------------------------------------------------


async def test_saving_makes_changes_in_their_order_and_ends_with_their_askers(
    site: Site,
) -> None:
    saves_in, saves = trio.open_memory_channel[SaveInstance](10)
    with trio.fail_after(WAIT_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_store, site.disk, saves, site.inbox)
            with saves_in:
                saves_in.send_nowait(SaveInstance(1, AddInstance("p", ENTRY)))
                saves_in.send_nowait(SaveInstance(2, AddInstance("q", ENTRY)))
                saves_in.send_nowait(SaveInstance(3, RemoveInstance("new")))
        events = [event async for event in site.events]
    assert [(event.key, event.problem is None) for event in events] == [
        (1, True),
        (2, False),
        (3, True),
    ]


async def test_saving_ends_when_it_is_cancelled(site: Site) -> None:
    _, saves = trio.open_memory_channel[SaveInstance](10)
    with trio.fail_after(WAIT_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_store, site.disk, saves, site.inbox)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

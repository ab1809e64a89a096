"""Keeping the last known lists while the router runs: when, how often, and on a disk that fails."""

from __future__ import annotations

import errno
import logging
import os
import threading
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
import trio.testing
from msgspec import Raw

from router.files.safe_folder import SafeFolder
from router.instance_files.catalogue_folder import CatalogueFolder
from router.messages.catalog import Catalog, Item, KnownServer
from router.messages.effects import SaveCatalogue
from router.messages.instances.instance_spec import InstanceSpec
from router.reload import catalogue_store
from router.reload.catalogue_store import CatalogueStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAIT_S = 60.0

A, B = InstanceSpec("a", "acme", command="npx"), InstanceSpec("b", "acme", command="npx")


def known(tool: str) -> KnownServer:
    item = Item(tool, Raw(b'{"name":"%b"}' % tool.encode()))
    return KnownServer("2025-11-25", Raw(b"{}"), Raw(b"{}"), None, Catalog(tools=(item,)))


@attrs.define
class Site:
    """A store, the actor's end of its channel, and what it wrote.

    Attributes:
        writes: the names of the files that were written.
        has_written: set when the first, and the second, was written.
    """

    cache: Path
    store: CatalogueStore
    writes: list[str]
    has_written: tuple[trio.Event, trio.Event]
    inbox: Any = None
    ended: trio.Event = attrs.field(factory=trio.Event)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        self.inbox, saves = trio.open_memory_channel[SaveCatalogue](100)
        task_status.started()
        await self.store.keep(saves)
        self.ended.set()

    def change(self, spec: InstanceSpec, tool: str) -> None:
        self.inbox.send_nowait(SaveCatalogue(spec, known(tool)))

    async def end(self) -> None:
        """Close the channel as the actor does when it ends, and wait for the end of the task."""
        self.inbox.close()
        with trio.fail_after(WAIT_S):
            await self.ended.wait()

    async def keeps(self, *changes: tuple[InstanceSpec, str]) -> None:
        """Run the task for these changes alone."""
        async with trio.open_nursery() as nursery:
            self.ended = trio.Event()
            await nursery.start(self.run)
            for spec, tool in changes:
                self.change(spec, tool)
            await self.end()

    def on_disk(self) -> dict[str, KnownServer]:
        return CatalogueFolder(self.cache).read([A, B])


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    store = CatalogueStore(tmp_path / "cache")
    store.read([A, B])
    site = Site(tmp_path / "cache", store, [], (trio.Event(), trio.Event()))
    write = SafeFolder.write

    def counted(folder: SafeFolder, name: str, data: bytes) -> None:
        write(folder, name, data)
        if len(site.writes) < len(site.has_written):
            trio.from_thread.run_sync(site.has_written[len(site.writes)].set)
        site.writes.append(name)

    monkeypatch.setattr(SafeFolder, "write", counted)
    return site


@attrs.define
class FullDisk:
    """A disk that is full while `is_full` is set."""

    is_full: bool = False

    def fsync(self, _: int) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[FullDisk]:
    disk = FullDisk()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", disk.fsync)
        yield disk


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.WARNING]


# --- When it is written ----------------------------------------------------------------------


async def test_changes_in_quick_succession_are_written_once_and_the_last_one_counts(
    site: Site, nursery: trio.Nursery
) -> None:
    await nursery.start(site.run)
    for number in range(10):
        site.change(A, f"a{number}")
    site.change(B, "b")
    await site.end()
    assert len(site.writes) == 2
    assert site.on_disk() == {"a": known("a9"), "b": known("b")}


async def test_what_has_not_settled_is_written_when_the_actor_ends(
    site: Site, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue_store, "SETTLE_S", 10 * WAIT_S)
    await nursery.start(site.run)
    site.change(A, "one")
    await trio.testing.wait_all_tasks_blocked()
    assert site.writes == []
    await site.end()
    assert site.on_disk() == {"a": known("one")}


async def test_what_has_settled_is_written_while_the_actor_lives(
    site: Site, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue_store, "SETTLE_S", 0.0)
    await nursery.start(site.run)
    for number in (1, 2):
        site.change(A, f"a{number}")
        with trio.fail_after(WAIT_S):
            await site.has_written[number - 1].wait()
        assert site.on_disk() == {"a": known(f"a{number}")}


async def test_lists_that_are_on_disk_already_are_not_written(site: Site) -> None:
    for _ in range(3):
        await site.keeps((A, "one"))
    assert len(site.writes) == 1


async def test_keeping_ends_when_it_is_cancelled(site: Site) -> None:
    with trio.fail_after(WAIT_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(site.run)
            site.change(A, "one")
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    with pytest.raises(trio.BrokenResourceError):
        site.change(A, "two")


# --- A disk that fails -----------------------------------------------------------------------


async def test_full_disk_costs_one_warning_and_the_next_change_is_tried_again(
    site: Site, disk: FullDisk, caplog: pytest.LogCaptureFixture
) -> None:
    disk.is_full = True
    for tool in ("one", "two"):
        await site.keeps((A, tool), (B, tool))
    assert _warnings(caplog) == [
        f"Nothing can be kept in {site.cache} (No space left on device): after the next start, "
        "tools are listed once their servers are ready"
    ]
    disk.is_full = False
    await site.keeps((A, "two"))
    assert site.on_disk() == {"a": known("two")}
    disk.is_full = True
    await site.keeps((A, "three"))
    assert len(_warnings(caplog)) == 2
    assert site.on_disk() == {"a": known("two")}


async def test_read_only_disk_costs_one_warning(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.cache.write_bytes(b"")  # No folder can be made there, not even by root.
    await site.keeps((A, "one"), (B, "two"))
    (warning,) = _warnings(caplog)
    assert warning.startswith(f"Nothing can be kept in {site.cache} (")


async def test_disk_that_hangs_holds_up_neither_the_stop_nor_a_reload(
    site: Site,
    nursery: trio.Nursery,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(catalogue_store, "DISK_LIMIT_S", 0.05)
    hanging = threading.Event()
    monkeypatch.setattr(os, "fsync", lambda _: hanging.wait(WAIT_S))
    try:
        await nursery.start(site.run)
        site.change(A, "one")
        site.change(B, "two")
        await site.end()
        with trio.fail_after(WAIT_S):
            await site.store.tidy(is_complete=True)
    finally:
        hanging.set()
    assert _warnings(caplog) == [
        f"Nothing can be kept in {site.cache} (the disk took longer than 0.05 s): after the next "
        "start, tools are listed once their servers are ready"
    ]


# --- Reading and tidying ---------------------------------------------------------------------


async def test_lists_are_read_at_the_next_start_and_removed_when_they_are_switched_off(
    site: Site,
) -> None:
    await site.keeps((A, "one"))
    store = CatalogueStore(site.cache)
    assert store.read([A, B]) == {"a": known("one")}
    await store.tidy(is_complete=True)
    assert site.on_disk() == {"a": known("one")}
    assert store.read([attrs.evolve(A, catalogue_cache=False), B]) == {}
    await store.tidy(is_complete=True)
    assert site.on_disk() == {}

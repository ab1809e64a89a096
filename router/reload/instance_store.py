"""Reads and changes `data/` while the router runs, one reading or change at a time.

Invariants:

- The actor hears of readings in their order, and of a change after it is safely on disk. Listeners
  hear of them after the actor, so no client asks the actor for an instance that it does not know.
- The actor hears what is known of the server of an instance, and which of its tools were approved,
  before it hears of the instance.
- An entry that becomes invalid keeps its last valid form. The reason stands in `problems`, and once
  in the log.
- A file that cannot be read or understood fails nothing here.
- Secrets are hidden before anything is logged.
"""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio
from msgspec import Struct, field

from router.messages.errors import RpcError
from router.messages.events import CataloguesRead, InstanceSaved, InstancesChanged
from router.messages.observability.log_fields import about
from router.reload.safe_saving import try_to_save

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from pathlib import Path

    from router.config.settings import Settings
    from router.dispatch.actor import Inbound
    from router.instance_files.reader import LoadedInstances
    from router.messages.catalog import KnownServer
    from router.messages.commands import Change
    from router.messages.effects import SaveInstance
    from router.messages.instances.instance_spec import InstanceSpec
    from router.messages.instances.pin_events import PinsRead
    from router.reload.catalogue_store import CatalogueStore
    from router.reload.live_settings import LiveSettings
    from router.reload.pin_store import PinStore

log = logging.getLogger("mcp_router.instances")

MAX_INSTANCES: Final = 4096
"""The most instances taken from `data/`: each may cost a process."""

SWITCHED_OFF: Final = "mcp_client.enabled is false in config.json"


def _nothing_to_do(_: Iterable[InstanceSpec]) -> None:
    pass


class _Reading(Struct, frozen=True):
    """One reading of `data/`.

    Attributes:
        loaded: everything in it.
        specs: the instances, as the actor gets them.
        known: name -> last known server, of instances that are new or changed.
        pins: the approved tools, if they were to be read.
    """

    loaded: LoadedInstances
    specs: tuple[InstanceSpec, ...]
    known: dict[str, KnownServer]
    pins: PinsRead | None

    def known_before(self) -> list[PinsRead | CataloguesRead]:
        """Return what the actor has to know before it hears of the instances."""
        known = [CataloguesRead(self.known)] if self.known else []
        return [*([] if self.pins is None else [self.pins]), *known]


class InstanceStore(Struct):
    """The instances as `data/` configures them.

    Attributes:
        data: the folder of providers.
        catalogues: the last known lists of the instances.
        settings: the settings in force; with `mcp_client.enabled` off no instance is connected to.
        hide: is called with the secrets of the instances.
        prepare: is called with the instances in a worker thread, before the actor hears of them.
        tell_listeners: is called with the instances after the actor has heard of them.
        problems: the mistakes that the last reading found, one line each.
        secrets_file: the file that `${secret:NAME}` refers to; None where there is none.
        pins: keeps the approved tools; None where nothing is pinned.
    """

    data: Path
    catalogues: CatalogueStore
    settings: LiveSettings
    hide: Callable[[Iterable[str]], None]
    prepare: Callable[[Iterable[InstanceSpec]], None] = _nothing_to_do
    tell_listeners: Callable[[Iterable[InstanceSpec]], None] = _nothing_to_do
    problems: tuple[str, ...] = ()
    secrets_file: Path | None = None
    pins: PinStore | None = None
    _warnings: tuple[str, ...] = ()
    _last: LoadedInstances | None = None
    _turn: trio.Lock = field(default_factory=trio.Lock)
    _tells_again: bool = False

    def tell_again(self) -> None:
        """Log what the next reading finds wrong, also where that was logged before."""
        self._tells_again = True

    def entry(self, name: str) -> dict[str, Any] | None:
        """Return the configuration of an instance, secrets masked; None if there is no such one."""
        # For start-up time: only who inspects an instance needs it.
        from router.instance_files.entry.described_entries import described_entry

        if self._last is None:
            return None
        found = (spec for spec in self._last.specs if spec.name == name)
        return next((described_entry(spec, self._last.secrets) for spec in found), None)

    async def announce(self, inbox: trio.MemorySendChannel[Inbound]) -> None:
        """Read all entries and tell the actor."""
        async with self._turn:
            before = self._last
            reading = await self._read()
            self._log_changes(before)
            for event in reading.known_before():
                await inbox.send(event)
            await inbox.send(InstancesChanged(reading.specs))
            self.tell_listeners(reading.specs)
            await self._tidy(reading)

    async def save(self, save: SaveInstance, inbox: trio.MemorySendChannel[Inbound]) -> None:
        """Make a change, read all entries, and tell the actor how it went."""
        async with self._turn:
            problem = await trio.to_thread.run_sync(_try_to_apply, self.data, save.change)
            reading = None
            if problem is None:
                with _bugs_logged(self.data):
                    reading = await self._read()
            if reading is None:
                await inbox.send(InstanceSaved(save.key, problem=problem))
                return
            for event in reading.known_before():
                await inbox.send(event)
            await inbox.send(InstanceSaved(save.key, reading.specs))
            self.tell_listeners(reading.specs)
            await self._tidy(reading)

    async def _read(self) -> _Reading:
        last, settings = self._last, self.settings.current
        reading = await trio.to_thread.run_sync(self._load, last, settings, abandon_on_cancel=True)
        self.hide(reading.loaded.secrets)
        self._note_problems(_problems_of(reading.loaded), _warnings_of(reading.loaded))
        self._last = reading.loaded
        return reading

    def _load(self, last: LoadedInstances | None, settings: Settings) -> _Reading:
        # For start-up time: this runs in a thread, beside the first answers.
        from router.instance_files.reader import load_instances

        loaded = load_instances(self.data, os.environ, last, secrets_file=self.secrets_file)
        self.prepare(loaded.specs)
        specs = loaded.specs[:MAX_INSTANCES]
        if not settings.mcp_client.enabled:
            specs = tuple(map(_switched_off, specs))
        pinning = settings.security.pinning
        pins = None if self.pins is None else self.pins.read_if_needed(pinning)
        return _Reading(loaded, specs, self.catalogues.read(specs), pins)

    async def _tidy(self, reading: _Reading) -> None:
        """Remove catalogues that are not needed, after the actor knows the instances."""
        await self.catalogues.tidy(is_complete=not reading.loaded.problems)

    def _log_changes(self, before: LoadedInstances | None) -> None:
        """Log the number of instances after the first reading, and the changes after each other."""
        now = self._last
        if now is None:
            return
        if before is None:
            number = len(now.specs)
            log.info("%d instance%s in %s", number, "" if number == 1 else "s", self.data)
        elif changes := _changes(before, now):
            log.info("%s: %s", self.data.name, changes)

    def _note_problems(self, problems: tuple[str, ...], warnings: tuple[str, ...]) -> None:
        """Keep what is wrong, and log what is new; warnings are shown with their instances."""
        is_asked, self._tells_again = self._tells_again, False
        for problem in problems:
            if is_asked or problem not in self.problems:
                log.error("%s", problem)
        for warning in warnings:
            if is_asked or warning not in self._warnings:
                log.warning("%s", warning)
        self._warnings = warnings
        if self.problems and not problems:
            log.info("All of %s is valid again", self.data.name)
        self.problems = problems


def _changes(before: LoadedInstances, now: LoadedInstances) -> str:
    """Return in words which instances were added, changed and removed; empty for none."""
    old, new = ({spec.name: spec for spec in loaded.specs} for loaded in (before, now))
    found = {
        "added": [name for name in new if name not in old],
        "changed": [name for name in new if name in old and new[name] != old[name]],
        "removed": [name for name in old if name not in new],
    }
    return "; ".join(f"{word} {', '.join(names)}" for word, names in found.items() if names)


@contextmanager
def _bugs_logged(data: Path) -> Generator[None]:
    """Log an error of reading: the change is on disk, so it does not fail."""
    try:
        yield
    except Exception:
        log.exception("%s was changed, and cannot be read any more", data)


def _problems_of(loaded: LoadedInstances) -> tuple[str, ...]:
    broken = (spec for spec in loaded.specs if spec.problem is not None)
    surplus = len(loaded.specs) - MAX_INSTANCES
    too_many = f"There are {surplus} instances too many; the last ones are left out"
    return (
        *map(str, loaded.problems),
        *(f"{spec.name} cannot be started: {spec.problem}" for spec in broken),
        *([too_many] if surplus > 0 else []),
    )


def _warnings_of(loaded: LoadedInstances) -> tuple[str, ...]:
    return tuple(warning for spec in loaded.specs for warning in spec.warnings)


def _switched_off(spec: InstanceSpec) -> InstanceSpec:
    """Return the same instance with the problem that keeps it from being started."""
    return attrs.evolve(spec, problem=spec.problem or SWITCHED_OFF)


def _try_to_apply(data: Path, change: Change) -> RpcError | None:
    """Make a change; return the reason if it could not be made."""
    # For start-up time: not every router is ever changed from inside.
    from router.instance_files.edits import apply_change

    what = type(change).__name__
    name = try_to_save(partial(apply_change, data, change), f"{what} in {data}")
    if isinstance(name, RpcError):
        return name
    log.info("%s: %s is on disk", what, name, extra=about(name))
    return None


async def keep_store(
    instances: InstanceStore,
    saves: trio.MemoryReceiveChannel[SaveInstance],
    inbox: trio.MemorySendChannel[Inbound],
) -> None:
    """Make the changes that the actor asks for, one after the other, until all senders have closed.

    Each gets exactly one `InstanceSaved`, in their order. This waits for room in the actor's inbox;
    the actor never waits for this.
    """
    with saves, inbox:
        async for save in saves:
            await instances.save(save, inbox)

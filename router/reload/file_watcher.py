"""What changes on disk takes effect.

Job: notice that `config.json` or `data/` may have changed, wait until that has settled, and have
both read again. Neighbours: the composition root runs `keep_current`; `reloading` and `ondisk`
read, and tell the dispatch actor.

Noticing is watchfiles' (inotify, FSEvents, ReadDirectoryChangesW), in a thread of its own. It
watches folders, not files, since editors replace files; and one level only, since servers keep
large trees beside their `mcp_settings.json`. Where the system refuses to watch, it looks at the
files again and again.

Invariants:

- What was written last is read, at the latest `debounce_delay` after it was noticed, however many
  edits there are. An edit that comes alone is read after a quarter of that.
- Nothing is missed: after the last change that was noticed, there is one more look.
"""

from __future__ import annotations

import logging
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
import trio

from router.files.names import INSTANCE_FILE_NAME
from router.messages.events import CoreSettingsChanged
from router.reload.config_file import core_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.dispatch import Inbound
    from router.reload.config_file import ConfigFile
    from router.reload.instance_store import InstanceStore

log = logging.getLogger("mcp_router.watch")

QUIET_SHARE: Final = 0.25
"""Of `debounce_delay`: so long without an edit means that there are no more to come."""

STEP_MS: Final = 100
"""Edits that follow one another faster are noticed as one; also how fast watching can end."""

LOOK_MS: Final = 500
"""How soon after the last change to look once more: what comes while watching begins, or in the
moment in which watchfiles hands over what it has, is not noticed."""

POLL_MS: Final = 1000
"""How often to look where nothing can be watched."""

KUBERNETES_LINK: Final = "..data"
"""What is exchanged when a mounted ConfigMap changes; the files themselves are links into it."""


async def keep_current(
    disk: InstanceStore,
    config: ConfigFile,
    hints: trio.MemoryReceiveChannel[None],
    hint: Callable[[], None],
    inbox: trio.MemorySendChannel[Inbound],
) -> None:
    """Tell the actor of the instances, and again of all that changes, until cancelled.

    Args:
        disk: reads `data/`.
        config: reads `config.json`, and says whether and how fast to follow changes.
        hints: that something may have changed.
        hint: gives such a hint; never blocks, and does nothing while one is waiting.
        inbox: of the actor.
    """
    await disk.announce(inbox)
    async with trio.open_nursery() as nursery:
        if config.current.watcher.enabled:
            nursery.start_soon(_watch, Watched.of(config.path, disk.data), hint)
        async for _ in hints:
            await _wait_for_quiet(hints, config.current.watcher.debounce_delay)
            await _reload(disk, config, inbox)


async def _wait_for_quiet(hints: trio.MemoryReceiveChannel[None], delay_s: float) -> None:
    """Wait for a pause between edits, but not for ever."""
    ends_at_s = trio.current_time() + delay_s
    while True:
        quiet_at_s = trio.current_time() + delay_s * QUIET_SHARE
        with trio.CancelScope(deadline=min(quiet_at_s, ends_at_s)) as scope:
            await hints.receive()
        if scope.cancelled_caught:
            return


async def _reload(
    disk: InstanceStore, config: ConfigFile, inbox: trio.MemorySendChannel[Inbound]
) -> None:
    told = core_settings(config.current)
    await config.reload()
    if core_settings(config.current) != told:
        await inbox.send(CoreSettingsChanged(core_settings(config.current)))
    await disk.announce(inbox)


# --- Noticing --------------------------------------------------------------------------------


@attrs.frozen
class Watched:
    """Where to look. Paths are resolved, as some systems report them so.

    Attributes:
        config: the file of settings.
        data: the folder of providers.
    """

    config: Path
    data: Path

    @classmethod
    def of(cls, config: Path, data: Path) -> Watched:
        """With what links there are resolved, but for the names themselves."""
        return cls(config.parent.resolve() / config.name, data.parent.resolve() / data.name)

    def folders(self) -> frozenset[Path]:
        """The folders that are there."""
        outside = {self.config.parent, self.data.parent}
        inside = {self.data, *_folders_in(self.data)}
        return frozenset(folder for folder in outside | inside if folder.is_dir())

    def concerns(self, path: Path) -> bool:
        """May an event at this path mean that there is something new to read?"""
        if path in (self.config, self.data) or path.name == KUBERNETES_LINK:
            return True
        is_provider = path.parent == self.data and not path.name.startswith(".")
        is_file = path.name == INSTANCE_FILE_NAME and path.parent.parent == self.data
        return is_provider or is_file


def _folders_in(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_dir()]
    except OSError:
        return []


async def _watch(watched: Watched, hint: Callable[[], None]) -> None:
    """Give hints until cancelled."""
    ending = threading.Event()
    tell = partial(trio.from_thread.run_sync, hint)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_set_at_the_end, ending)
        # A place of its own: it would hold one of those for short work for good.
        limiter = trio.CapacityLimiter(1)
        await trio.to_thread.run_sync(_notice, watched, tell, ending, limiter=limiter)


async def _set_at_the_end(ending: threading.Event) -> None:
    try:
        await trio.sleep_forever()
    finally:
        ending.set()


def _notice(watched: Watched, tell: Callable[[], None], ending: threading.Event) -> None:
    """Watch, in a thread, until `ending` is set, or neither watching nor polling is possible."""
    by_polling = False
    while not ending.is_set():
        try:
            _notice_in(watched, watched.folders(), tell, ending, by_polling=by_polling)
        except FileNotFoundError:
            ending.wait(STEP_MS / 1000)  # A folder went away just now: see what is there.
        except Exception as exc:  # whatever the system's reason is: the files can still be read
            if by_polling:
                log.exception("Changes on disk are not noticed any more; SIGHUP has them read")
                return
            log.warning("Changes on disk cannot be watched (%s): looking for them instead", exc)
            by_polling = True


def _notice_in(
    watched: Watched,
    folders: frozenset[Path],
    tell: Callable[[], None],
    ending: threading.Event,
    *,
    by_polling: bool,
) -> None:
    """Watch these folders until there are others, or until `ending` is set."""
    # For start-up time: this runs in a thread, beside the first answers.
    from watchfiles import watch

    has_looked = False
    for changes in watch(
        *folders,
        watch_filter=lambda _, path: watched.concerns(Path(path)),
        step=STEP_MS,
        debounce=STEP_MS,
        stop_event=ending,
        rust_timeout=LOOK_MS,
        yield_on_timeout=True,
        force_polling=by_polling or None,
        poll_delay_ms=POLL_MS,
        recursive=False,
        raise_interrupt=False,
    ):
        if changes or not has_looked:
            has_looked = not changes
            tell()
        if changes and watched.folders() != folders:
            return

"""Reads the files of the user again when they change on disk, or when that is requested.

They are `config.json`, `data/`, and `secrets.json`, whose values the others refer to.

watchfiles notices the changes (inotify, FSEvents, ReadDirectoryChangesW) in a thread of its own. It
watches folders rather than files, since editors replace files, and one level only, since servers
keep large trees beside their `mcp_settings.json`. Where the system refuses to watch, it polls.

Invariants:

- The last edit is read at the latest `debounce_delay` after it was noticed, however many there are.
  A single edit is read after a quarter of that time.
- No change is missed: after the last one that was noticed, the files are read once more.
"""

from __future__ import annotations

import logging
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio
from msgspec import Struct

from router.files.names import INSTANCE_FILE_NAME, SECRETS_FILE_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from router.dispatch.actor import Inbound
    from router.reload.instance_store import InstanceStore
    from router.reload.live_settings import LivePart, LiveSettings

log = logging.getLogger("mcp_router.watch")

QUIET_SHARE: Final = 0.25
"""The part of `debounce_delay` without an edit after which no more are expected."""

STEP_MS: Final = 100
"""Edits that follow one another faster count as one. Watching ends within this time, too."""

LOOK_MS: Final = 500
"""Time after the last change until the files are looked at once more: edits are missed while
watching begins, and in the moment in which watchfiles hands over its changes."""

POLL_MS: Final = 1000
"""Time between two looks if the system refuses to watch."""

KUBERNETES_LINK: Final = "..data"
"""The link that changes with a mounted ConfigMap; the files themselves are links into it."""


class ReloadRequest:
    """A request to read the files again. While one is waiting, another changes nothing."""

    def __init__(self) -> None:
        self._made = trio.Event()
        self._is_asked = False
        self._settled = trio.Event()
        self._settled.set()

    def make(self) -> None:
        """Request a reload for somebody who asks, as by SIGHUP; never blocks."""
        self._is_asked = True
        self._made.set()
        if self._settled.is_set():
            self._settled = trio.Event()

    def note_change(self) -> None:
        """Request a reload because the files may have changed; never blocks."""
        self._made.set()

    def take_asked(self) -> bool:
        """Return whether somebody has asked since the last call, and wants to be told."""
        is_asked, self._is_asked = self._is_asked, False
        return is_asked

    async def wait(self) -> None:
        """Wait for a request, and take it."""
        await self._made.wait()
        self._made = trio.Event()

    def carried_out(self) -> None:
        """Note that the files were read after the requests that `wait` took."""
        if not (self._made.is_set() and self._is_asked):
            self._settled.set()

    async def settled(self) -> None:
        """Wait until all requests of those who ask have been carried out."""
        await self._settled.wait()


async def keep_current(
    settings: LiveSettings,
    parts: Sequence[LivePart],
    instances: InstanceStore,
    request: ReloadRequest,
    inbox: trio.MemorySendChannel[Inbound],
) -> None:
    """Load the instances, then reload everything whenever that is requested, until cancelled.

    Args:
        settings: reads `config.json`, and says whether and how fast to follow changes.
        parts: the parts that apply new settings.
        instances: reads `data/`, and sends the instances to the actor.
        request: made by a signal, and here when files change; each one causes a reload.
        inbox: the dispatch actor's.
    """
    await instances.announce(inbox)
    async with trio.open_nursery() as nursery:
        if settings.current.watcher.enabled:
            nursery.start_soon(_watch, Watched.of(settings.path, instances.data), request)
        while True:
            await request.wait()
            await _wait_for_quiet(request, settings.current.watcher.debounce_delay)
            if request.take_asked():
                settings.tell_again()
                instances.tell_again()
            await _reload(settings, parts, instances, inbox)
            request.carried_out()


async def _wait_for_quiet(request: ReloadRequest, delay_s: float) -> None:
    """Wait for a pause between edits, at most `delay_s`."""
    ends_at_s = trio.current_time() + delay_s
    while True:
        quiet_at_s = trio.current_time() + delay_s * QUIET_SHARE
        with trio.CancelScope(deadline=min(quiet_at_s, ends_at_s)) as scope:
            await request.wait()
        if scope.cancelled_caught:
            return


async def _reload(
    settings: LiveSettings,
    parts: Sequence[LivePart],
    instances: InstanceStore,
    inbox: trio.MemorySendChannel[Inbound],
) -> None:
    await settings.reload_and_tell(parts, inbox)
    await instances.announce(inbox)


# --- Noticing --------------------------------------------------------------------------------


class Watched(Struct, frozen=True):
    """The paths to watch, resolved, since some systems report resolved paths.

    Attributes:
        config: the file of settings.
        data: the folder of providers.
    """

    config: Path
    data: Path

    @classmethod
    def of(cls, config: Path, data: Path) -> Watched:
        """Return both with the links in their parent folders resolved."""
        return cls(config.parent.resolve() / config.name, data.parent.resolve() / data.name)

    def folders(self) -> frozenset[Path]:
        """Return the folders to watch that exist."""
        outside = {self.config.parent, self.data.parent}
        inside = {self.data, *_folders_in(self.data)}
        return frozenset(folder for folder in outside | inside if folder.is_dir())

    def concerns(self, path: Path) -> bool:
        """Return whether an event at this path may mean that there is something new to read."""
        secrets = self.config.with_name(SECRETS_FILE_NAME)
        if path in (self.config, self.data, secrets) or path.name == KUBERNETES_LINK:
            return True
        is_provider = path.parent == self.data and not path.name.startswith(".")
        is_file = path.name == INSTANCE_FILE_NAME and path.parent.parent == self.data
        return is_provider or is_file


def _folders_in(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_dir()]
    except OSError:
        return []


async def _watch(watched: Watched, request: ReloadRequest) -> None:
    """Request a reload after every change, until cancelled."""
    ending = threading.Event()
    tell = partial(trio.from_thread.run_sync, request.note_change)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_set_at_the_end, ending)
        # A limiter of its own: watching would occupy a slot for short work for ever.
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

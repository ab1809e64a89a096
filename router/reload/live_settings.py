"""`config.json` while the router runs: the settings in force, and how new ones come into force.

Invariants: an invalid or missing file changes nothing; the reason stands in `problems`, and once in
the log. A key that does not take effect while the router runs is named in the log.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

import attrs
import trio

from router.config.code_extra import PROBLEM, can_run_code, find_missing_extra, how_to_install
from router.config.live import changed_keys, live_keys, values_for_core
from router.config.options import merge
from router.config.security.tokens import rate_limits
from router.config.settings import read_settings
from router.messages.core_settings import CoreSettings, RecordReason
from router.messages.errors import ConfigError
from router.messages.events import CoreSettingsChanged
from router.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from router.config.options import Options
    from router.config.settings import Settings
    from router.dispatch.actor import Inbound

log = logging.getLogger("mcp_router.config")


class LivePart(Protocol):
    """A part of the router in which new settings are put into force, in two steps."""

    def prepare(self, new: Settings) -> None:
        """Do what can fail. It is called in a worker thread, so it may block.

        Raises:
            ConfigError: these settings cannot be put into force; then no part applies them.
        """
        ...

    def apply(self, new: Settings) -> None:
        """Put the live keys of these settings into force. It neither fails nor blocks."""
        ...


def core_settings(
    settings: Settings, reasons: frozenset[RecordReason] = frozenset()
) -> CoreSettings:
    """Return those of the settings that the core reads.

    Args:
        reasons: the reasons for records that are no settings.
    """
    return CoreSettings(
        version=VERSION,
        rates=rate_limits(settings.security.tokens),
        records=_records(settings) | reasons,
        can_run_code=can_run_code(settings.profiles),
        **values_for_core(settings),
    )


def _records(settings: Settings) -> frozenset[RecordReason]:
    """Return the reasons why the core has records written."""
    reasons = set[RecordReason]()
    if settings.logging.audit:
        reasons.add("audit")
    if settings.logging.audit == "digests":
        reasons.add("digests")
    if settings.logging.level == "DEBUG":
        reasons.add("log")
    return frozenset(reasons)


@attrs.define(eq=False)
class LiveSettings:
    """The settings in force.

    Attributes:
        path: the path of `config.json`.
        options: the options of the command line, which override the file.
        current: the settings that were read last, overridden by the options.
        record_reasons: the reasons for records that are no settings, such as traces.
        problems: the reasons why parts of the file are not in force, one line each.
        waiting: the keys whose new values wait for a restart of the program.
    """

    path: Path
    options: Options
    current: Settings
    record_reasons: frozenset[RecordReason] = frozenset()
    problems: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    _started: Settings = attrs.field(
        init=False, default=attrs.Factory(lambda self: self.current, takes_self=True)
    )
    _turn: trio.Lock = attrs.field(init=False, factory=trio.Lock)
    _tells_again: bool = attrs.field(init=False, default=False)
    # A file that is missing and cannot be written is a line at the start, and not gone since.
    _was_there: bool = attrs.field(
        init=False, default=attrs.Factory(lambda self: self.path.exists(), takes_self=True)
    )

    def tell_again(self) -> None:
        """Log what the next reading finds wrong, also where that was logged before."""
        self._tells_again = True

    async def reload_and_tell(
        self, parts: Sequence[LivePart], inbox: trio.MemorySendChannel[Inbound]
    ) -> None:
        """Reload, one reading at a time, and tell the actor what changed for the core."""
        async with self._turn:
            before = self._for_core()
            await self.reload(parts)
            now = self._for_core()
            if now != before:
                # No checkpoint since the parts applied the settings: no client is let in at the
                # place of a new profile before the actor hears of that profile.
                await inbox.send(CoreSettingsChanged(now))

    def _for_core(self) -> CoreSettings:
        # `logging.audit` waits for a restart: until then the core records as it did.
        as_started = attrs.evolve(self.current.logging, audit=self._started.logging.audit)
        return core_settings(attrs.evolve(self.current, logging=as_started), self.record_reasons)

    async def reload(self, parts: Sequence[LivePart]) -> bool:
        """Read the file again, and have each part apply what changed.

        Returns:
            True if anything changed.
        """
        is_asked, self._tells_again = self._tells_again, False
        found = await trio.to_thread.run_sync(self._try_to_read, parts, abandon_on_cancel=True)
        if isinstance(found, str):
            self._note(found, is_asked=is_asked)
            return False
        if found == self.current:
            self.problems = self._waiting_lines()
            return False
        keys = changed_keys(self.current, found)
        is_wanted_anew = self.current.profiles != found.profiles
        self.current = found
        for part in parts:
            part.apply(found)
        log.info("%s: changed: %s", self.path.name, ", ".join(keys))
        self._warn()
        if is_wanted_anew:
            self.warn_of_extra()
        self.problems = self._waiting_lines()
        return True

    def _try_to_read(self, parts: Sequence[LivePart]) -> Settings | str:
        """Return the settings when all parts are prepared for them, else the problems as lines."""
        try:
            found = merge(read_settings(self.path), self.options)
            self._was_there = True
            if found != self.current:
                for part in parts:
                    part.prepare(found)
        except FileNotFoundError:
            return f"{self.path.name}: is gone" if self._was_there else self.current
        except ConfigError as exc:
            return str(exc)  # not the error: its traceback holds all of the file, in a cycle
        return found

    def warn_of_extra(self) -> None:
        """Log the profiles that want code to be run where that cannot be done."""
        for name in find_missing_extra(self.current.profiles):
            text = "%s: profiles.%s: %s; run: %s"
            log.warning(text, self.path.name, name, PROBLEM, how_to_install())

    def _note(self, found: str, *, is_asked: bool) -> None:
        problems = tuple(f"{line}; the settings before stay" for line in found.splitlines())
        for problem in problems:
            if is_asked or problem not in self.problems:
                log.error("%s", problem)
        self.problems = (*problems, *self._waiting_lines())

    def _waiting_lines(self) -> tuple[str, ...]:
        name = self.path.name
        return tuple(f"{name}: {key}: waits for a restart of the router" for key in self.waiting)

    def _warn(self) -> None:
        """Log the keys that wait for a restart, when they are others than before."""
        differing = changed_keys(self._started, self.current)
        waiting = tuple(key for key in differing if not self._is_live(key))
        if waiting and waiting != self.waiting:
            keys = ", ".join(waiting)
            log.warning("%s: restart the router to apply: %s", self.path.name, keys)
        self.waiting = waiting

    def _is_live(self, key: str) -> bool:
        # Without logs from the start there is nowhere to write to.
        had_no_logs = key == "logging.level" and self._started.logging.level == "OFF"
        return key in live_keys(self.current) and not had_no_logs

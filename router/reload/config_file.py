"""`config.json` while the router runs: read again, and what of it takes effect at once.

Job: compare settings, and keep those that are in force. Neighbours: `watch` above says when;
`settings` below reads the file. The composition root says what is to be done about a change.

Invariants: an invalid or missing file changes nothing, and why stands in `problems`, and once in
the log. What does not take effect while the router runs is named in the log.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, cast

import attrs
import trio

from router.messages.core_settings import CoreSettings
from router.messages.errors import ConfigError
from router.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from router.config.settings import Settings

log = logging.getLogger("mcp_router.config")

LIVE: Final = frozenset(
    {
        "api.auto_find_port",
        "api.cors_origin",
        "api.enable_realtime_logs",
        "api.host",
        "api.port",
        "logging.level",
        "mcp_client.enabled",
        "mcp_client.timeout",
        "security.allow_anonymous",
        "security.allow_stdio_via_api",
        "security.bearer_token",
        "security.enable_validation",
        "security.tokens",
        "server.allow_instance_management",
        "server.allowed_hosts",
        "server.allowed_origins",
        "server.host",
        "server.http.auto_find_port",
        "server.http.port",
        "server.sse.auto_find_port",
        "server.sse.port",
        "server.tool_names",
        "watcher.debounce_delay",
    }
)
"""Keys that take effect without a restart of the program."""


def changed_keys(old: Any, new: Any) -> tuple[str, ...]:
    """The keys of `config.json` in which two settings differ, such as `api.port`, in order."""
    return tuple(_changed(old, new, ""))


def _changed(old: Any, new: Any, path: str) -> Iterator[str]:
    for attribute in attrs.fields(cast("type[attrs.AttrsInstance]", type(old))):
        before, after = getattr(old, attribute.name), getattr(new, attribute.name)
        key = f"{path}{attribute.name}"
        if hasattr(before, "__attrs_attrs__"):
            yield from _changed(before, after, f"{key}.")
        elif before != after:
            yield key


def core_settings(settings: Settings) -> CoreSettings:
    """What of the settings the core is told."""
    return CoreSettings(
        version=VERSION,
        timeout_s=settings.mcp_client.timeout,
        tool_names=settings.server.tool_names,
        allow_instance_management=settings.server.allow_instance_management,
        allow_stdio_via_api=settings.security.allow_stdio_via_api,
        enable_validation=settings.security.enable_validation,
    )


def _nothing(_: Settings) -> None:
    pass


@attrs.define
class ConfigFile:
    """The settings in force.

    Attributes:
        path: of the file.
        current: what was read last, with what the command line says.
        read: reads it again; blocks on disk, raises `ConfigError` or `FileNotFoundError`.
        apply: called with new settings, to put into force what `LIVE` promises.
        prepare: called with them before, in a worker thread, to do what of that can fail; raises
            `ConfigError`, and then nothing of them takes effect.
        problems: what of the file as it is now is not in force, and why, one line each.
        waiting: the keys whose new values wait for a restart.
    """

    path: Path
    current: Settings
    read: Callable[[], Settings]
    apply: Callable[[Settings], None] = _nothing
    prepare: Callable[[Settings], None] = _nothing
    problems: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    _started: Settings = attrs.field(
        init=False, default=attrs.Factory(lambda self: self.current, takes_self=True)
    )

    async def reload(self) -> bool:
        """Read it again; did anything change?"""
        found = await trio.to_thread.run_sync(self._try_to_read, abandon_on_cancel=True)
        if isinstance(found, str):
            self._note(found)
            return False
        if found == self.current:
            self.problems = self._waiting_lines()
            return False
        keys = changed_keys(self.current, found)
        self.current = found
        self.apply(found)
        log.info("%s: changed: %s", self.path.name, ", ".join(keys))
        self._warn()
        self.problems = self._waiting_lines()
        return True

    def _try_to_read(self) -> Settings | str:
        """The settings, or what is wrong with them, a problem a line."""
        try:
            found = self.read()
            if found != self.current:
                self.prepare(found)
        except FileNotFoundError:
            return f"{self.path.name}: is gone"
        except ConfigError as exc:
            return str(exc)  # not the error: its traceback holds all of the file, in a cycle
        return found

    def _note(self, found: str) -> None:
        problems = tuple(f"{line}; the settings before stay" for line in found.splitlines())
        for problem in problems:
            if problem not in self.problems:
                log.error("%s", problem)
        self.problems = (*problems, *self._waiting_lines())

    def _waiting_lines(self) -> tuple[str, ...]:
        name = self.path.name
        return tuple(f"{name}: {key}: waits for a restart of the router" for key in self.waiting)

    def _warn(self) -> None:
        """Say what has to wait."""
        differing = changed_keys(self._started, self.current)
        waiting = tuple(key for key in differing if not self._is_live(key))
        if waiting and waiting != self.waiting:
            keys = ", ".join(waiting)
            log.warning("%s: restart the router to apply: %s", self.path.name, keys)
        self.waiting = waiting

    def _is_live(self, key: str) -> bool:
        # Without logs from the start there is nowhere to write to.
        had_no_logs = key == "logging.level" and self._started.logging.level == "OFF"
        return key in LIVE and not had_no_logs

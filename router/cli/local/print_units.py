"""Prints the units of systemd for this installation: `mcp-router systemd`."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from router.app.sockets import with_api
from router.cli.own_program import program_path
from router.config.options import chosen_modes, locate, merge
from router.config.settings import settings_as_written
from router.messages.errors import ConfigError
from router.service_manager.units import HOMES, Service, service_unit, socket_unit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.config.options import Options
    from router.config.settings import Settings
    from router.config.values import Mode

SYSTEM_CONFIG: Final = Path("/etc/mcp-router/config.json")
"""The file that the service of the machine reads, unless `-c` names another."""

SYSTEM_PATH: Final = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin")
"""Where systemd looks for commands by itself."""

LAUNCHERS: Final = ("npx", "uvx", "node", "docker")
"""Commands that start servers; they may be installed elsewhere."""


def unit_text(
    options: Options, environ: Mapping[str, str], cwd: Path, *, is_user: bool, is_socket: bool
) -> str:
    """Return the unit that was asked for.

    Raises:
        ConfigError: the settings cannot be read, or leave no such unit.
    """
    paths = locate(options, environ, cwd)
    config = paths.config if is_user or options.config is not None else SYSTEM_CONFIG
    # The tokens are not resolved: the service has variables and credentials that a shell has not.
    settings = settings_as_written(config)
    modes = _modes(settings, options)
    settings = merge(settings, replace(options, modes=modes))
    if is_socket:
        return socket_unit(_addresses(settings, with_api(settings, modes)), is_user=is_user)
    words = [word for mode in modes for word in ("--transport", mode)]
    written: list[str] = []
    if is_user or options.config is not None:
        words += ["--config", str(paths.config.resolve())]
        written.append(str(paths.config.parent.resolve()))
    if options.data is not None:
        words += ["--data", str(paths.data.resolve())]
        written.append(str(paths.data.resolve()))
    words += _overrides(options)
    path = environ.get("PATH") if is_user else _system_path()
    interpreter = os.path.realpath(sys.executable)
    service = Service(program_path() or "mcp-router", words, path, written, interpreter)
    return service_unit(service, is_user=is_user)


def _modes(settings: Settings, options: Options) -> tuple[Mode, ...]:
    if "stdio" in options.modes:
        raise ConfigError("--transport", "a service has no stdio; name http, sse or api")
    chosen = chosen_modes(settings, options)
    return tuple(mode for mode in chosen if mode != "stdio") or ("http",)


def _overrides(options: Options) -> list[str]:
    given = {
        "--host": options.host,
        "--port": options.port,
        "--level": options.level,
        "--view": options.view,
    }
    return [word for name, one in given.items() if one is not None for word in (name, str(one))]


def _system_path() -> str | None:
    """Return a `PATH` with the folders of launchers that are installed for all, but elsewhere."""
    folders = [os.path.dirname(found) for name in LAUNCHERS if (found := shutil.which(name))]
    others = dict.fromkeys(
        folder
        for folder in folders
        if folder not in (*SYSTEM_PATH, "/bin") and not f"{folder}/".startswith(HOMES)
    )
    return os.pathsep.join((*others, *SYSTEM_PATH)) if others else None


def _addresses(settings: Settings, modes: tuple[Mode, ...]) -> dict[Mode, tuple[str, int]]:
    server, api = settings.server, settings.api
    places: dict[Mode, tuple[str, int]] = {
        "http": (server.host, server.http.port),
        "sse": (server.host, server.sse.port),
        "api": (api.host, api.port),
    }
    return {mode: places[mode] for mode in modes}

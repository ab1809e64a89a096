"""Applies the command line: finds `config.json` and the folders, and overrides settings.

Invariant: an option that is not given changes nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
from msgspec import Struct
from msgspec.structs import replace

from router.config.values import MODES, Level, Mode
from router.files.names import PINS_FILE_NAME, SECRETS_FILE_NAME
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.config.settings import Settings

CONFIG_VARIABLE: Final = "MCP_ROUTER_CONFIG"
"""The environment variable that names the config file."""


class Options(Struct, frozen=True):
    """The options of the command line; None and () where it has none.

    Attributes:
        modes: the modes to listen on.
        config: the path of the config file.
        data: the folder of providers.
        host: the address to bind to.
        port: for the one listener among `modes` that has a port; 0 is any free port.
        level: the level of the logs.
        view: the default view, in place of `server.view`; here it may be an instance as well.
    """

    modes: tuple[Mode, ...] = ()
    config: str | None = None
    data: str | None = None
    host: str | None = None
    port: int | None = None
    level: Level | None = None
    view: str | None = None


class Paths(Struct, frozen=True):
    """The config file, and the folders of providers, of logs, and of what may be lost."""

    config: Path
    data: Path
    logs: Path
    cache: Path

    @property
    def secrets(self) -> Path:
        """The file of secrets, beside the config file."""
        return self.config.with_name(SECRETS_FILE_NAME)

    @property
    def pins(self) -> Path:
        """The file of approved tools (`security.pinning`), beside the config file."""
        return self.config.with_name(PINS_FILE_NAME)


def locate(options: Options, environ: Mapping[str, str], cwd: Path) -> Paths:
    """Find the config file, and the default folders beside it.

    The config file is `options.config`, else `$MCP_ROUTER_CONFIG`, else `config.json` in `cwd` if
    there is one, else that of the user. Its settings may name other folders: see
    `with_log_folder` and `with_data_folder`.
    """
    named = options.config or environ.get(CONFIG_VARIABLE)
    config = cwd / Path(named).expanduser() if named else cwd / "config.json"
    if named or config.exists():
        beside = config.parent
        paths = Paths(config, beside / "data", beside / "logs", beside / "cache")
    else:
        paths = _user_paths()
    if options.data is None:
        return paths
    return replace(paths, data=cwd / Path(options.data).expanduser())


def with_log_folder(paths: Paths, directory: str) -> Paths:
    """Return `paths` with `logging.directory`, which is relative to the parent of `logs`."""
    return replace(paths, logs=paths.logs.parent / Path(directory).expanduser())


def with_data_folder(paths: Paths, options: Options, directory: str) -> Paths:
    """Return `paths` with `watcher.watch_path`, relative to the parent of `data`; `--data` wins."""
    if options.data is not None:
        return paths
    return replace(paths, data=paths.data.parent / Path(directory).expanduser())


def chosen_modes(settings: Settings, options: Options) -> tuple[Mode, ...]:
    """Return the modes to listen on, each once, in the order of `MODES`."""
    chosen = options.modes or (settings.server.transport_type,)
    return tuple(mode for mode in MODES if mode in chosen)


def merge(settings: Settings, options: Options) -> Settings:
    """Return the settings with the options of the command line in force.

    Raises:
        ConfigError: a port was given, but not exactly one listener that could take it.
    """
    modes = chosen_modes(settings, options)
    if options.level is not None:
        settings = attrs.evolve(
            settings, logging=attrs.evolve(settings.logging, level=options.level)
        )
    if options.view is not None:
        settings = attrs.evolve(settings, server=attrs.evolve(settings.server, view=options.view))
    if options.host is not None:
        settings = _with_host(settings, modes, options.host)
    if options.port is not None:
        settings = _with_port(settings, modes, options.port)
    return settings


def _with_host(settings: Settings, modes: tuple[Mode, ...], host: str) -> Settings:
    """Set the host of the listeners in `modes`; an `api` that config.json adds keeps its own."""
    server, api = settings.server, settings.api
    if modes != ("api",):
        server = attrs.evolve(server, host=host)
    if "api" in modes:
        api = attrs.evolve(api, host=host)
    return attrs.evolve(settings, server=server, api=api)


def _with_port(settings: Settings, modes: tuple[Mode, ...], port: int) -> Settings:
    server = settings.server
    if modes == ("http",):
        server = attrs.evolve(server, http=attrs.evolve(server.http, port=port))
    elif modes == ("sse",):
        server = attrs.evolve(server, sse=attrs.evolve(server.sse, port=port))
    elif modes == ("api",):
        return attrs.evolve(settings, api=attrs.evolve(settings.api, port=port))
    elif modes == ("stdio",):
        raise ConfigError("--port", "stdio has no port; leave it out")
    else:
        way_out = "set server.http.port, server.sse.port and api.port in config.json"
        raise ConfigError("--port", f"it is for one listener, and there are several; {way_out}")
    return attrs.evolve(settings, server=server)


def _user_paths() -> Paths:
    # For start-up time: only this last resort needs platformdirs.
    import platformdirs

    app: dict[str, Any] = {"appname": "mcp-router", "appauthor": False}
    return Paths(
        platformdirs.user_config_path(**app) / "config.json",
        platformdirs.user_data_path(**app) / "data",
        platformdirs.user_state_path(**app) / "logs",
        platformdirs.user_cache_path(**app),
    )

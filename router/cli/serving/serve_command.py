"""`mcp-router serve`: reads the settings, binds the listeners, and runs the router.

Invariant: imports inside functions are for start-up time: a client waits for the first answer on
stdio.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from router.cli.arguments import add_serving_options, add_transports, options_of
from router.cli.terminal import complain, is_for_a_person
from router.config.options import chosen_modes, locate, merge, with_data_folder, with_log_folder
from router.config.settings import load_settings, settings_as_written
from router.files.local_sockets import has_local_sockets
from router.logs.early_records import EarlyRecords
from router.logs.logs import Logs, unbuffered_stderr
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from router.app.listening.local_port import LocalPort
    from router.app.listening.local_socket import LocalSocket
    from router.cli.serving.start_screen import StartScreen
    from router.config.options import Options, Paths
    from router.config.settings import Settings
    from router.service_manager.activation import HandedOver
    from router.service_manager.notifications import ServiceManager

log = logging.getLogger("mcp_router.cli")

DESCRIPTION: Final = """\
Serve MCP to clients, and run the servers behind it, until Ctrl+C or SIGTERM. Without --transport it
serves as server.transport_type in config.json says. The REST API serves beside it where api.enabled
is true."""

EXAMPLES: Final = """
mcp-router serve --transport http --transport sse
mcp-router serve --transport http --port 8080 --view work
mcp-router serve -c /etc/mcp-router/config.json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `serve`."""
    add_transports(parser)
    add_serving_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serve, or show a person what runs where no command is given in a terminal."""
    options = options_of(arguments)
    paths = locate(options, os.environ, Path.cwd())
    if arguments.command is None and not options.modes and is_for_a_person(sys.stdin):
        settings = settings_as_written(paths.config)
        if chosen_modes(settings, options) == ("stdio",):
            # For start-up time: a client has no use for it.
            from router.cli.serving.overview import show_overview

            return show_overview(arguments, paths, settings)
    with EarlyRecords() as early:
        settings = merge(load_settings(paths.config), options)
        try:
            return _serve(settings, paths, options, early)
        except (ConfigError, OSError) as exc:
            complain(str(exc), settings.logging.format)
            return 1


def _serve(settings: Settings, paths: Paths, options: Options, early: EarlyRecords) -> int:
    handed_over, service_manager = _from_service_manager()
    paths = with_log_folder(paths, settings.logging.directory)
    paths = with_data_folder(paths, options, settings.watcher.watch_path)
    modes = chosen_modes(settings, options)
    if options.view is not None:
        from router.cli.local.check import check_view

        check_view(options, settings, paths, os.environ)

    from router.app.process_privacy import keep_private
    from router.app.sockets import bind

    keep_private()
    bound = bind(settings, modes, handed_over)
    mode = "+".join(modes)
    screen = None if service_manager or not bound else _start_screen(settings)
    with (
        Logs.from_settings(settings.logging, paths.logs, mode, screen, early) as logs,
        _local_place(paths.config) as local,
    ):
        logs.add_secrets(settings.security.secrets)
        if options.data is not None and not paths.data.is_dir():
            log.warning("--data: there is no folder %s yet", paths.data)

        # Loaded last, since a port that is taken is reported without the event loop.
        from router.app import run
        from router.app.wiring import telemetry_for, wire

        router = wire(
            options,
            paths,
            settings,
            modes,
            bound,
            logs,
            telemetry=telemetry_for(os.environ, logs),
            is_for_people=service_manager is None and (bool(bound) or os.isatty(2)),
            show_start=None if screen is None else screen.run,
            service_manager=service_manager,
            local=local,
        )
        try:
            return run.run(router)
        except Exception as exc:  # the boundary of the program
            log.critical("The router ended because of a fault in itself", exc_info=exc)
            if settings.logging.level == "OFF":
                complain(f"ended because of a fault in itself: {exc!r}")
            return 1


def _local_place(config: Path) -> AbstractContextManager[LocalSocket | LocalPort | None]:
    """Hold the place where commands of this user reach the router, if there can be one."""
    # For start-up time: a system has use for one of the two.
    if has_local_sockets():
        from router.app.listening.local_socket import local_socket

        return local_socket(config, os.environ)
    from router.app.listening.local_port import local_port

    return local_port(config)


def _start_screen(settings: Settings) -> StartScreen | None:
    """Return the terminal that shows a start; None where stderr is none, or is for programs."""
    is_dumb = os.environ.get("TERM", "dumb") == "dumb"
    if settings.logging.format == "json" or settings.logging.level == "OFF" or is_dumb:
        return None
    terminal = unbuffered_stderr() if is_for_a_person(sys.stderr) else None
    if terminal is None:
        return None
    # For start-up time: only a terminal needs it.
    from router.cli.serving.start_screen import StartScreen

    return StartScreen(terminal)


def _from_service_manager() -> tuple[Sequence[HandedOver], ServiceManager | None]:
    """Take what the service manager left in the environment: its sockets, and its own socket.

    Raises:
        ConfigError: it cannot be understood.
    """
    if os.environ.keys().isdisjoint(("NOTIFY_SOCKET", "LISTEN_FDS", "WATCHDOG_USEC")):
        return (), None
    # For start-up time: only a service needs it.
    from router.service_manager.activation import take_sockets, take_variables
    from router.service_manager.notifications import ServiceManager

    variables = take_variables(os.environ)
    is_told = "NOTIFY_SOCKET" in variables
    manager = ServiceManager.from_environ(variables) if is_told else None
    return take_sockets(variables), manager

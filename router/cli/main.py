"""The program `mcp-router`: carries out one command and returns its exit status.

Exit status: 0 for success and for a stop that was asked for, 1 for an error or for problems that
`check` found, 2 for arguments that cannot be understood, 130 for Ctrl+C. `router.app.shutdown` has
those of a router that a signal ends.

Invariants: stdout carries what was asked for (help, a version, a status), and of a router that
serves, MCP alone. An error is one readable line for each problem, never a traceback (the log file
has it). Once the settings of a router say `logging.format: "json"`, its errors are JSON as well.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

import attrs

from router.cli.arguments import PROGRAM, USAGE, UsageError, options_of, parse
from router.config.options import chosen_modes, locate, merge, with_data_folder, with_log_folder
from router.config.settings import load_settings, settings_as_written
from router.logs.early_records import EarlyRecords
from router.logs.journal import is_journal
from router.logs.line_formats import error_lines
from router.logs.logs import Logs
from router.logs.record_text import one_line
from router.messages.errors import ConfigError
from router.version import VERSION

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from router.cli.rest_client import RestApi
    from router.config.options import Options, Paths
    from router.config.settings import Settings
    from router.service_manager.activation import HandedOver
    from router.service_manager.notifications import ServiceManager

log = logging.getLogger("mcp_router.cli")

TOKEN_VARIABLE: Final = "MCP_ROUTER_TOKEN"

# Imports inside commands are for start-up time: a client waits for the first answer on stdio, and
# each command loads only what it needs.


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program.

    Args:
        argv: its arguments; those of the process if not given.

    Returns:
        The exit status.
    """
    _fill_standard_descriptors()
    try:
        return _run_command(parse(sys.argv[1:] if argv is None else argv))
    except UsageError as exc:
        _complain(f"{exc}\nTry '{PROGRAM} --help'.")
        return 2
    except (ConfigError, OSError) as exc:
        _complain(str(exc))
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _run_command(arguments: argparse.Namespace) -> int:
    if arguments.help or arguments.command == "help":
        _say(USAGE)
        return 0
    if arguments.version:
        _say(f"MCP Router v{VERSION}\n")
        return 0
    match arguments.command:
        case "add":
            return _add(arguments)
        case "check":
            return _check(options_of(arguments))
        case "status":
            return _status(arguments)
        case "logs":
            return _logs(arguments)
        case "systemd":
            return _systemd(arguments)
        case _:
            return _serve(options_of(arguments))


# --- Commands --------------------------------------------------------------------------------


def _add(arguments: argparse.Namespace) -> int:
    from router.cli.normalise_entry import normalise_instance

    options = options_of(arguments)
    paths = locate(options, os.environ, Path.cwd())
    settings = settings_as_written(paths.config)
    paths = with_data_folder(paths, options, settings.watcher.watch_path)
    name = arguments.operands[0]
    if name in settings.profiles:
        raise ConfigError("instance", f"{name} is the name of a profile; choose another name")
    try:
        spec = normalise_instance(paths.data, *arguments.operands)
    except ConfigError as exc:
        raise ConfigError(exc.place, f"{exc.problem} (data/ is {paths.data})") from None
    _complain(f"{spec.display_name} is ready in {spec.source}")
    return 0


def _check(options: Options) -> int:
    from router.cli.check import check

    found = check(locate(options, os.environ, Path.cwd()), options, os.environ)
    for problem in found.problems:
        _complain(problem)
    for profile in found.profiles:
        _say(f"{one_line(profile)}\n")
    for note in found.notes:
        _say(f"{one_line(note)}\n")
    _say(f"{one_line(found.summary)}\n")
    return 1 if found.problems else 0


def _status(arguments: argparse.Namespace) -> int:
    from router.cli.status import status_text

    _say(status_text(_running_router(arguments), as_json=arguments.json))
    return 0


def _logs(arguments: argparse.Namespace) -> int:
    from router.cli.follow_log import follow

    gc.enable()  # following may go on for days
    return follow(_running_router(arguments), arguments.level or "DEBUG")


def _systemd(arguments: argparse.Namespace) -> int:
    from router.cli.print_units import unit_text

    text = unit_text(
        options_of(arguments),
        os.environ,
        Path.cwd(),
        is_user=arguments.user,
        is_socket=arguments.socket,
    )
    _say(text)
    return 0


def _running_router(arguments: argparse.Namespace) -> RestApi:
    """Return the REST API that a command asks: that of `--url`, else that of the local socket.

    Raises:
        ConfigError: no router runs for this `config.json`, and none would have an API elsewhere.
    """
    from router.cli.local_router import find_local_router, no_local_router
    from router.cli.rest_client import RestApi

    token = arguments.token or os.environ.get(TOKEN_VARIABLE, "")
    if arguments.url is not None:
        # The token in config.json is for the router that it configures: no other URL gets it.
        return RestApi(arguments.url, token)
    paths = locate(options_of(arguments), os.environ, Path.cwd())
    found = find_local_router(paths.config, os.environ)
    if found is not None:
        return found
    settings = settings_as_written(paths.config)
    if not settings.api.enabled:
        raise no_local_router(paths.config)
    if not token:
        settings = _with_bearer_token(settings, paths.config)
    return RestApi.from_settings(settings, token)


def _with_bearer_token(settings: Settings, path: Path) -> Settings:
    """Return the settings with the references in `security.bearer_token` resolved.

    Raises:
        ConfigError: they cannot be resolved here, such as those for a service of systemd.
    """
    from router.config.token_references import read_tokens

    security = settings.security
    try:
        bearer_token, _ = read_tokens(security.bearer_token, {}, path, os.environ)
    except ConfigError as exc:
        way_out = f"or give a token with --token or {TOKEN_VARIABLE}"
        raise ConfigError(exc.place, f"{exc.problem}; {way_out}") from None
    security = attrs.evolve(security, bearer_token=bearer_token)
    return attrs.evolve(settings, security=security)


def _serve(options: Options) -> int:
    paths = locate(options, os.environ, Path.cwd())
    with EarlyRecords() as early:
        settings = merge(load_settings(paths.config), options)
        try:
            return _serve_with(settings, paths, options, early)
        except (ConfigError, OSError) as exc:
            _complain(str(exc), settings.logging.format)
            return 1


def _serve_with(settings: Settings, paths: Paths, options: Options, early: EarlyRecords) -> int:
    handed_over, service_manager = _from_service_manager()
    paths = with_log_folder(paths, settings.logging.directory)
    paths = with_data_folder(paths, options, settings.watcher.watch_path)
    modes = chosen_modes(settings, options)
    if options.view is not None:
        from router.cli.check import check_view

        check_view(options, settings, paths, os.environ)

    from router.app.listening.local_socket import local_socket
    from router.app.process_privacy import keep_private
    from router.app.sockets import bind

    keep_private()
    bound = bind(settings, modes, handed_over)
    mode = "+".join(modes)
    with (
        Logs.from_settings(settings.logging, paths.logs, mode, early=early) as logs,
        local_socket(paths.config, os.environ) as local,
    ):
        logs.add_secrets(settings.security.secrets)
        if options.data is not None and not paths.data.is_dir():
            log.warning("--data: there is no folder %s yet", paths.data)

        # Loaded last, since a port that is taken is reported without the event loop.
        from router.app import run
        from router.app.wiring import telemetry_for, wire

        is_for_people = service_manager is None and (bool(bound) or os.isatty(2))
        router = wire(
            options,
            paths,
            settings,
            modes,
            bound,
            logs,
            telemetry=telemetry_for(os.environ, logs),
            is_for_people=is_for_people,
            service_manager=service_manager,
            local=local,
        )
        try:
            return run.run(router)
        except Exception as exc:  # the boundary of the program
            log.critical("The router ended because of a fault in itself", exc_info=exc)
            if settings.logging.level == "OFF":
                _complain(f"ended because of a fault in itself: {exc!r}")
            return 1


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


# --- Standard streams ------------------------------------------------------------------------


def _fill_standard_descriptors() -> None:
    """Open /dev/null for each of stdin, stdout and stderr that the process was started without.

    A file opened later would get the free number, and with it what is read or written there.
    """
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free descriptor, which is this one


def _say(text: str) -> None:
    _write(sys.stdout, text)


def _complain(text: str, log_format: str = "") -> None:
    """Write an error, each line of it as one; as JSON if that is the format of the log."""
    lines = error_lines(PROGRAM, text, log_format, is_journal=is_journal(os.environ))
    _write(sys.stderr, lines)


def _write(stream: TextIO | None, text: str) -> None:
    # Python has None for a stream it was started without, although typeshed does not say so.
    if stream is not None:
        stream.write(text)

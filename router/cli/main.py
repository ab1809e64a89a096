"""The command line: arguments, exit codes, and what is said when there is no router to say it.

Job: from `sys.argv` to an exit status. Neighbours: `settings` says what the files mean, `app`
runs the router, `store` does what `add` asks for.

Exit status: 0 for a stop that was asked for, 1 for a fatal error, 2 for arguments that cannot be
understood; see `stopping` for signals.

Invariants: stdout is for what was asked for (help, a version, a status), and of a router that
serves, for MCP alone; an error is one readable line for each problem, never a traceback (the log
file has it).
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from router.config.options import (
    Options,
    chosen_modes,
    locate,
    merge,
    with_data_folder,
    with_log_folder,
)
from router.config.settings import LEVELS, MODES, load_settings, settings_or_defaults
from router.logs.logs import Logs
from router.logs.record_text import one_line
from router.messages.errors import ConfigError
from router.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.app.sockets import Bound
    from router.config.options import Paths
    from router.config.settings import Mode, Settings

log = logging.getLogger("mcp_router.cli")

PROGRAM: Final = "mcp-router"
HELP: Final = f"""\
MCP Router: one endpoint in front of all your MCP servers.

Usage:
  {PROGRAM} serve [--transport MODE]...     several listeners in one process
  {PROGRAM} stdio | http | sse | api        one listener; without a word the one that
                                            server.transport_type in config.json names
  {PROGRAM} add INSTANCE PROVIDER [DISPLAY] bring data/PROVIDER/mcp_settings.json into shape
  {PROGRAM} check                           look for mistakes in config.json and data/
  {PROGRAM} status [--json]                 what a running router says of its instances
  {PROGRAM} logs [-f]                       its log, as it is written
  {PROGRAM} help

Options, before or after the command:
  --transport MODE   with serve: stdio, http, sse or api; may be repeated
  -c, --config FILE  instead of $MCP_ROUTER_CONFIG, ./config.json or the user's config folder
  --data DIR         the folder of providers, instead of data/ beside the config file
  -l, --level LEVEL  {", ".join(LEVELS)}
  --host HOST        where http, sse and api listen
  --port PORT        for the one of http, sse and api that listens; 0 is any free port
  --url URL          with status and logs: the router's REST API; else where config.json has it
  --token TOKEN      with status and logs: the token for it; else $MCP_ROUTER_TOKEN
  --json             with status: as JSON
  -v, --version      print the version
  -h, --help         print this

Examples:
  {PROGRAM} serve --transport http --transport sse
  {PROGRAM} stdio --config ~/mcp/config.json
"""

COMMANDS: Final = ("serve", *MODES, "add", "check", "status", "logs", "help")

ASKING: Final = ("status", "logs")
"""Commands that ask a running router."""

_FOR: Final = {"url": ASKING, "token": ASKING, "json": ("status",), "follow": ("logs",)}
"""Options of some commands alone."""

TOKEN_VARIABLE: Final = "MCP_ROUTER_TOKEN"


class UsageError(Exception):
    """Arguments that cannot be understood; the text is for a person."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program.

    Args:
        argv: its arguments; those of the process if not given.

    Returns:
        The exit status.
    """
    # Starting makes no garbage worth looking for; `app` turns the collector on again.
    gc.disable()
    _fill_standard_descriptors()
    try:
        return _obey(parse(sys.argv[1:] if argv is None else argv))
    except UsageError as exc:
        _complain(f"{exc}\nTry '{PROGRAM} --help'.")
        return 2
    except (ConfigError, OSError) as exc:
        _complain(str(exc))
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _obey(arguments: argparse.Namespace) -> int:
    command = arguments.command
    if arguments.help or command == "help":
        _say(HELP)
    elif arguments.version:
        _say(f"MCP Router v{VERSION}\n")
    elif command == "add":
        _add(arguments)
    elif command == "check":
        return _check_files(options_of(arguments))
    elif command == "status":
        _show_status(arguments)
    elif command == "logs":
        return _follow_logs(arguments)
    else:
        return _serve(options_of(arguments))
    return 0


def _fill_standard_descriptors() -> None:
    """Where this was started without stdin, stdout or stderr, let no file take their place."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free descriptor, which is this one


def _is_missing(stream: object) -> bool:
    # Python has None for what it was started without, although typeshed does not say so.
    return stream is None


def _say(text: str) -> None:
    if not _is_missing(sys.stdout):
        sys.stdout.write(text)


def _complain(text: str) -> None:
    if not _is_missing(sys.stderr):
        sys.stderr.writelines(f"{PROGRAM}: {one_line(line)}\n" for line in text.splitlines())


# --- Arguments -------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the arguments; options may stand before, after and between the words.

    Returns:
        The options by their long names, `command` (None for none) and `operands`.

    Raises:
        UsageError: they cannot be understood.
    """
    parser = _Parser(prog=PROGRAM, add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--transport", action="append", choices=MODES, default=[])
    parser.add_argument("-c", "--config")
    parser.add_argument("--data")
    parser.add_argument("-l", "--level", "--log-level", type=str.upper, choices=LEVELS)
    parser.add_argument("--host", type=_host)
    parser.add_argument("--port", type=_port)
    parser.add_argument("--url")
    parser.add_argument("--token")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("-f", "--follow", action="store_true")
    parser.add_argument("-v", "--version", action="store_true")
    parser.add_argument("-h", "--help", action="store_true")
    try:
        arguments = parser.parse_intermixed_args(argv)
    except argparse.ArgumentError as exc:
        raise UsageError(str(exc)) from None
    arguments.command, *arguments.operands = arguments.words or [None]
    if not (arguments.help or arguments.version):
        _check(arguments)
    return arguments


def _host(text: str) -> str:
    if not text or any(character.isspace() or character in "/@" for character in text):
        raise argparse.ArgumentTypeError(f"expected a host such as 127.0.0.1, got {text!r}")
    return text


def _port(text: str) -> int:
    if text.isascii() and text.isdecimal() and int(text[:6]) <= 65535:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, got {text!r}")


def _check(arguments: argparse.Namespace) -> None:
    """Do the words and options go together?"""
    command, operands = arguments.command, arguments.operands
    if command is not None and command not in COMMANDS:
        raise UsageError(f"there is no command {command!r}; there are {', '.join(COMMANDS)}")
    if command == "add":
        if len(operands) not in (2, 3):
            raise UsageError("add takes an instance, a provider and perhaps a display name")
    elif operands and command != "help":
        raise UsageError(f"unexpected {operands[0]!r} after {command}")
    if arguments.transport and command not in (None, "serve"):
        raise UsageError("--transport is for serve")
    for option, commands in _FOR.items():
        if getattr(arguments, option) and command not in commands:
            raise UsageError(f"--{option} is for {' and '.join(commands)}")


def options_of(arguments: argparse.Namespace) -> Options:
    """What the arguments of `serve` and the bare modes say."""
    named = (arguments.command,) if arguments.command in MODES else ()
    return Options(
        modes=(*named, *arguments.transport),
        config=arguments.config,
        data=arguments.data,
        host=arguments.host,
        port=arguments.port,
        level=arguments.level,
    )


# --- Commands --------------------------------------------------------------------------------


def _add(arguments: argparse.Namespace) -> None:
    # For start-up time: no other command needs it before its first answer.
    from router.cli.normalise_entry import normalise_instance

    options = options_of(arguments)
    paths = locate(options, os.environ, Path.cwd())
    paths = with_data_folder(paths, options, settings_or_defaults(paths.config).watcher.watch_path)
    try:
        spec = normalise_instance(paths.data, *arguments.operands)
    except ConfigError as exc:
        raise ConfigError(exc.place, f"{exc.problem} (data/ is {paths.data})") from None
    _complain(f"{spec.display_name} is ready in {spec.source}")


def _check_files(options: Options) -> int:
    # As in `_add`.
    from router.cli.check import check

    found = check(locate(options, os.environ, Path.cwd()), options, os.environ)
    for problem in found.problems:
        _complain(problem)
    _say(f"{one_line(found.summary)}\n")
    return 1 if found.problems else 0


def _show_status(arguments: argparse.Namespace) -> None:
    # As in `_add`.
    from router.cli.status import fetch, printable_json, rows_of, table

    url, token = _whom_to_ask(arguments)
    answer = fetch(url, token)
    rows = rows_of(answer, url)
    _say(f"{printable_json(answer)}\n" if arguments.json else table(rows))


def _follow_logs(arguments: argparse.Namespace) -> int:
    # As in `_add`.
    from router.cli.follow_log import follow

    gc.enable()  # this may go on for days
    return follow(*_whom_to_ask(arguments), arguments.level or "DEBUG")


def _whom_to_ask(arguments: argparse.Namespace) -> tuple[str, str]:
    """The URL of the REST API, and the token for it.

    The token in `config.json` is for the router it configures, and is sent to no other.
    """
    # As in `_add`.
    from router.cli.status import whom_to_ask

    url, token = arguments.url, ""
    if url is None:
        settings = settings_or_defaults(
            locate(options_of(arguments), os.environ, Path.cwd()).config
        )
        url, token = whom_to_ask(settings.api, settings.security)
    return url, arguments.token or os.environ.get(TOKEN_VARIABLE) or token


def _serve(options: Options) -> int:
    paths = locate(options, os.environ, Path.cwd())
    settings = merge(load_settings(paths.config), options)
    paths = with_log_folder(paths, settings.logging.directory)
    paths = with_data_folder(paths, options, settings.watcher.watch_path)
    modes = chosen_modes(settings, options)
    # For start-up time: what ended before this point did not need the event loop.
    from router.app.process_privacy import keep_private
    from router.app.sockets import bind

    keep_private()
    bound = bind(settings, modes)
    with Logs.from_settings(settings.logging, paths.logs, "+".join(modes)) as logs:
        logs.add_secrets(settings.security.secrets)
        return _run(options, paths, settings, modes, bound, logs)


def _run(
    options: Options,
    paths: Paths,
    settings: Settings,
    modes: Sequence[Mode],
    bound: Sequence[Bound],
    logs: Logs,
) -> int:
    # As in `_serve`.
    from router.app import run
    from router.app.wiring import Parts, compose

    plan = compose(Parts(options, paths, settings, modes, bound, logs))
    try:
        return run.run(plan)
    except Exception as exc:  # the boundary of the program
        log.critical("The router ended because of a fault in itself", exc_info=exc)
        if settings.logging.level == "OFF":
            _complain(f"ended because of a fault in itself: {exc!r}")
        return 1

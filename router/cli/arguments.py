"""Reads the arguments of the command line: commands, options, and which of them go together."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final, NoReturn

from router.config.options import Options
from router.config.values import LEVELS, MODES

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM: Final = "mcp-router"
USAGE: Final = f"""\
MCP Router: one endpoint in front of all your MCP servers.

Usage:
  {PROGRAM} serve [--transport MODE]...     several listeners in one process
  {PROGRAM} stdio | http | sse | api        one listener; without a command, the one that
                                            server.transport_type in config.json names
  {PROGRAM} add INSTANCE PROVIDER [DISPLAY] bring data/PROVIDER/mcp_settings.json into shape
  {PROGRAM} check                           look for mistakes in config.json and data/
  {PROGRAM} status [--json]                 show the instances of a running router
  {PROGRAM} logs [-f]                       print its log while it is written
  {PROGRAM} systemd [--user] [--socket]     print the units of systemd for this installation
  {PROGRAM} help

Options, before or after the command:
  --transport MODE   with serve and systemd: stdio, http, sse or api; may be repeated
  -c, --config FILE  instead of $MCP_ROUTER_CONFIG, ./config.json or the user's config folder
  --data DIR         the folder of providers, instead of data/ beside the config file
  -l, --level LEVEL  {", ".join(LEVELS)}
  --host HOST        where http, sse and api listen
  --port PORT        for the one of http, sse and api that listens; 0 is any free port
  --view NAME        with serve, stdio, http and sse: what clients see by default, in place of
                     server.view: router, direct, or the name of a profile or of an instance
  --url URL          with status and logs: the router's REST API; else where config.json has it
  --token TOKEN      with status and logs: the token for it; else $MCP_ROUTER_TOKEN
  --json             with status: as JSON
  --user             with systemd: a unit for your own service manager, not the machine's
  --socket           with systemd: the socket unit, with which restarts refuse no connection
  -v, --version      print the version
  -h, --help         print this

Examples:
  {PROGRAM} serve --transport http --transport sse
  {PROGRAM} stdio --config ~/mcp/config.json
"""

COMMANDS: Final = ("serve", *MODES, "add", "check", "status", "logs", "systemd", "help")

_ASK_A_ROUTER: Final = ("status", "logs")
_OPTION_COMMANDS: Final[dict[str, tuple[str | None, ...]]] = {
    "view": (None, "serve", "stdio", "http", "sse", "check", "systemd"),
    "url": _ASK_A_ROUTER,
    "token": _ASK_A_ROUTER,
    "json": ("status",),
    "follow": ("logs",),
    "user": ("systemd",),
    "socket": ("systemd",),
}
"""Options that only some commands have, and those commands; None is for no command at all."""


class UsageError(Exception):
    """Arguments that cannot be understood; the text is for a person."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # Without it, argparse prints a usage of its own and exits.
        raise UsageError(message)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the arguments; options may stand before, after and between the words.

    Returns:
        The options by their long names, `command` (None for none) and `operands`.

    Raises:
        UsageError: they cannot be understood, or do not go together.
    """
    parser = _Parser(prog=PROGRAM, add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--transport", action="append", choices=MODES, default=[])
    parser.add_argument("-c", "--config")
    parser.add_argument("--data")
    parser.add_argument("-l", "--level", "--log-level", type=str.upper, choices=LEVELS)
    parser.add_argument("--host", type=_host)
    parser.add_argument("--port", type=_port)
    parser.add_argument("--view")
    parser.add_argument("--url")
    parser.add_argument("--token")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("-f", "--follow", action="store_true")
    parser.add_argument("--user", action="store_true")
    parser.add_argument("--socket", action="store_true")
    parser.add_argument("-v", "--version", action="store_true")
    parser.add_argument("-h", "--help", action="store_true")
    try:
        arguments = parser.parse_intermixed_args(argv)
    except argparse.ArgumentError as exc:
        raise UsageError(str(exc)) from None
    arguments.command, *arguments.operands = arguments.words or [None]
    if not (arguments.help or arguments.version):
        _check_combination(arguments)
    return arguments


def _host(text: str) -> str:
    if not text or any(character.isspace() or character in "/@" for character in text):
        raise argparse.ArgumentTypeError(f"expected a host such as 127.0.0.1, got {text!r}")
    return text


def _port(text: str) -> int:
    if text.isascii() and text.isdecimal() and int(text[:6]) <= 65535:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, got {text!r}")


def _check_combination(arguments: argparse.Namespace) -> None:
    command, operands = arguments.command, arguments.operands
    if command is not None and command not in COMMANDS:
        raise UsageError(f"there is no command {command!r}; there are {', '.join(COMMANDS)}")
    if command == "add":
        if len(operands) not in (2, 3):
            raise UsageError("add takes an instance, a provider and perhaps a display name")
    elif operands and command != "help":
        raise UsageError(f"unexpected {operands[0]!r} after {command}")
    if arguments.transport and command not in (None, "serve", "systemd"):
        raise UsageError("--transport is for serve and systemd")
    for option, commands in _OPTION_COMMANDS.items():
        if getattr(arguments, option) and command not in commands:
            raise UsageError(f"--{option} is for {_listed(commands)}")


def _listed(commands: Sequence[str | None]) -> str:
    *others, last = [command for command in commands if command is not None]
    return f"{', '.join(others)} and {last}" if others else last


def options_of(arguments: argparse.Namespace) -> Options:
    """Return the options that override settings or say where files are."""
    bare_mode = (arguments.command,) if arguments.command in MODES else ()
    return Options(
        modes=(*bare_mode, *arguments.transport),
        config=arguments.config,
        data=arguments.data,
        host=arguments.host,
        port=arguments.port,
        level=arguments.level,
        view=arguments.view,
    )

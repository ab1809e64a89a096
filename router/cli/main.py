"""The program `mcp-router`: carries out one command and returns its exit status.

Exit status: 0 for success and for a stop that was asked for, 1 for an error or for problems that
`check` found, 2 for arguments that cannot be understood. It is 130 for Ctrl+C, and 141 where nobody
reads stdout any more. `router.app.shutdown` has
those of a router that a signal ends.

Invariants: stdout carries what was asked for (help, a version, a status), and of a router that
serves, MCP alone. An error is one readable line for each problem, never a traceback (the log file
has it). Once the settings of a router say `logging.format: "json"`, its errors are JSON as well.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Final

from router.cli.arguments import PROGRAM, UsageError, parse, parser_of, usage
from router.cli.commands import BY_NAME, SERVE
from router.cli.terminal import complain, say
from router.messages.errors import ConfigError
from router.version import VERSION

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

NO_READER: Final = 141
"""128 + SIGPIPE, as shells have it; Windows knows no such signal."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program.

    Args:
        argv: its arguments; those of the process if not given.

    Returns:
        The exit status.
    """
    _fill_standard_descriptors()
    _escape_what_stdout_lacks()
    if "_ARGCOMPLETE" in os.environ:
        # For start-up time: only a shell that completes a command line needs it.
        from router.cli.local.completion_command import complete

        complete()
    try:
        return _run_command(parse(sys.argv[1:] if argv is None else argv))
    except UsageError as exc:
        command = f"{PROGRAM} {exc.command}" if exc.command else PROGRAM
        complain(f"{exc}\nTry '{command} --help'.")
        return 2
    except BrokenPipeError:
        _leave_stdout()
        return NO_READER
    except (ConfigError, OSError) as exc:
        complain(str(exc))
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _run_command(arguments: argparse.Namespace) -> int:
    command = BY_NAME.get(arguments.command or "")
    if arguments.help:
        say(usage() if command is None else parser_of(command).format_help())
        return 0
    if arguments.version:
        say(f"MCP Router v{VERSION}\n")
        return 0
    command = command or SERVE
    try:
        return command.load().run(arguments)
    except ModuleNotFoundError as exc:
        if not (exc.name or "").startswith("router."):
            raise
        # Rooms that not every user needs can be left out of an installation.
        missing = f"is not part of this installation ({exc.name} is missing)"
        raise ConfigError(f"{PROGRAM} {command.name}", missing) from None


def _leave_stdout() -> None:
    """Have what is still to be written go nowhere, since whoever read it is gone (`| head`)."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)


def _fill_standard_descriptors() -> None:
    """Open /dev/null for each of stdin, stdout and stderr that the process was started without.

    A file opened later would get the free number, and with it what is read or written there.
    """
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free descriptor, which is this one


def _escape_what_stdout_lacks() -> None:
    """Have characters that the encoding of stdout lacks escaped, and not be an error."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None and sys.stdout.errors == "strict":
        reconfigure(errors="backslashreplace")

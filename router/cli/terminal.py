"""The terminal of the person who runs a command: what is written to it, and what is asked there.

Invariants: stdout carries what was asked for, stderr what went wrong or goes on; an error is one
readable line for each problem. Where stdout is no terminal, lines have no colour and are not cut.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final, TextIO

from router.logs.journal import is_journal
from router.logs.line_formats import error_lines
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

PROGRAM: Final = "mcp-router"

_TWO_COLUMNS: Final = 60
"""From this width on, a heading and a URL or a command stand beside each other."""

_NOT_A_TERMINAL_COLUMNS: Final = 10_000
"""So wide that nothing is cut or wrapped."""


def say(text: str) -> None:
    """Write to stdout, as it is."""
    _write(sys.stdout, text)


def complain(text: str, log_format: str = "") -> None:
    """Write an error to stderr, each line of it as one; as JSON if that is the log's format."""
    _write(sys.stderr, error_lines(PROGRAM, text, log_format, is_journal=is_journal(os.environ)))


def is_for_a_person(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # it is closed
        return False


def terminal_width() -> int | None:
    """Return the columns of stdout; None where it is no terminal, so that nothing is cut."""
    if not is_for_a_person(sys.stdout):
        return None
    # For start-up time: only commands that lay something out need it.
    from shutil import get_terminal_size

    return get_terminal_size().columns


def console(*, to_stderr: bool = False) -> Console:
    """Return where tables and colours go; `NO_COLOR` and `TERM=dumb` are obeyed by it."""
    # For start-up time: only commands that lay something out need it.
    from rich.console import Console

    stream = sys.stderr if to_stderr else sys.stdout
    width = None if is_for_a_person(stream) else _NOT_A_TERMINAL_COLUMNS
    return Console(stderr=to_stderr, width=width, highlight=False, markup=False, emoji=False)


def print_pairs(out: Console, pairs: Sequence[tuple[str, str]]) -> None:
    """Print headings, each with a text beside it; below it where the terminal is narrow."""
    # For start-up time, as above.
    from rich.text import Text

    width = max(len(heading) for heading, _ in pairs)
    for heading, text in pairs:
        if out.width < _TWO_COLUMNS:
            line = Text.assemble((heading, "dim"), f"\n  {text}")
        else:
            line = Text.assemble((heading.ljust(width), "dim"), f"  {text}")
        out.print(line, soft_wrap=True)


def ask_yes_no(question: str, *, is_yes: bool = False) -> bool:
    """Ask a question on the terminal and return whether the answer is yes.

    Args:
        question: one line, without the choices.
        is_yes: do not ask: `--yes` was given.

    Raises:
        ConfigError: there is nobody to ask.
    """
    if is_yes:
        return True
    if not is_for_a_person(sys.stdin):
        raise ConfigError("stdin", "nobody can be asked, since it is no terminal; give --yes")
    _write(sys.stderr, f"{question} [y/N] ")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def ask_hidden(question: str, *, way_out: str = "") -> str:
    """Ask for a secret on the terminal, without showing what is typed; return it.

    Args:
        question: stands before the place where it is typed.
        way_out: what can be done where the terminal would show it.

    Raises:
        ConfigError: the terminal would show it, or the answer is none or no text.
    """
    # For start-up time: few commands ask.
    import getpass
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            return getpass.getpass(question)
        except getpass.GetPassWarning:
            problem = f"this terminal would show what is typed{way_out}"
        except EOFError:
            problem = "there is no answer"
        except UnicodeDecodeError:
            problem = "the answer is not UTF-8 text"
    raise ConfigError("stdin", problem)


def _write(stream: TextIO | None, text: str) -> None:
    # Python has None for a stream it was started without, although typeshed does not say so.
    if stream is not None:
        stream.write(text)
        stream.flush()

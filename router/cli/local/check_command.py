"""`mcp-router check`: prints the mistakes in `config.json` and `data/`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from router.cli.arguments import add_serving_options, options_of
from router.cli.local.check import check
from router.cli.terminal import complain, say
from router.config.options import locate
from router.logs.record_text import one_line

if TYPE_CHECKING:
    import argparse

DESCRIPTION: Final = """\
Find every mistake in config.json and data/. Nothing is started and nothing is written. The exit
status is 1 if there are problems."""

EXAMPLES: Final = """
mcp-router check
mcp-router check -c /etc/mcp-router/config.json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that change what is checked."""
    add_serving_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the problems to stderr, and profiles, notes and a summary to stdout."""
    options = options_of(arguments)
    found = check(locate(options, os.environ, Path.cwd()), options, os.environ)
    for problem in found.problems:
        complain(problem)
    for line in (*found.profiles, *found.notes, found.summary):
        say(f"{one_line(line)}\n")
    return 1 if found.problems else 0

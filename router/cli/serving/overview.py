"""Shows a person who types `mcp-router` alone what runs, where to point a client, and what to do.

Invariant: nothing is started and nothing is written.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import msgspec
from rich.text import Text

from router.cli.arguments import PROGRAM, options_of
from router.cli.rest_api.local_router import routers_elsewhere
from router.cli.rest_api.rest_client import get
from router.cli.rest_api.running_router import running_router
from router.cli.running.compact_table import compact_table, summary
from router.cli.running.status import status_rows
from router.cli.serving.next_steps import next_steps
from router.cli.terminal import console, print_pairs
from router.config.options import with_data_folder
from router.instance_files.reader import load_instances
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    import argparse

    from rich.console import Console

    from router.config.options import Paths
    from router.config.settings import Settings

MOST_ROWS: Final = 100


class _About(msgspec.Struct):
    endpoints: dict[str, str] = {}


def show_overview(arguments: argparse.Namespace, paths: Paths, settings: Settings) -> int:
    """Print the overview to stdout and return the exit status.

    Args:
        arguments: of the command line.
        paths: where its options say the files are.
        settings: those of config.json.
    """
    out = console()
    arguments.url = arguments.token = None
    try:
        api = running_router(arguments)
        rows = status_rows(api)
        about = msgspec.json.decode(get(api, "/"), type=_About)
    except (ConfigError, msgspec.MsgspecError):
        paths = with_data_folder(paths, options_of(arguments), settings.watcher.watch_path)
        _say_how_to_start(out, paths)
        return 0
    out.print(Text(f"MCP Router runs for {paths.config}\n"))
    out.print(compact_table(rows, out.width, MOST_ROWS))
    out.print(Text(f"\n{summary(rows)}\n", "bold"))
    print_pairs(out, next_steps(about.endpoints, [row.state for row in rows]))
    return 0


def _say_how_to_start(out: Console, paths: Paths) -> None:
    if not paths.config.exists():
        out.print(Text(f"No router runs, and there is no {paths.config} yet.\n"))
        steps = [
            ("Begin", f"{PROGRAM} init"),
            ("Take servers over", f"{PROGRAM} import"),
            ("Serve", f"{PROGRAM} serve --transport http"),
        ]
    else:
        specs = load_instances(paths.data, os.environ).specs
        count = f"{len(specs)} server{'' if len(specs) == 1 else 's'}"
        out.print(Text(f"No router runs for {paths.config}, which has {count}.\n"))
        steps = [
            ("Serve", f"{PROGRAM} serve --transport http"),
            ("Serve for good", f"{PROGRAM} systemd --user"),
            ("Find mistakes", f"{PROGRAM} check"),
        ]
        if not specs:
            steps.insert(0, ("Take servers over", f"{PROGRAM} import"))
    steps += [("One that runs", f"{PROGRAM} {option}") for option in routers_elsewhere()]
    steps += [("MCP on stdin", f"{PROGRAM} stdio"), ("All commands", f"{PROGRAM} help")]
    print_pairs(out, steps)

"""`mcp-router status --watch`: a table of the instances that is always up to date."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.live import Live
from rich.text import Text

from router.cli.running.compact_table import compact_table, summary
from router.cli.running.status import status_rows
from router.cli.terminal import console, is_for_a_person
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from router.cli.rest_api.rest_client import RestApi

EVERY_S: Final = 1.0

ROWS_KEPT_FREE: Final = 4
"""Rows below the table: an empty one, the summary, and the line of the cursor."""


def watch(api: RestApi) -> int:
    """Show the instances until Ctrl+C. A router that is away for a while is said, and asked again.

    Raises:
        ConfigError: stdout is no terminal, or the router cannot be reached in the beginning.
        KeyboardInterrupt: the user pressed Ctrl+C.
    """
    if not is_for_a_person(sys.stdout):
        raise ConfigError("--watch", "stdout is no terminal; leave it out, or use --json")
    out = console()
    shown = _shown(api, out)
    with Live(shown, console=out, auto_refresh=False, screen=True) as live:
        while True:
            time.sleep(EVERY_S)
            try:
                shown = _shown(api, out)
            except ConfigError as exc:
                shown = Group(Text(str(exc), "red"))
            live.update(shown, refresh=True)


def _shown(api: RestApi, out: Console) -> Group:
    rows = status_rows(api)
    room = max(1, out.height - ROWS_KEPT_FREE)
    return Group(compact_table(rows, out.width, room), Text(f"\n{summary(rows)}", "bold"))

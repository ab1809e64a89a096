"""Says how a router is started, for those who look for one and find none."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from router.cli.arguments import PROGRAM

if TYPE_CHECKING:
    from pathlib import Path


def how_to_serve(config: Path) -> str:
    """Return the command line that starts a router for a `config.json`."""
    return f"{PROGRAM} serve --transport http -c {shlex.quote(str(config))}"

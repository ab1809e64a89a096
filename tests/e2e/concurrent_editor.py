"""Adds instances to a data folder, one after the other, beside other processes that do the same.

Run as `python -m tests.e2e.concurrent_editor DATA PREFIX`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from router.instance_files.edits import apply_change
from router.messages.commands import AddInstance

EDITS: Final = 25


def names(prefix: str) -> list[str]:
    """Return the names of the instances that this script adds."""
    return [f"{prefix}{number}" for number in range(EDITS)]


def main() -> None:
    """Add the instances."""
    for name in names(sys.argv[2]):
        entry = {"name": name, "command": "x"}
        apply_change(Path(sys.argv[1]), AddInstance("shared", entry))


if __name__ == "__main__":
    main()

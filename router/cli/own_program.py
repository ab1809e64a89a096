"""Finds the path of this program, for files that start it later from another folder."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Final

PROGRAM: Final = "mcp-router"


def program_path() -> str | None:
    """Return the absolute path of this program as it was called, or as it is found."""
    called = Path(sys.argv[0])
    if called.name == PROGRAM and called.exists():
        return os.path.abspath(called)
    beside = Path(sys.executable).with_name(PROGRAM)
    return str(beside) if beside.exists() else shutil.which(PROGRAM)


def program_words() -> tuple[str, ...]:
    """Return the beginning of a command that starts this program, with an absolute path."""
    path = program_path()
    return (path,) if path else (os.path.abspath(sys.executable), "-m", "router")

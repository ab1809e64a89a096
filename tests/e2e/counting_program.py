"""The router, and on SIGUSR1 it writes the number of its Trio tasks to a file.

Run as `python -P counting_program.py FILE WORDS…`; the words are those of `python -m router`. Only
the handler is added: a count from outside the process would have to guess what its memory means.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import trio.lowlevel

from router.cli.main import main


def _write(file: Path) -> None:
    half = file.with_suffix(".half")
    half.write_text(str(trio.lowlevel.current_statistics().tasks_living))
    half.rename(file)


if __name__ == "__main__":
    file = Path(sys.argv.pop(1))
    signal.signal(signal.SIGUSR1, lambda *_: _write(file))
    sys.exit(main())

"""Runs a command at a terminal of its own, as a person would, and reads what it shows."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
import time
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

LIMIT_S: Final = 60.0

CONTROL: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]")
"""Sequences that move the cursor or change the colour (ECMA-48 section 5.4)."""


def _obey_terminal() -> None:
    """Take stdin as the terminal whose Ctrl+C counts, also where who runs the tests ignores it."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Terminal:
    """A terminal in which one command runs; a context manager that ends it.

    Args:
        command: the command line.
        columns: the width.
        env: added to the environment; None takes a variable away.
    """

    def __init__(self, command: Sequence[str], columns: int = 80, **env: str | None) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        wanted = {**os.environ, "TERM": "xterm-256color", "COLUMNS": None, "NO_COLOR": None, **env}
        self.popen = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=_obey_terminal,
            env={name: value for name, value in wanted.items() if value is not None},
        )
        os.close(slave)
        self._shown = b""
        self._ended = False
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # EIO is the end on Linux
            while data := os.read(self._master, 1 << 16):
                with self._news:
                    self._shown += data
                    self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    @property
    def raw(self) -> str:
        """Everything that was written to the terminal."""
        return self._shown.decode(errors="replace")

    @property
    def text(self) -> str:
        """The same without control sequences."""
        return CONTROL.sub("", self.raw).replace("\r\n", "\n")

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Return the first match in `text`, past or to come.

        Raises:
            AssertionError: the command ended, or `LIMIT_S` went by, without it.
        """
        ends_at_s = time.monotonic() + LIMIT_S
        with self._news:
            while True:
                if found := re.search(pattern, self.text):
                    return found
                left_s = ends_at_s - time.monotonic()
                if self._ended or left_s <= 0:
                    raise AssertionError(f"No {pattern!r} in:\n{self.text}")
                self._news.wait(left_s)

    def type(self, keys: str) -> None:
        """Type these keys; `\\x03` is Ctrl+C."""
        os.write(self._master, keys.encode())

    def wait(self) -> int:
        """Wait until the command has ended; return its exit status."""
        status = self.popen.wait(LIMIT_S)
        self._reader.join(LIMIT_S)
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.popen.poll() is None:
            self.popen.terminate()
            self.wait()
        os.close(self._master)

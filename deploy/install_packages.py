"""Installs packages with pip, and shows how far it is: an install takes a minute or two.

Usage: install_packages.py REQUIREMENTS, with the Python of the environment. Needs no package.

Invariants: the exit status is pip's. Where pip fails, all that it said is shown.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BAR = 30
"""Characters of the bar."""


def main(requirements: str) -> int:
    """Install the packages of a requirements file; return the exit status."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    command = [*pip, "install", "--progress-bar", "off", "--require-hashes", "-r", requirements]
    count = Path(requirements).read_text().count("==")
    screen = Screen(count, is_terminal=sys.stderr.isatty())
    said: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            screen.take(line)
    screen.end()
    if process.returncode:
        sys.stderr.writelines(said)
    return process.returncode


class Screen:
    """Shows how many packages are there of those that are wanted.

    Args:
        count: the packages that are wanted, or a few more: not every machine needs each.
        is_terminal: draw a bar in one line; else write a line now and then.
    """

    def __init__(self, count: int, *, is_terminal: bool) -> None:
        self._count = count
        self._done = 0
        self._is_terminal = is_terminal

    def take(self, line: str) -> None:
        """Look at a line of pip's."""
        words = line.split()
        # pip says the one of a package that it fetches, the other of a file on this machine.
        if words[:1] in (["Collecting"], ["Processing"]):
            self._done += 1
            self._show(words[1].rpartition("/")[2].partition("=")[0].partition("-")[0])
        elif words[:2] == ["Installing", "collected"]:
            self._show("writing the files")

    def end(self) -> None:
        """Leave the line of the bar."""
        if self._is_terminal and self._done:
            sys.stderr.write("\r\x1b[K")

    def _show(self, what: str) -> None:
        done = min(self._done, self._count)
        if self._is_terminal:
            bar = "#" * (BAR * done // max(1, self._count))
            sys.stderr.write(f"\r\x1b[KInstalling [{bar:{BAR}}] {done}/{self._count} {what}"[:79])
        elif done % 10 == 1 or what.startswith("writing"):
            sys.stderr.write(f"Installing {done} of {self._count}: {what}\n")
        sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

"""A router under test that says how many tasks of Trio it has; see `counting_program`."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.e2e.fault_site import waits_for
from tests.e2e.processes import RouterProcess

if TYPE_CHECKING:
    from tests.e2e.workspace import Workspace

PROGRAM: Final = Path(__file__).with_name("counting_program.py")


class CountedRouter(RouterProcess):
    """A router with streamable HTTP, in the folder of a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._file = workspace.path / "tasks"
        words = ["serve", "--transport", "http", *workspace.words]
        program = [sys.executable, "-P", str(PROGRAM), str(self._file)]
        super().__init__(words, program=program)

    def tasks(self) -> int:
        """Return the number of tasks that live now."""
        self._file.unlink(missing_ok=True)
        self.popen.send_signal(signal.SIGUSR1)
        waits_for(self._file.exists)
        return int(self._file.read_text())

    def tasks_at_most(self, expected: int, limit_s: float = 30.0) -> int:
        """Wait until at most `expected` tasks live; return the count at the end."""
        ends_at_s = time.monotonic() + limit_s
        while (found := self.tasks()) > expected and time.monotonic() < ends_at_s:
            time.sleep(0.05)  # the end of a task has no event to wait for
        return found

"""Sets up logs for a test, with a stderr that can be slow or broken."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from router.config.settings import Logging
from router.logs.logs import Logs

if TYPE_CHECKING:
    from pathlib import Path

    from router.config.values import Level
    from router.logs.early_records import EarlyRecords

FORMAT: Final = "%(levelname)s %(name)s %(message)s"
WAIT_S: Final = 10.0

log = logging.getLogger("mcp_router.test")


class Console:
    """A stderr that can be slow or broken.

    Attributes:
        data: all that was written.
        error: raised by each write, if set.
        bytes_at_once: the most that one write takes.
        may_write: writes wait for it.
        hangs: a write has begun to wait.
        failed: a write has raised.
    """

    def __init__(self) -> None:
        self.data = b""
        self.error: OSError | None = None
        self.bytes_at_once = 1 << 20
        self.may_write = threading.Event()
        self.may_write.set()
        self.hangs = threading.Event()
        self.failed = threading.Event()

    def write(self, data: memoryview) -> int:
        if not self.may_write.is_set():
            self.hangs.set()
            assert self.may_write.wait(WAIT_S)
        if self.error is not None:
            self.failed.set()
            raise self.error
        self.data += data[: self.bytes_at_once]
        return min(len(data), self.bytes_at_once)

    def lines(self) -> list[str]:
        return self.data.decode().splitlines()


class Setup:
    """The logs of one test, and their output."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.console = Console()
        self.logs: Logs | None = None

    def start(
        self, level: Level = "INFO", text: str = FORMAT, early: EarlyRecords | None = None
    ) -> Logs:
        settings = Logging(level=level, format=text)
        self.logs = Logs.from_settings(settings, self.folder, "http", self.console, early)
        return self.logs

    def end(self) -> None:
        if self.logs is not None:
            self.logs.close()
            self.logs = None

    def on_stderr(self) -> list[str]:
        """Everything on stderr, once all is written."""
        self.end()
        return self.console.lines()

    def in_file(self) -> list[str]:
        """Everything in the file, once all is written."""
        self.end()
        return (self.folder / "latest-http.txt").read_text().splitlines()

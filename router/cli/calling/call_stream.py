"""Calls a tool through the REST API, and shows its progress and its log while it runs.

Invariants: progress and log go to stderr; where that is no terminal, there is no progress bar.
Ctrl+C closes the connection, which cancels the call.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import msgspec

from router.cli.rest_api.requests import CALL_S, open_answer, refused
from router.cli.rest_api.rest_client import NO_ROUTER
from router.cli.terminal import console, is_for_a_person
from router.cli.text_columns import safe_line
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from typing import TextIO

    from router.cli.rest_api.rest_client import RestApi

EVENTS: Final = "text/event-stream"
ENDED: Final = "the connection ended before the answer; the call may have been carried out"


class Progress(Protocol):
    """Shows how far a call is."""

    def progressed(self, done: float, total: float | None, message: str) -> None:
        """Take a report; `total` is None where it is not known."""
        ...

    def logged(self, level: str, text: str) -> None:
        """Take a message of the server's log."""
        ...


def call(api: RestApi, body: dict[str, Any], progress: Progress) -> bytes:
    """Call a tool and return its result, as it came. Blocks.

    Args:
        api: of the router.
        body: of `POST /api/call`.
        progress: is told what comes before the result.

    Raises:
        ConfigError: the call was refused, failed, or its connection ended.
        KeyboardInterrupt: the user pressed Ctrl+C; the call is cancelled.
    """
    target = "/api/call"
    with open_answer(api, "POST", target, body, timeout_s=CALL_S, accept=EVENTS) as response:
        if not response.getheader("Content-Type", "").startswith(EVENTS):
            return response.read()  # an older router
        for kind, data in events_in(response):
            if kind == "result":
                return data
            if kind == "error":
                status = msgspec.json.decode(data, type=_Status).status
                raise refused(api, status, data)
            _tell(progress, kind, data)
    raise ConfigError(api.place, ENDED)


class _Status(msgspec.Struct):
    status: int = 0


def events_in(lines: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield kind and data of each event (WHATWG HTML, Server-sent events)."""
    kind, data = "message", list[bytes]()
    for line in lines:
        name, _, value = line.rstrip(b"\r\n").partition(b":")
        value = value.removeprefix(b" ")
        if not line.strip():
            if data:
                yield kind, b"\n".join(data)
            kind, data = "message", []
        elif name == b"event":
            kind = value.decode("utf-8", "replace")
        elif name == b"data":
            data.append(value)


def _tell(progress: Progress, kind: str, data: bytes) -> None:
    try:
        found: Any = msgspec.json.decode(data)
    except msgspec.DecodeError:
        raise ConfigError("POST /api/call", NO_ROUTER) from None
    members = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    if kind == "progress":
        total, message = members.get("total"), members.get("message")
        progress.progressed(
            _number(members.get("progress")) or 0.0,
            _number(total),
            safe_line(message) if isinstance(message, str) else "",
        )
    elif kind == "log":
        text = members.get("data")
        said = text if isinstance(text, str) else msgspec.json.encode(text).decode()
        progress.logged(safe_line(str(members.get("level", ""))), safe_line(said))


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None


@contextmanager
def shown_progress(title: str, stream: TextIO | None) -> Generator[Progress]:
    """Show a bar on stderr if it is a terminal, from the first report until the end.

    Args:
        title: stands before the bar.
        stream: stderr.
    """
    if not is_for_a_person(stream):
        yield LogLines(stream)
        return
    # For start-up time: only calls on a terminal need it.
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn())
    bars = Bars(*columns, console=console(to_stderr=True), transient=True)
    try:
        yield _Bar(bars, title)
    finally:
        bars.stop()


class LogLines:
    """Writes the log of a call as lines, and no progress."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def progressed(self, done: float, total: float | None, message: str) -> None:
        """Do nothing: a file has no use for it."""

    def logged(self, level: str, text: str) -> None:
        """Write a line."""
        if self._stream is not None:
            self._stream.write(f"{level}: {text}\n")


class _Bar:
    """One bar; it is there from the first report on."""

    def __init__(self, bars: Any, title: str) -> None:
        self._bars, self._title = bars, title
        self._task: Any = None

    def progressed(self, done: float, total: float | None, message: str) -> None:
        if self._task is None:
            self._bars.start()
            self._task = self._bars.add_task(self._title, total=total)
        text = f"{self._title}: {message}" if message else self._title
        self._bars.update(self._task, completed=done, total=total, description=text)

    def logged(self, level: str, text: str) -> None:
        self._bars.console.print(f"{level}: {text}")

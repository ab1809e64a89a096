"""Reads server-sent events from the bytes of an event stream (WHATWG HTML, section 9.2). No I/O.

Invariant: an event is returned once its empty line has come. So what a stream breaks off in is no
event.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

EVENT_LIMIT_BYTES: Final = 64 * 1024 * 1024

_LINE_END: Final = re.compile(rb"\r\n|\n|\r(?!\Z)")
"""A `\\r` at the very end may be half of a line end, so it waits for the next bytes."""


class Event(Struct, frozen=True):
    """An event.

    Attributes:
        id: of this event, or of the last one before that had an id; empty without one.
        data: the lines of its data, joined by newlines.
        kind: `message` unless it says another.
    """

    id: str
    data: bytes
    kind: str = "message"


class TooLarge(Exception):
    """An event is larger than `EVENT_LIMIT_BYTES`."""


class EventReader:
    """Turns bytes into events.

    Attributes:
        last_id: the id of the last event that had one, from which a stream can be resumed.
        retry_ms: how long to wait before that, if the stream says so.
    """

    def __init__(self) -> None:
        self.last_id = ""
        self.retry_ms: int | None = None
        self._rest: list[bytes] = []
        self._rest_bytes = 0
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._kind = "message"

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the events that these bytes complete, without those that have no data.

        Raises:
            TooLarge: an event is too large.
        """
        self._rest.append(chunk)
        self._rest_bytes += len(chunk)
        if self._rest_bytes + self._data_bytes > EVENT_LIMIT_BYTES:
            raise TooLarge
        if b"\n" not in chunk and b"\r" not in chunk:
            return []
        *lines, rest = _LINE_END.split(b"".join(self._rest))
        self._rest, self._rest_bytes = [rest], len(rest)
        return [event for line in lines if (event := self._take(line)) is not None]

    def _take(self, line: bytes) -> Event | None:
        if not line:
            return self._end_of_event()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match name:
            case b"data":
                self._data.append(value)
                self._data_bytes += len(value)
            case b"event":
                self._kind = value.decode(errors="replace")
            case b"id" if b"\0" not in value:
                self.last_id = value.decode("latin-1")
            case b"retry" if value.isdigit() and len(value) < 10:
                self.retry_ms = int(value)
            case _:
                pass  # a comment, or a field that nobody knows
        return None

    def _end_of_event(self) -> Event | None:
        data, kind = b"\n".join(self._data), self._kind
        self._data, self._data_bytes, self._kind = [], 0, "message"
        return Event(self.last_id, data, kind) if data else None

"""Newline-delimited JSON to and from a child process (MCP 2025-11-25, Transports, stdio).

Job: the wire of a `stdio` instance. Neighbours: `process` starts and ends the process, `session`
uses the wire, `frames` reads and writes the lines.

Invariants:

- A line that is no JSON-RPC message is skipped, counted and logged; what follows it is read.
- A message longer than the frame limit ends the wire, and never much more than that is held.
- Whatever ends the wire, the reason is how the process ended, wherever it did.
"""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import attrs
import trio

from transports.connect.stdio import process as processes
from transports.connect.stdio.process import BRIEF, NONE, POLITE, Patience, receive
from transports.connect.stdio.rate_limit import Allowance
from transports.connect.stdio.stderr import beginning
from transports.connect.wire import Received, WireLost
from transports.json_rpc import FrameError, decode, encode_lines, is_batch, split_batch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from router.messages.catalog import Catalog
    from router.messages.frames import Frame
    from router.messages.instance_spec import InstanceSpec
    from transports.connect.stdio.process import Process
    from transports.connect.wire import Wire

log = logging.getLogger("mcp_router.upstream")

FRAME_LIMIT_BYTES: Final = 16 * 1024 * 1024
"""The longest message: beyond any image or file a tool returns, and small against memory."""

SHOWN_BYTES: Final = 120
"""How much of a skipped line is logged: enough to recognise it."""

WARNINGS_AT_ONCE: Final = 5
WARNINGS_PER_S: Final = 0.1
"""Skipped lines that are logged; the others are counted in the next that is."""


@asynccontextmanager
async def connect_stdio(
    spec: InstanceSpec,
    *,
    frame_limit_bytes: int = FRAME_LIMIT_BYTES,
    patience: Patience = POLITE,
) -> AsyncGenerator[Wire]:
    """Start the process of an instance; its wire, until this is left.

    Args:
        spec: an instance of type `stdio`.
        frame_limit_bytes: a longer message ends the wire.
        patience: how long the process may take to end when nothing is wrong.

    Resource handling:
        Leaving ends the process and everything it started: politely, by default within 10.5 s,
        when nothing is wrong; within 1.5 s where an error leads out of it; at once where a
        cancellation does.

    Raises:
        WireLost: the process cannot be started.
        ExceptionGroup: the errors of the body (this holds a nursery).
    """
    process = await processes.start(spec)
    granted = NONE
    async with trio.open_nursery() as nursery:
        process.start_watching(nursery)
        try:
            yield StdioWire(spec.name, process, frame_limit_bytes)
            granted = patience
        except Exception:
            granted = BRIEF
            raise
        finally:
            with trio.move_on_after(granted.stop_limit_s + 1.0, shield=True):
                await process.stop(granted)
            nursery.cancel_scope.cancel("the process has been stopped")


class StdioWire:
    """Frames as lines on the standard streams of a process."""

    def __init__(self, name: str, process: Process, frame_limit_bytes: int) -> None:
        self._process = process
        self._lines = LineSplitter(frame_limit_bytes)
        self._skipped = SkippedLines(name)

    async def send(self, frames: Sequence[Frame]) -> None:
        """Write all frames in one go.

        Raises:
            WireLost: the process does not read any more.
        """
        try:
            await self._process.stdin.send_all(encode_lines(frames))
        except trio.BrokenResourceError:
            raise WireLost(await self._process.why("closed its stdin")) from None

    async def receive(self) -> Sequence[Received]:
        """The frames of the next chunk that completes any.

        Raises:
            WireLost: the process has ended, closed its stdout, or sent too long a message.
        """
        while True:
            received = self._decode(await self._receive_lines())
            if received:
                return received

    def agreed(self, revision: str) -> None:
        """This protocol revision is spoken: nothing changes on this wire."""

    def listed(self, catalog: Catalog) -> None:
        """The upstream offers this: nothing changes on this wire."""

    async def _receive_lines(self) -> list[bytes]:
        chunk = await receive(self._process.stdout)
        if not chunk:
            raise WireLost(await self._process.why("closed its stdout"))
        return self._lines.feed(chunk)

    def _decode(self, lines: list[bytes]) -> list[Received]:
        received: list[Received] = []
        for line in lines:
            try:
                if line[:1] == b"{":
                    received.append(Received(decode(line)))
                else:
                    received += self._decode_unusual(line)
            except FrameError as error:
                self._skipped.note(line, error, trio.current_time())
        return received

    def _decode_unusual(self, line: bytes) -> list[Received]:
        """A line that does not begin like a message: blank, indented, a batch, or garbage."""
        if not line.strip():
            return []
        if not is_batch(line):
            return [Received(decode(line))]
        received: list[Received] = []
        for member in split_batch(line):
            try:
                received.append(Received(decode(member)))
            except FrameError as error:
                self._skipped.note(bytes(member), error, trio.current_time())
        return received


@attrs.define
class LineSplitter:
    """Chunks of bytes into lines without their ends; holds the beginning of an unfinished one.

    Lines end at `\\n`; a `\\r` before it is left standing, since it is white space in JSON. A
    chunk may end anywhere, within a UTF-8 sequence too.
    """

    limit_bytes: int
    _parts: list[bytes] = attrs.field(init=False, factory=list[bytes])
    _held_bytes: int = attrs.field(init=False, default=0)

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that this chunk completes.

        Raises:
            WireLost: a line is longer than the limit, complete or not.
        """
        *lines, rest = chunk.split(b"\n")
        if lines and self._parts:
            lines[0] = b"".join([*self._parts, lines[0]])
            self._parts.clear()
            self._held_bytes = 0
        if rest:
            self._parts.append(rest)
            self._held_bytes += len(rest)
        if self._held_bytes > self.limit_bytes or any(len(x) > self.limit_bytes for x in lines):
            raise WireLost(f"sent a message longer than the limit of {self.limit_bytes} bytes")
        return lines


@attrs.define
class SkippedLines:
    """The lines that were no messages, and their log.

    Attributes:
        name: the instance.
        count: how many there were.
    """

    name: str
    count: int = 0
    _allowance: Allowance = attrs.field(
        init=False, factory=lambda: Allowance(WARNINGS_AT_ONCE, WARNINGS_PER_S)
    )

    def note(self, line: bytes, error: FrameError, now_s: float) -> None:
        """Count a line, and log it unless too many were logged lately."""
        self.count += 1
        if self._allowance.take(1, now_s):
            log.warning(
                "%s: skipped a line that is no JSON-RPC message (%d so far): %s: %r",
                self.name,
                self.count,
                error,
                beginning(line, SHOWN_BYTES),
            )

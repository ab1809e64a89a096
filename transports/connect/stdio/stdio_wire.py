"""Newline-delimited JSON to and from a child process (MCP 2025-11-25, Transports, stdio).

Implements the wire of a `stdio` instance on top of `process`, which starts and ends the process.

Invariants:

- A line that is no JSON-RPC message is skipped, counted and logged. The lines after it are read.
- A message longer than the frame limit ends the wire. No more than one such message is held.
- If the process has ended, its end is the reason for the loss, whichever stream broke first.
"""

from __future__ import annotations

import logging
import math
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

import trio
from msgspec import Struct, field

from router.messages.observability.log_fields import about
from transports.connect.stdio.launching.launch import Launcher
from transports.connect.stdio.process import (
    FULL_GRACE,
    NO_GRACE,
    SHORT_GRACE,
    GracePeriod,
    receive,
    start_process,
)
from transports.connect.stdio.rate_limit import TokenBucket
from transports.connect.stdio.repeated_lines import SaidLines
from transports.connect.stdio.stderr import cut_between_words
from transports.connect.wire import Received, WireLost
from transports.json_rpc import FrameError, decode, encode_lines, is_batch, split_batch
from transports.lines import LineSplitter

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from router.messages.catalog import Catalog
    from router.messages.frames import Frame
    from router.messages.instances.instance_spec import InstanceSpec
    from transports.connect.stdio.process import Process
    from transports.connect.stdio.stderr import StderrLog
    from transports.connect.wire import Wire

log = logging.getLogger("mcp_router.upstream")

FRAME_LIMIT_BYTES: Final = 16 * 1024 * 1024
"""The longest message: more than any image or file that a tool returns, and little memory."""

SHOWN_BYTES: Final = 120
"""Length of a skipped line in the log: enough to recognise it."""

WARNINGS_AT_ONCE: Final = 5
WARNINGS_PER_S: Final = 0.1
"""Only so many skipped lines are logged. Each log line says how many were skipped so far."""


@asynccontextmanager
async def connect_stdio(
    spec: InstanceSpec,
    *,
    launcher: Launcher | None = None,
    said: SaidLines | None = None,
    frame_limit_bytes: int = FRAME_LIMIT_BYTES,
    grace: GracePeriod = FULL_GRACE,
) -> AsyncGenerator[Wire]:
    """Start the process of an instance and yield its wire.

    Args:
        spec: an instance of type `stdio`.
        launcher: starts the process; None for one that serves this wire alone.
        said: the lines that earlier processes of the instance have said on stderr.
        frame_limit_bytes: a longer message ends the wire.
        grace: time for the process to end after a normal exit of the context.

    Resource handling:
        Leaving the context ends the process and everything that it started. A normal exit takes
        at most 10.5 s by default, an exception at most 1.5 s. A cancellation kills at once.

    Raises:
        WireLost: the process cannot be started.
        ExceptionGroup: the errors of the body, because this context holds a nursery.
    """
    granted = NO_GRACE  # of a cancellation; the other two exits allow more below
    async with AsyncExitStack() as stack:
        launcher = launcher or await stack.enter_async_context(Launcher())
        process = await start_process(spec, launcher, SaidLines() if said is None else said)
        nursery = await stack.enter_async_context(trio.open_nursery())
        process.start_watching(nursery)
        try:
            yield StdioWire(spec.name, process, frame_limit_bytes)
            granted = grace
        except Exception:
            # A session makes an error of being cancelled while it starts.
            is_cancelled = trio.current_effective_deadline() == -math.inf
            granted = NO_GRACE if is_cancelled else SHORT_GRACE
            raise
        finally:
            # `stop` has limits of its own. This one only keeps the shield from lasting for ever.
            with trio.move_on_after(granted.stop_limit_s + 1.0, shield=True):
                await process.stop(granted)
            nursery.cancel_scope.cancel("the process has been stopped")


class StdioWire:
    """Sends and receives frames as lines on the standard streams of a process."""

    def __init__(self, name: str, process: Process, frame_limit_bytes: int) -> None:
        self._process = process
        self._lines = LineSplitter(frame_limit_bytes)
        self._skipped = SkippedLines(name, process.stderr_log)
        self._unsent: bytes | memoryview = b""

    def send_nowait(self, frames: Sequence[Frame]) -> bool:
        """Write all frames in one go, as far as the process has room; see `Wire.send_nowait`."""
        data = encode_lines(frames)
        written_bytes = self._process.write_nowait(data)
        if written_bytes == len(data):
            return True
        self._unsent = memoryview(data)[written_bytes:]
        return False

    async def send(self, frames: Sequence[Frame]) -> None:
        """Write what is left, then all frames in one go.

        Raises:
            WireLost: the process has closed its stdin or has ended.
        """
        try:
            await self._process.stdin.send_all(self._unsent)
            self._unsent = b""
            if frames:
                await self._process.stdin.send_all(encode_lines(frames))
        except trio.BrokenResourceError:
            raise await self._process.lost("closed its stdin") from None

    async def receive(self) -> Sequence[Received]:
        """Return the frames of the next chunk that completes at least one.

        Raises:
            WireLost: the process has ended, closed its stdout, or sent too long a message.
        """
        while True:
            received = self._decode(await self._receive_lines())
            if received:
                return received

    def set_probing(self, is_probing: bool) -> None:
        """Have what the process says of the probe logged as that."""
        probe = self._process.stderr_log.probe
        if is_probing:
            probe.begin()
        else:
            probe.end(trio.current_time())

    def set_revision(self, revision: str) -> None:
        """Note that the probe is over; lines are the same in every revision."""
        self.set_probing(False)

    def set_catalog(self, catalog: Catalog) -> None:
        """Note that the process works; no line depends on the catalog."""
        self._process.stderr_log.is_ready = True

    def last_words(self) -> str:
        """Return what the process said last on stderr."""
        return self._process.stderr_log.last_words(trio.current_time())

    async def _receive_lines(self) -> list[bytes]:
        chunk = await receive(self._process.stdout)
        if not chunk:
            raise await self._process.lost("closed its stdout")
        fed = self._lines.feed(chunk)
        lines = [line for line in fed if line is not None]
        if len(lines) < len(fed):
            limit_bytes = self._lines.limit_bytes
            raise WireLost(f"sent a message longer than the limit of {limit_bytes} bytes")
        return lines

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
        """Decode a line that does not begin with `{`: an indented message, a batch, or garbage."""
        if not is_batch(line):
            return [Received(decode(line))]
        received: list[Received] = []
        for member in split_batch(line):
            try:
                received.append(Received(decode(member)))
            except FrameError as error:
                self._skipped.note(bytes(member), error, trio.current_time())
        return received


class SkippedLines(Struct):
    """Counts the lines that are no messages, and logs some of them.

    Attributes:
        name: the name of the instance.
        stderr_log: learns them, since they may be the reason why the process ends; and knows those
            that earlier processes of the instance have said.
        count: the number of lines so far.
    """

    name: str
    stderr_log: StderrLog
    count: int = 0
    _bucket: TokenBucket = field(
        default_factory=lambda: TokenBucket(WARNINGS_AT_ONCE, WARNINGS_PER_S)
    )

    def note(self, line: bytes, error: FrameError, now_s: float) -> None:
        """Count a line, and log it unless it is old news or too many were logged lately.

        Args:
            line: the whole line, or the member of a batch.
            error: why it is no message.
            now_s: monotonic seconds.
        """
        self.count += 1
        self.stderr_log.note_stray(line)
        if not self._bucket.take(1, now_s):
            return
        shown = cut_between_words(line, SHOWN_BYTES)
        if not self.stderr_log.said.is_repetition(f"stdout: {shown!r}", now_s, is_starting=True):
            log.warning(
                "%s: skipped a line that is no JSON-RPC message (%d so far): %s: %r",
                self.name,
                self.count,
                error,
                shown,
                extra=about(self.name),
            )

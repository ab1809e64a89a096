"""Takes records from the dispatch actor, and has them exported in a thread of its own.

Theory of operation: the actor puts records into a bounded queue, which costs it about a
microsecond. The thread imports the SDK, then turns the records into spans and metrics; the SDK's
own threads send these to the collector. Records that come before the SDK is there wait for it.

Invariants:

- Whoever writes a record never waits. A record that finds the queue full is dropped and counted.
- The end of the program waits for the last spans for `CLOSE_TIMEOUT_S`, and no longer.
- What clients and servers have named is exported without the known secrets.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from msgspec.structs import replace

from router.messages.observability.records import CallRecord, SessionRecord
from router.telemetry.tracer import ProcessTracer
from router.telemetry.variables import INSTALL, Variables, read_variables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from router.messages.core_settings import RecordReason
    from router.messages.observability.records import Record
    from router.telemetry.variables import Signal

log = logging.getLogger("mcp_router.telemetry")

QUEUE_RECORDS: Final = 10_000
"""Records that may wait: the calls of the first second, while the SDK is imported."""

GATHER_S: Final = 0.2
"""Time in which records gather once one is there, so that a busy router does not wake the thread
for each call. The SDK itself sends every 5 s."""

_OF_SDK: Final = ("OTEL_BSP_", "OTEL_METRIC_EXPORT_")

CLOSE_TIMEOUT_S: Final = 2.0
"""How long the end of the program waits for the last spans."""

Entry: TypeAlias = tuple["CallRecord | SessionRecord", int]
"""A record, and the nanosecond of the epoch at which it was written."""


class Export(Protocol):
    """`otlp.OtlpExport`, as it is used here."""

    def take_call(self, record: CallRecord, ended_ns: int, /) -> None: ...

    def take_session(self, record: SessionRecord, at_ns: int, /) -> None: ...

    def shut_down(self) -> None: ...


def _otlp_export(variables: Variables) -> Export:
    # For start-up time: this takes 200 ms.
    from router.telemetry.otlp import OtlpExport

    return OtlpExport(variables)


class Telemetry:
    """The export of traces and metrics, if it is asked for.

    Attributes:
        signals: what is exported; empty for nothing, and then nothing else here has an effect.
        tracer: gives calls their place in a trace.
        secrets: the values that no log may show.
    """

    def __init__(
        self,
        variables: Variables,
        open_export: Callable[[Variables], Export] = _otlp_export,
        mask: Callable[[str], str] = str,
    ) -> None:
        self.tracer = ProcessTracer(variables.sampling)
        self._variables = variables
        self._open_export = open_export
        self._mask = mask
        self._queue: queue.SimpleQueue[Entry | None] = queue.SimpleQueue()  # None is the end
        self._put = self._taken = self._dropped = 0
        self._is_over = False
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    @classmethod
    def from_environ(
        cls, environ: Mapping[str, str], mask: Callable[[str], str] = str
    ) -> Telemetry:
        """Return the export that these variables ask for; what is wrong with them is logged.

        Args:
            environ: the router's environment.
            mask: returns a text without the secrets that are known.
        """
        variables = read_variables(environ)
        for problem in variables.problems:
            log.warning("%s", problem)
        if variables.signals and not is_installed():
            asked = ", ".join(variables.asked_by)
            log.warning(
                "%s: OpenTelemetry is not installed, so nothing is exported; to install it: %s",
                asked,
                INSTALL,
            )
            variables = Variables(frozenset(), secrets=variables.secrets)
        return cls(variables, mask=mask)

    @property
    def signals(self) -> frozenset[Signal]:
        """The signals that are exported."""
        return self._variables.signals

    @property
    def record_reasons(self) -> frozenset[RecordReason]:
        """The reasons for which the core makes records: with places in traces, or without."""
        return self.signals

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values that no log may show."""
        return self._variables.secrets

    def write(self, record: Record) -> None:
        """Queue a record, or drop and count it; called by one thread."""
        if self._is_over or not isinstance(record, CallRecord | SessionRecord):
            return
        if self._put - self._taken >= QUEUE_RECORDS:
            self._dropped += 1
            return
        self._put += 1
        self._queue.put((record, time.time_ns()))

    def start(self) -> None:
        """Begin to export."""
        if self.signals and self._thread is None:
            places = sorted(f"{name} to {place}" for name, place in self._variables.places.items())
            log.info("OpenTelemetry: exports %s", " and ".join(places))
            # A daemon: a collector that hangs must not keep the process alive.
            self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Export what is still waiting, within `CLOSE_TIMEOUT_S`, and export no more."""
        if not self.signals:
            return
        self.start()  # A router may end before its export has begun.
        self._queue.put(None)
        self._ending.set()
        assert self._thread is not None, "it was started"
        self._thread.join(CLOSE_TIMEOUT_S)
        if self._thread.is_alive():
            log.warning(
                "OpenTelemetry: the collector has not taken the last of it within %g s",
                CLOSE_TIMEOUT_S,
            )

    # --- In the thread ---

    def _run(self) -> None:
        try:
            export = self._open_export(self._variables)
        except Exception as exc:  # noqa: BLE001 - the SDK refuses variables with errors of any kind
            # No server is told of a parent that nobody will ever see.
            self.tracer.is_on, self._is_over = False, True
            why = " ".join(str(exc).split())
            log.warning(
                "OpenTelemetry cannot be set up, so nothing is exported: %s%s", why, _read_by_sdk()
            )
            return
        is_told = False
        while self._export_batch(export):
            if self._dropped and not is_told:
                is_told = True
                log.warning("OpenTelemetry: calls are not exported, and counted: too many at once")
            self._ending.wait(GATHER_S)
        export.shut_down()
        if self._dropped:
            log.warning("OpenTelemetry: %d calls were not exported", self._dropped)

    def _export_batch(self, export: Export) -> bool:
        """Wait for a record, and export all that are there; return False after the last."""
        entry = self._queue.get()
        try:
            while entry is not None:
                self._taken += 1
                self._take(export, *entry)
                entry = self._queue.get_nowait()
        except queue.Empty:
            return True
        return False

    def _take(self, export: Export, record: CallRecord | SessionRecord, at_ns: int) -> None:
        try:
            if isinstance(record, CallRecord):
                export.take_call(self._masked(record), at_ns)
            else:
                export.take_session(record, at_ns)
        except Exception:
            log.exception("OpenTelemetry: skipped a record")

    def _masked(self, record: CallRecord) -> CallRecord:
        """Return a record without secrets in the texts that clients and servers have chosen."""
        request_id, mask = record.request_id, self._mask
        shown_id = mask(request_id) if isinstance(request_id, str) else request_id
        shown = mask(record.target), mask(record.method), shown_id
        if shown == (record.target, record.method, request_id):
            return record
        target, method, shown_id = shown
        return replace(record, target=target, method=method, request_id=shown_id)


def _read_by_sdk() -> str:
    """Return the variables that the SDK may have refused, which its errors do not name."""
    names = sorted(name for name in os.environ if name.startswith(_OF_SDK))
    return f" (one of {', '.join(names)})" if names else ""


def is_installed() -> bool:
    """Return whether the packages of the extra are there; nothing of the SDK is imported."""
    try:
        return all(
            find_spec(name) is not None
            for name in ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
        )
    except ModuleNotFoundError:
        return False

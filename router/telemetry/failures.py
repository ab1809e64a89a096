"""Says in the log what OpenTelemetry has to say, without repeating it.

An exporter that fails says so for every batch, for as long as its collector is away. Here the
beginning and the end of that are a line each, with the number of what was lost.

Invariant: nothing that the SDK logs gets to the log on another way while `SdkLog` is installed.
"""

from __future__ import annotations

import logging
from typing import Final

log = logging.getLogger("mcp_router.telemetry")

SDK: Final = "opentelemetry"
"""The root of its loggers."""

_EXPORTERS: Final = f"{SDK}.exporter"

KEPT_TEMPLATES: Final = 64
"""Kinds of messages that are told apart; the SDK has about that many, and more are dropped."""


class ExportState:
    """The state of the export of one signal. Each method is called by one thread at a time.

    Attributes:
        is_failing: True if the last export failed.
    """

    def __init__(self, what: str, place: str) -> None:
        """Report on an export.

        Args:
            what: the things that are exported, in the plural, such as "spans".
            place: the URL of the collector, without secrets.
        """
        self.is_failing = False
        self._what, self._place = what, place
        self._lost = 0

    def failed(self, lost: int, reason: str) -> None:
        """Note that an export failed, and say it if the one before worked.

        Args:
            lost: the number of things that will not be exported any more.
            reason: empty if it is not known.
        """
        self._lost += lost
        if not self.is_failing:
            self.is_failing = True
            log.warning(
                "OpenTelemetry: %s cannot be exported to %s: %s. That is said once; calls go on",
                self._what,
                self._place,
                reason or "the log of the collector may say why",
            )

    def worked(self) -> None:
        """Note that an export worked, and say it if the one before failed."""
        if self.is_failing:
            self.is_failing = False
            log.warning("OpenTelemetry: %s are exported again%s", self._what, self._loss())
            self._lost = 0

    def ended(self) -> None:
        """Say at the end of the program that the export still fails."""
        if self.is_failing:
            log.warning("OpenTelemetry: %s could not be exported%s", self._what, self._loss())

    def _loss(self) -> str:
        return f"; {self._lost:,} were lost" if self._lost else ""


class SdkLog(logging.Handler):
    """Takes what the SDK logs: each kind of message is logged once, as a line of the router's.

    The first thing that an exporter says in an export is kept as the reason, should that fail. The
    later ones tell how it gave up.

    Attributes:
        is_setting_up: True while no export can fail: exporters say what is wrong with variables.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.is_setting_up = False
        self._seen: set[tuple[str, str]] = set()
        self._reasons: dict[str, str] = {}
        logger = logging.getLogger(SDK)
        self._propagated = logger.propagate
        logger.addHandler(self)
        logger.propagate = False

    def take_reason(self, exporter: str) -> str:
        """Return why the last export failed, as far as the exporter with this logger said it."""
        return self._reasons.pop(exporter, "")

    def emit(self, record: logging.LogRecord) -> None:
        """Take one record."""
        kind = (record.name, str(record.msg))
        if not self.is_setting_up and record.name.startswith(_EXPORTERS):
            if record.name not in self._reasons:
                self._reasons[record.name] = _cause_in(record) or record.getMessage()
        elif kind not in self._seen and len(self._seen) < KEPT_TEMPLATES:
            self._seen.add(kind)
            cause = record.exc_info[1] if record.exc_info else None
            text = record.getMessage() + ("" if cause is None else f" ({cause})")
            log.log(record.levelno, "OpenTelemetry: %s", text)

    def close(self) -> None:
        """Take no more records."""
        logger = logging.getLogger(SDK)
        logger.removeHandler(self)
        logger.propagate = self._propagated
        super().close()


def _cause_in(record: logging.LogRecord) -> str:
    """Return the error in what an exporter logs, in the words of the system; empty without one."""
    arguments = record.args if isinstance(record.args, tuple) else ()
    error = next((one for one in arguments if isinstance(one, BaseException)), None)
    if error is None:
        return ""
    seen = {error}
    while (cause := _cause_of(error)) is not None and cause not in seen:
        seen.add(cause)
        error = cause
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _cause_of(error: BaseException) -> BaseException | None:
    """Return the error behind this one. The libraries under the exporter put it into `args`."""
    inner = getattr(error, "reason", None) or next(
        (one for one in error.args if isinstance(one, BaseException)), None
    )
    if isinstance(inner, BaseException):
        return inner
    return error.__cause__ or error.__context__

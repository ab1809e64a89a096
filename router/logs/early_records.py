"""Holds what is logged before the settings say how to log: nearly nothing, while they are read."""

from __future__ import annotations

import logging
from typing import Self


class EarlyRecords(logging.Handler):
    """A context manager that holds records; whatever nobody took is on stderr when it ends."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Hold a record."""
        self._records.append(record)

    def replay(self, handler: logging.Handler) -> None:
        """Hand everything that its logger still lets through to a handler, and hold no more."""
        logging.getLogger().removeHandler(self)
        records, self._records = self._records, []
        for record in records:
            if logging.getLogger(record.name).isEnabledFor(record.levelno):
                handler.handle(record)

    def __enter__(self) -> Self:
        logging.getLogger().addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        if logging.lastResort is not None:
            self.replay(logging.lastResort)

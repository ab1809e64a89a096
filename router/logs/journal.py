"""Writes for the journal of systemd, where stderr is connected to it.

The journal has a time of its own for each line. It takes a severity from a prefix such as `<4>`,
and removes that prefix (sd-daemon(3); `SyslogLevelPrefix=` in systemd.exec(5)).
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE: Final = "JOURNAL_STREAM"

_PRIORITIES: Final = (
    (logging.CRITICAL, "<2>"),
    (logging.ERROR, "<3>"),
    (logging.WARNING, "<4>"),
    (logging.INFO, "<6>"),
)
"""The least level of `logging` for each priority (syslog(3)); what is lower has `<7>`."""


def is_journal(environment: Mapping[str, str], fd: int = 2) -> bool:
    """Return whether a descriptor is connected to the journal.

    systemd says in `JOURNAL_STREAM` which device and inode the journal's stream has
    (systemd.exec(5)). A descriptor that was redirected since then is another one.
    """
    try:
        status = os.fstat(fd)
    except OSError:
        return False
    return environment.get(VARIABLE) == f"{status.st_dev}:{status.st_ino}"


def with_priority(text: str, level: int) -> str:
    """Return lines with the prefix of their severity, which is a level as in `logging`."""
    prefix = next((prefix for least, prefix in _PRIORITIES if level >= least), "<7>")
    return "".join(f"{prefix}{line}" for line in text.splitlines(keepends=True))

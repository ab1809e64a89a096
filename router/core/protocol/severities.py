"""The severities of log messages, and the one that applies where a client names none."""

from __future__ import annotations

from typing import Final

LOG_LEVELS: Final = {
    "debug": 0,
    "info": 1,
    "notice": 2,
    "warning": 3,
    "error": 4,
    "critical": 5,
    "alert": 6,
    "emergency": 7,
}
"""Severities of `logging/setLevel` (MCP 2025-11-25, Logging; RFC 5424), least severe first."""

DEFAULT_LOG_LEVEL: Final = "info"
"""Applies to a client that never set a level: the specification leaves it to the server."""

"""The phases of a connection."""

from __future__ import annotations

import enum


class Phase(enum.Enum):
    """The phases that a connection goes through, over and over again."""

    IDLE = enum.auto()
    """It is without a request."""
    ASKED = enum.auto()
    """The head of a request has come, and nothing was answered."""
    ANSWERED = enum.auto()
    """The response has begun."""

"""Effects and an event about code that calls tools; see `effects` and `events`. Data only.

Whoever runs code gets the effects in their order, and sends one `CodeEnded` for each `RunCode`,
also after an `EndCode`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from msgspec import Raw

    from router.messages.commands import Principal

MAX_RUNS: Final = 128
"""Runs at a time, those included that wait for their turn."""


class RunCode(Struct, frozen=True):
    """Have code run by a client of its own, which calls tools as the caller would.

    Attributes:
        key: names this run in `EndCode` and `CodeEnded`.
        code: the code.
        timeout_s: the seconds it may take in all, waiting for its turn and for tools included.
        principal: the caller's name and permissions.
        place: the name of the view that the caller asked for; None for the default view.
        address: the IP address of the caller; empty if it has none.
    """

    key: int
    code: str
    timeout_s: float
    principal: Principal
    place: str | None
    address: str


class EndCode(Struct, frozen=True):
    """Have a run ended; its `CodeEnded` may be on its way already.

    Attributes:
        key: the key of its `RunCode`.
        reason: a sentence for whoever still waits.
    """

    key: int
    reason: str


class CodeEnded(Struct, frozen=True):
    """The end of a `RunCode`.

    Attributes:
        key: the key of that effect.
        result: the result of the tool (MCP 2025-11-25, Tools, Tool Result).
    """

    key: int
    result: Raw

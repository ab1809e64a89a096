"""What a Python process imported, from its own report (`python -X importtime`).

Job: parse that report; say which modules a router on stdio has no use for before its first
answer. Neighbours: `starting`, and the end-to-end test that none of those is imported. Pure.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable

NOT_AT_START: Final = frozenset(
    {
        "anyio",
        "asyncio",
        "httpx",
        "httpx2",
        "hypercorn",
        "jsonschema_rs",
        "mcp",
        "mcp_types",
        "opentelemetry",
        "prometheus_client",
        "pydantic",
        "quart",
        "quart_trio",
        "starlette",
        "uvicorn",
    }
)
"""Packages that cost more to import than all the rest of the start together."""

_LINE: Final = re.compile(r"^import time: +(\d+) \| +(\d+) \| ( *)(\S+)$", re.MULTILINE)


@attrs.frozen
class Import:
    """One imported module.

    Attributes:
        name: its full name.
        self_ms: spent in itself.
        total_ms: spent in it and in what it was the first to import.
    """

    name: str
    self_ms: float
    total_ms: float


def imports_in(report: str) -> list[Import]:
    """The imports that a report tells of, in the order they ended; other lines are left out."""
    return [
        Import(name, int(self_us) / 1000, int(total_us) / 1000)
        for self_us, total_us, _, name in _LINE.findall(report)
    ]


def unwanted(imports: Iterable[Import]) -> list[str]:
    """Those modules that belong to `NOT_AT_START`, sorted."""
    return sorted(one.name for one in imports if one.name.partition(".")[0] in NOT_AT_START)


def slowest(imports: Iterable[Import], number: int) -> list[Import]:
    """The modules that took the longest by themselves, longest first."""
    return sorted(imports, key=lambda one: one.self_ms, reverse=True)[:number]

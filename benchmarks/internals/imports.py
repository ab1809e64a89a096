"""Parses the report of `python -X importtime` and finds imports that slow a start without need."""

from __future__ import annotations

import re
from itertools import accumulate
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NOT_AT_START: Final = frozenset(
    {
        "anyio",
        "asyncio",
        "cattrs",
        "httpx",
        "httpx2",
        "hypercorn",
        "jsonschema_rs",
        "keyring",
        "mcp",
        "mcp_types",
        "numpy",
        "onnxruntime",
        "opentelemetry",
        "prometheus_client",
        "pydantic",
        "pydantic_monty",
        "quart",
        "quart_trio",
        "rich",
        "router.code_mode.runs",
        "router.core.pinning",
        "router.core.views.searched",
        "router.search.index",
        "router.search.semantic.loading",
        "router.search.semantic.texts",
        "router.secret_store",
        "sqlite3",
        "starlette",
        "tomlkit",
        "uvicorn",
    }
)
"""Packages and modules that are of no use before the first answer on stdio."""

_LINE: Final = re.compile(r"^import time: +(\d+) \| +(\d+) \| ( *)(\S+)$", re.MULTILINE)


@attrs.frozen
class Import:
    """One imported module.

    Attributes:
        name: its full name.
        self_ms: the time in the module itself.
        total_ms: the time in the module and in all that it was the first to import.
    """

    name: str
    self_ms: float
    total_ms: float


def imports_in(report: str) -> list[Import]:
    """Return the imports in a report, in the order they ended; other lines are skipped."""
    return [
        Import(name, int(self_us) / 1000, int(total_us) / 1000)
        for self_us, total_us, _, name in _LINE.findall(report)
    ]


def unwanted(imports: Iterable[Import]) -> list[str]:
    """Return the modules in `NOT_AT_START` and those of its packages, sorted."""
    return sorted(one.name for one in imports if not NOT_AT_START.isdisjoint(_with_parents(one)))


def _with_parents(one: Import) -> Iterator[str]:
    return accumulate(one.name.split("."), "{}.{}".format)


def slowest(imports: Iterable[Import], number: int) -> list[Import]:
    """Return the modules with the longest time of their own, longest first."""
    return sorted(imports, key=lambda one: one.self_ms, reverse=True)[:number]

"""`mcp-router status`: lays out the instances of a running router as a table or as JSON.

Invariant: text from the router is data: it cannot forge lines or move the cursor.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final

import msgspec

from router.cli.rest_client import get
from router.logs.record_text import UNPRINTABLE, one_line
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    import re

    from router.cli.rest_client import RestApi

ERROR_CHARACTERS: Final = 120
"""How much of an error a table shows; `--json` has all of it."""

HEAD: Final = (
    *("INSTANCE", "STATE", "SINCE", "RESTARTS", "TOOLS", "CALLS", "NEXT RETRY", "LAST ERROR"),
)


STALE_MARK: Final = "*"
STALE_LEGEND: Final = f"{STALE_MARK} as it was last: the server has yet to list its tools"

MAX_WARNINGS: Final = 20
"""How many warnings a table shows; `--json` has all of them."""


class SessionRow(msgspec.Struct, frozen=True):
    """A replica of an instance, or the session of one client if each has one of its own."""

    name: str
    client: str = ""
    state: str = ""
    in_state_s: float = 0.0
    restarts: int = 0
    last_error: str | None = None


class Row(msgspec.Struct, frozen=True):
    """One instance. A newer router may send unknown keys, and an older one may leave some out.

    Attributes:
        stale: True if its tools are the last known ones.
        warnings: sentences about what is configured for it and cannot be applied.
    """

    name: str
    state: str = ""
    since_s: float = 0.0
    restarts: int = 0
    tools_count: int = 0
    calls: int = 0
    in_flight: int = 0
    retry_in_s: float | None = None
    last_error: str | None = None
    stale: bool = False
    warnings: tuple[str, ...] = ()
    sessions: tuple[SessionRow, ...] = ()
    replicas: tuple[SessionRow, ...] = ()


def status_text(api: RestApi, *, as_json: bool) -> str:
    """Ask a router for its instances and return them as text for stdout. Blocks.

    Args:
        api: of the router.
        as_json: return the answer itself instead of a table.

    Raises:
        ConfigError: nobody answers, the router refuses, or it is no MCP Router.
    """
    body = get(api, "/api/status")
    try:
        rows = msgspec.json.decode(body, type=list[Row])
    except msgspec.MsgspecError:
        raise ConfigError(api.url, "what answers there is no MCP Router") from None
    return f"{_printable_json(body)}\n" if as_json else table(rows)


def table(rows: list[Row]) -> str:
    """Return a line for each instance, replica and session of a client, and then for all together.

    That is one that sums them up, and one for each warning.
    """
    if not rows:
        return "There are no instances.\n"
    cells = [HEAD]
    for row in rows:
        cells += [_cells(row), *map(_session_cells, (*row.sessions, *row.replicas))]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(map(_padded, row, widths)).rstrip() for row in cells]
    ready = sum(row.state == "ready" for row in rows)
    idle = sum(row.state == "idle" for row in rows)
    lines += ["", f"{ready} of {len(rows)} ready" + (f", {idle} idle" if idle else "")]
    if any(row.stale for row in rows):
        lines.append(STALE_LEGEND)
    warnings = [one_line(f"{row.name}: {warning}") for row in rows for warning in row.warnings]
    if warnings:
        lines += ["", *warnings[:MAX_WARNINGS]]
    if len(warnings) > MAX_WARNINGS:
        lines.append(f"and {len(warnings) - MAX_WARNINGS} more; --json shows all")
    return "\n".join([*lines, ""])


def _printable_json(body: bytes) -> str:
    """Return the same JSON, with characters that do not print escaped (RFC 8259 section 7)."""

    def escape(found: re.Match[str]) -> str:
        if found[0] in "\n\r":
            return "\n"  # white space between values: no string holds an unescaped one
        units = found[0].encode("utf-16-be")
        return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))

    return UNPRINTABLE.sub(escape, body.decode())


def _cells(row: Row) -> tuple[str, ...]:
    calls = f"{row.calls} ({row.in_flight} open)" if row.in_flight else str(row.calls)
    return (
        one_line(row.name),
        one_line(row.state),
        duration(row.since_s),
        str(row.restarts),
        f"{row.tools_count}{STALE_MARK if row.stale else ''}",
        calls,
        "-" if row.retry_in_s is None else f"in {duration(row.retry_in_s)}",
        _error(row.last_error),
    )


def _session_cells(row: SessionRow) -> tuple[str, ...]:
    return (
        one_line(f"  {row.name} ({row.client})" if row.client else f"  {row.name}"),
        one_line(row.state),
        duration(row.in_state_s),
        str(row.restarts),
        *("-", "-", "-"),
        _error(row.last_error),
    )


def _error(error: str | None) -> str:
    shown = one_line(error or "-")
    return shown if len(shown) <= ERROR_CHARACTERS else shown[: ERROR_CHARACTERS - 1] + "\u2026"


def duration(seconds: float) -> str:
    """Return a duration in its two largest units, such as `3m 20s`."""
    left = max(0, round(seconds))
    units = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)]
    while len(units) > 1 and left < units[0][1]:
        del units[0]
    parts: list[str] = []
    for unit, size in units[:2]:
        number, left = divmod(left, size)
        if number or not parts:
            parts.append(f"{number}{unit}")
    return " ".join(parts)


def _width(text: str) -> int:
    """Return how many columns a terminal needs; wide letters such as CJK take two (UAX #11)."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))

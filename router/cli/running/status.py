"""`mcp-router status`: lays out the instances of a running router as a table or as JSON.

Invariant: text from the router is data: it cannot forge lines or move the cursor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from router.cli.rest_api.rest_client import NO_ROUTER, get
from router.cli.text_columns import columns_of, joined, wrapped
from router.logs.record_text import UNPRINTABLE, one_line
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    import re

    from router.cli.rest_api.rest_client import RestApi

ERROR_CHARACTERS: Final = 120
"""How much of a reason is shown in the table itself; a longer one comes whole below it."""

LONG_CHARACTERS: Final = 1_000
"""A server may say anything; this is more than the router itself makes of it."""

MAX_REASONS: Final = 20
"""How many such reasons come below a table; `--json` has all of them."""

HEAD: Final = (
    *("INSTANCE", "STATE", "SINCE", "RESTARTS", "TOOLS", "CALLS", "NEXT RETRY", "LAST ERROR"),
)
TOKENS_HEAD: Final = "TOKENS"
TOKENS_COLUMN: Final = HEAD.index("CALLS")
"""The place of `TOKENS_HEAD` among them, where the router has counted the tokens of tools."""

MAX_VIEWS: Final = 20
"""How many choices of views are shown; `GET /api/views` has more."""


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
    doing: str | None = None
    retry_in_s: float | None = None

    @property
    def reason(self) -> str | None:
        """Why it is in its state."""
        return _reason(self.doing, self.last_error)


class Row(msgspec.Struct, frozen=True):
    """One instance. A newer router may send unknown keys, and an older one may leave some out.

    Attributes:
        doing: what its start does, if that takes long.
        stale: True if its tools are the last known ones.
        warnings: sentences about what is configured for it and cannot be applied.
        unapproved: the names of its tools that are not as they were approved.
        tokens: an estimate of what its tools cost a model; None where that is not known.
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
    doing: str | None = None
    stale: bool = False
    warnings: tuple[str, ...] = ()
    unapproved: tuple[str, ...] = ()
    sessions: tuple[SessionRow, ...] = ()
    replicas: tuple[SessionRow, ...] = ()
    waiting: int = 0
    tokens: int | None = None

    @property
    def reason(self) -> str | None:
        """Why it is in its state: what its start does, or the error before."""
        return _reason(self.doing, self.last_error)


class ViewRow(msgspec.Struct, frozen=True):
    """The list of tools that clients of an `auto` view get, and why."""

    client: str
    kind: str
    reason: str
    sessions: int
    place: str | None = None


def status_text(api: RestApi, *, as_json: bool, width: int | None = None) -> str:
    """Ask a router for its instances and return them as text for stdout. Blocks.

    Args:
        api: of the router.
        as_json: return the answer itself instead of a table.
        width: of the terminal for the table; None where there is none.

    Raises:
        ConfigError: nobody answers, the router refuses, or it is no MCP Router.
    """
    body = get(api, "/api/status")
    rows = _decode(api, body)
    return f"{printable_json(body)}\n" if as_json else table(rows, width) + _views(api, width)


def status_rows(api: RestApi) -> list[Row]:
    """Ask a router for its instances. Blocks.

    Raises:
        ConfigError: nobody answers, the router refuses, or it is no MCP Router.
    """
    return _decode(api, get(api, "/api/status"))


def _decode(api: RestApi, body: bytes) -> list[Row]:
    try:
        return msgspec.json.decode(body, type=list[Row])
    except msgspec.MsgspecError:
        raise ConfigError(api.place, NO_ROUTER) from None


def _views(api: RestApi, width: int | None) -> str:
    """Return a line for each choice of a view, after an empty line; nothing from older routers."""
    try:
        rows = msgspec.json.decode(get(api, "/api/views"), type=list[ViewRow])
    except (ConfigError, msgspec.MsgspecError):
        return ""
    return views_text(rows, width)


def views_text(rows: list[ViewRow], width: int | None = None) -> str:
    """Return a line for each choice of a view, after an empty line and a heading."""
    lines = ["auto views:"] if rows else []
    for row in rows[:MAX_VIEWS]:
        times = f" ({row.sessions} sessions)" if row.sessions > 1 else ""
        where = "" if row.place is None else f", view {row.place}"
        lines.append(one_line(f"{row.client}{where}: {row.kind}: {row.reason}{times}"))
    if len(rows) > MAX_VIEWS:
        lines.append(f"and {len(rows) - MAX_VIEWS} more; GET /api/views has them")
    return joined(["", *(part for line in lines for part in wrapped(line, width))] if lines else [])


def table(rows: list[Row], width: int | None = None) -> str:
    """Return a line for each instance, replica and session of a client, and then for all together.

    That is one that sums them up, one for each reason that was cut, and one for each warning. With
    a width, text that is too long goes on in further lines.
    """
    if not rows:
        return "There are no instances.\n"
    cells: list[tuple[str, ...]] = [HEAD]
    for row in rows:
        cells += [_cells(row), *map(_session_cells, (*row.sessions, *row.replicas))]
    tokens = sum(row.tokens or 0 for row in rows)
    if tokens:
        column = [TOKENS_HEAD, *(text for row in rows for text in _tokens(row))]
        cells = [
            (*cell[:TOKENS_COLUMN], text, *cell[TOKENS_COLUMN:])
            for cell, text in zip(cells, column, strict=True)
        ]
    ready = sum(row.state == "ready" for row in rows)
    idle = sum(row.state == "idle" for row in rows)
    lines = ["", f"{ready} of {len(rows)} ready" + (f", {idle} idle" if idle else "")]
    if tokens:
        lines.append(f"listing all tools costs a model about {tokens:,} tokens")
    if any(row.stale for row in rows):
        lines.append(STALE_LEGEND)
    lines += _long_reasons(rows)
    warnings = [one_line(f"{row.name}: {warning}") for row in rows for warning in row.warnings]
    if warnings:
        lines += ["", *warnings[:MAX_WARNINGS]]
    if len(warnings) > MAX_WARNINGS:
        lines.append(f"and {len(warnings) - MAX_WARNINGS} more; --json shows all")
    if width is not None:
        # Below a narrow row, a dash would stand alone on its line.
        cells = [(*cell, "" if reason == "-" else reason) for *cell, reason in cells]
    below = [part for line in lines for part in wrapped(line, width)]
    return joined([*columns_of(cells, width, is_wrapped=True), *below])


def printable_json(body: bytes) -> str:
    """Return the same JSON, with characters that do not print escaped (RFC 8259 section 7)."""

    def escape(found: re.Match[str]) -> str:
        if found[0] in "\n\r":
            return "\n"  # white space between values: no string holds an unescaped one
        units = found[0].encode("utf-16-be")
        return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))

    return UNPRINTABLE.sub(escape, body.decode())


def _cells(row: Row) -> tuple[str, ...]:
    now = {"open": row.in_flight, "waiting": row.waiting}
    shown = ", ".join(f"{count} {what}" for what, count in now.items() if count)
    calls = f"{row.calls} ({shown})" if shown else str(row.calls)
    return (
        one_line(row.name),
        one_line(row.state),
        duration(row.since_s),
        str(row.restarts),
        f"{row.tools_count}{STALE_MARK if row.stale else ''}",
        calls,
        _next_try(row.retry_in_s),
        _error(row.reason),
    )


def _tokens(row: Row) -> list[str]:
    """Return the cells of an instance, its sessions and its replicas."""
    shown = "-" if row.tokens is None else f"{row.tokens:,}"
    return [shown, *("-" for _ in (*row.sessions, *row.replicas))]


def _session_cells(row: SessionRow) -> tuple[str, ...]:
    return (
        one_line(f"  {row.name} ({row.client})" if row.client else f"  {row.name}"),
        one_line(row.state),
        duration(row.in_state_s),
        str(row.restarts),
        *("-", "-"),
        _next_try(row.retry_in_s),
        _error(row.reason),
    )


def _reason(doing: str | None, last_error: str | None) -> str | None:
    return "; before that: ".join(filter(None, (doing, last_error))) or None


def _long_reasons(rows: list[Row]) -> list[str]:
    """Return the reasons that do not fit into the table, after an empty line."""
    named = [
        (one.name, one.reason or "") for row in rows for one in (row, *row.sessions, *row.replicas)
    ]
    lines = [
        _cut(f"{name}: {one_line(reason)}", LONG_CHARACTERS)
        for name, reason in named
        if len(one_line(reason)) > ERROR_CHARACTERS
    ]
    if not lines:
        return []
    more = [f"and {len(lines) - MAX_REASONS} more; --json shows all"] * (len(lines) > MAX_REASONS)
    return ["", *map(one_line, lines[:MAX_REASONS]), *more]


def _next_try(retry_in_s: float | None) -> str:
    if retry_in_s == 0:
        return "due"  # it waits for its turn to start
    return "-" if retry_in_s is None else f"in {duration(retry_in_s)}"


def _error(error: str | None) -> str:
    return _cut(one_line(error or "-"), ERROR_CHARACTERS)


def _cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[: characters - 1] + "\u2026"


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

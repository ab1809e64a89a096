"""Shows what `mcp-router import` found and did: as a table, as a list where the terminal is narrow,
or as JSON.

Invariants: secrets are hidden; text of files cannot move the cursor. Nothing here writes a file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from router.cli.terminal import complain, console
from router.client_files.importing.plan import place_of, reached_by
from router.client_files.importing.secret_values import masked
from router.logs.record_text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from router.client_files.importing.carry_out import Outcome
    from router.client_files.importing.plan import Row, State
    from router.client_files.reading.discovery import ReadFile
    from router.client_files.reading.found import FoundServer

NARROW_COLUMNS: Final = 76
"""Below it, a table would break words; each server has some lines of its own there."""

SHOWN_ORIGINS: Final = 2
"""Clients that are named for one server."""

_WORDS: Final[dict[State, str]] = {
    "new": "new",
    "same": "already there",
    "different": "differs",
    "equivalent": "already there",
    "itself": "skipped",
    "left_out": "left out",
    "cannot": "cannot",
}
_STYLES: Final[dict[State, str]] = {
    "new": "green",
    "different": "yellow",
    "left_out": "yellow",
    "cannot": "red",
}


# --- The plan --------------------------------------------------------------------------------


def show_plan(files: Sequence[ReadFile], rows: Sequence[Row]) -> None:
    """Write what was found and what would be done, and problems of files to stderr."""
    for file in files:
        if file.problem is not None:
            complain(f"{file.path}: {file.problem}")
    if not rows:
        return
    where = console()
    if where.width < NARROW_COLUMNS:
        _show_list(where, rows)
    else:
        _show_table(where, rows)
    for line in _details(rows):
        where.print(line)


def _show_table(where: Console, rows: Sequence[Row]) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD if where.is_terminal else None, pad_edge=False)
    table.add_column("Server", overflow="fold")
    table.add_column("From", overflow="fold")
    table.add_column("Reached by", overflow="fold", ratio=2)
    table.add_column("Missing", overflow="fold")
    table.add_column("State")
    for row in rows:
        table.add_row(*map(_text, _cells(row)), _text(_WORDS[row.state], row.state))
    where.print(table)


def _show_list(where: Console, rows: Sequence[Row]) -> None:
    from rich.padding import Padding

    for row in rows:
        name, origin, reached, missing = _cells(row)
        where.print(_text(f"{name}: {_WORDS[row.state]}", row.state))
        lines = [f"from {origin}", reached, f"missing: {missing}" if missing else ""]
        for line in filter(None, lines):
            where.print(Padding(_text(line), (0, 0, 0, 2)))


def _text(text: str, state: State | None = None) -> Any:
    from rich.text import Text

    return Text(one_line(text), _STYLES.get(state, "") if state else "", overflow="fold")


def _cells(row: Row) -> tuple[str, str, str, str]:
    shown = masked(row.servers[0].entry)
    return row.name, _origins(row), reached_by(shown), ", ".join(row.missing)


def _origins(row: Row) -> str:
    """Return the clients that have a server, at most as many as are easily read."""
    names = list(dict.fromkeys(map(_origin, row.servers)))
    if len(names) <= SHOWN_ORIGINS + 1:
        return ", ".join(names)
    return f"{', '.join(names[:SHOWN_ORIGINS])} and {len(names) - SHOWN_ORIGINS} more"


def _origin(server: FoundServer) -> str:
    return f"{place_of(server)} (project)" if server.scope == "project" else place_of(server)


def _details(rows: Sequence[Row]) -> Iterator[Any]:
    """Yield sentences about single servers, and the way to set what is missing."""
    for row in rows:
        is_told = row.state not in ("new", "same")
        for sentence in filter(None, (row.reason if is_told else "", *row.notes)):
            where = f" of {_origins(row)}" if is_told else ""
            yield _text(f"{row.name}{where}: {sentence}")
        for line in row.differences:
            yield _text(f"    {line}", "new" if line.startswith("+") else "cannot")
    missing = sorted({name for row in rows for name in row.missing})
    secrets = [name.removeprefix("secret ") for name in missing if name.startswith("secret ")]
    variables = [name.removeprefix("variable ") for name in missing if name.startswith("variable ")]
    for name in secrets:
        yield _text(f"Missing: mcp-router secret set {name}")
    if variables:
        yield _text(f"Not set in this environment: {', '.join(variables)}")


# --- Files -----------------------------------------------------------------------------------


def show_files(files: Sequence[ReadFile]) -> None:
    """Write the files that were found, each with a number."""
    where = console()
    for number, file in enumerate(files, 1):
        title = f"{file.title}: " if file.title else ""
        count = "cannot be read" if file.problem else _count(len(file.servers))
        where.print(_text(f"{number:2}  {title}{_short(file.path)} ({count})"))


def _short(path: Path) -> str:
    """Return a path, with `~` for the home folder."""
    home = Path.home()
    return str(Path("~") / path.relative_to(home)) if path.is_relative_to(home) else str(path)


def _count(number: int) -> str:
    return "1 server" if number == 1 else f"{number} servers"


def files_chosen(files: Sequence[ReadFile], answer: str) -> list[ReadFile] | None:
    """Return the files that an answer names; None if it cannot be understood.

    Args:
        files: that were shown.
        answer: numbers, "all" or "none"; nothing is all.
    """
    words = answer.replace(",", " ").lower().split()
    if words in ([], ["all"]):
        return list(files)
    if words == ["none"]:
        return []
    if not all(word.isascii() and word.isdecimal() for word in words):
        return None
    numbers = [int(word[:6]) for word in words]
    if not all(1 <= number <= len(files) for number in numbers):
        return None
    return [files[number - 1] for number in dict.fromkeys(numbers)]


# --- The end ---------------------------------------------------------------------------------


def summary(rows: Sequence[Row], outcomes: Sequence[Outcome], *, is_dry_run: bool) -> Iterator[str]:
    """Yield sentences about what was done."""
    done = [outcome.row for outcome in outcomes if outcome.problem is None]
    for state, word in (("new", "Added"), ("different", "Changed")):
        names = [row.name for row in done if row.state == state]
        if names:
            yield f"{word}: {', '.join(names)}"
    if not rows:
        yield "No servers were found."
    elif is_dry_run:
        yield "Nothing was written: this was a dry run."
    elif not any(row.change for row in rows):
        yield "There is nothing to import."
    elif not outcomes:
        yield "Nothing was changed."


def as_json(files: Sequence[ReadFile], rows: Sequence[Row], outcomes: Sequence[Outcome]) -> str:
    """Return files, servers and what was done as JSON, with a line break at its end."""
    by_row = {id(outcome.row): outcome for outcome in outcomes}
    document = {
        "files": [
            {
                "path": str(file.path),
                "client": file.title or None,
                "servers": len(file.servers),
                "problem": file.problem,
            }
            for file in files
        ],
        "servers": [_row_as_json(row, by_row.get(id(row))) for row in rows],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _row_as_json(row: Row, outcome: Outcome | None) -> dict[str, Any]:
    return {
        "name": row.name,
        "state": row.state,
        "reason": row.reason or None,
        "from": [
            {
                "client": server.client or None,
                "path": str(server.path),
                "scope": server.scope,
                "place": server.place,
            }
            for server in row.servers
        ],
        "entry": masked(row.entry or row.servers[0].entry),
        "missing": list(row.missing),
        "notes": list(row.notes),
        "differences": list(row.differences),
        "secrets": sorted(row.secrets),
        "done": outcome is not None and outcome.problem is None,
        "problem": None if outcome is None else outcome.problem,
    }

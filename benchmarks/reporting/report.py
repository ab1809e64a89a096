"""Writes a run as Markdown: the targets, and a table for each suite.

A cell is the median of the rounds and half the range between the lowest and the highest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benchmarks.reporting.figures import Figures
from benchmarks.reporting.plot import chart_of
from benchmarks.reporting.targets import TARGETS, Target

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from benchmarks.rows import Row

PAGE: Final = "performance.md"
PICTURE: Final = "performance.svg"

TITLES: Final = {
    "http": "Streamable HTTP",
    "sse": "HTTP+SSE",
    "stdio": "Stdio",
    "large": "Results of 1 KiB and 256 KiB, 16 callers",
    "listing": "`tools/list` of a large view",
    "imports": "Start of the router, and what it imports",
    "start": "Start",
    "many": "Many servers",
    "growth": "Growth",
    "idle": "Idle clients",
    "collide": "Clients with the same request ids",
    "layers": "What one layer costs",
}

MICRO: Final = "µs"


def number(value: float) -> str:
    """Return a figure with three significant digits, and never as a power of ten."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def cell(row: Row | None) -> str:
    """Return a median with its half range, or a dash where nothing was measured."""
    if row is None:
        return "-"
    spread = f" ± {number(row.half_range)}" if row.half_range else ""
    return number(row.median) + spread


def suite_table(figures: Figures, suite: str) -> str:
    """Return the table of a suite: a line for each load and proxy, a column for each metric."""
    metrics = figures.metrics(suite)
    header = ["work", "proxy", *(_column(metric, unit) for metric, unit in metrics)]
    lines: list[list[str]] = []
    for load in figures.loads(suite):
        for proxy in figures.proxies(suite, load):
            cells = [cell(figures.get(suite, load, proxy, metric)) for metric, _ in metrics]
            lines.append([load, _stressed(proxy), *cells])
    return markdown_table(header, lines, left=2)


def _column(metric: str, unit: str) -> str:
    return f"{metric}, {MICRO if unit == 'us' else unit}" if unit else metric


def _stressed(proxy: str) -> str:
    return f"**{proxy}**" if proxy.startswith("router") else proxy


def targets_table(figures: Figures) -> str:
    """Return the table of the targets."""
    lines = [[one.work, _bound(one), *_verdict(one, one.figure(figures))] for one in TARGETS]
    return markdown_table(["work", "target", "measured", ""], lines, left=1)


def _unit(target: Target) -> str:
    return {"": "", "x": " x", "us": f" {MICRO}"}.get(target.unit, f" {target.unit}")


def _bound(target: Target) -> str:
    return f"{'≥' if target.least else '≤'} {target.bound:g}{_unit(target)}"


def _verdict(target: Target, value: float | None) -> tuple[str, str]:
    if value is None:
        return "-", "not measured"
    return number(value) + _unit(target), "reached" if target.is_reached(value) else "not reached"


def markdown_table(header: Sequence[str], lines: Iterable[Sequence[str]], left: int) -> str:
    """Return a table whose first `left` columns stand to the left, and the others to the right."""
    rule = ["---"] * left + ["---:"] * (len(header) - left)
    return "".join(f"| {' | '.join(line)} |\n" for line in [header, rule, *lines])


def report(rows: Sequence[Row], machine: Mapping[str, str]) -> dict[str, str]:
    """Return the parts of the page, by the name that stands in the comments around each."""
    figures = Figures.of(rows)
    with_rows = [name for name in TITLES if figures.loads(name)]
    tables = [f"### {TITLES[name]}\n\n{suite_table(figures, name)}" for name in with_rows]
    measured_with = ", ".join(f"{name} {value}" for name, value in machine.items())
    return {
        "targets": targets_table(figures),
        "tables": f"Measured with {measured_with}.\n\n" + "\n".join(tables),
    }


def put(page: str, parts: Mapping[str, str]) -> str:
    """Return a page with each part between `<!-- NAME -->` and `<!-- end of NAME -->`.

    Raises:
        ValueError: the page has no place for a part.
    """
    for name, part in parts.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, found, rest = page.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"The page has no lines {begin.strip()} and {end}")
        page = f"{before}{begin}{part}{end}{after}"
    return page


def check_docs(docs: Path) -> None:
    """Return if the page of performance has a place for each part.

    Raises:
        ValueError: it has not; better before a long run than after it.
    """
    put((docs / PAGE).read_text(), dict.fromkeys(("targets", "tables"), ""))


def write_docs(docs: Path, rows: Sequence[Row], machine: Mapping[str, str]) -> None:
    """Write the tables into the page of performance, and its picture beside it.

    Raises:
        ValueError: the page has no place for them.
    """
    page = docs / PAGE
    page.write_text(put(page.read_text(), report(rows, machine)))
    (docs / PICTURE).write_text(chart_of(Figures.of(rows)))

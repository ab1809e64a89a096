"""Draws the throughput of all proxies beside the byte proxy's, as SVG.

Invariants: no script, no font or file from elsewhere, and colors for light and for dark pages. The
axis is logarithmic, as the proxies are a hundredfold apart.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

import attrs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.reporting.figures import Figures
    from benchmarks.rows import Row

SUITE: Final = "http"
METRIC: Final = "ratio"
LOADS: Final = ("1 caller", "16 callers", "64 callers")

WIDTH: Final = 920
LEFT: Final = 290
RIGHT: Final = 70
TOP: Final = 84
BAR: Final = 13
GAP: Final = 16
LEAST: Final = 0.005
DECADES: Final = (0.01, 0.1, 1.0, 10.0)

STYLE: Final = """
    text { fill: #1f2430; }
    .page { fill: #ffffff; }
    .minor { fill: #5a6274; font-size: 12px; }
    .value { font-size: 11px; }
    .grid { stroke: #d5d9e2; }
    .floor { stroke: #5a6274; stroke-dasharray: 4 3; }
    .spread { stroke: #1f2430; stroke-width: 1.2; }
    .a { fill: #b9c3d6; } .b { fill: #8d9bb8; } .c { fill: #66779c; }
    .own.a { fill: #f0b775; } .own.b { fill: #e08f34; } .own.c { fill: #b96a12; }
    .own.name { font-weight: bold; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6e9f0; }
      .page { fill: #12151c; }
      .minor { fill: #a3abbd; }
      .grid { stroke: #333a49; }
      .floor { stroke: #a3abbd; }
      .spread { stroke: #e6e9f0; }
      .a { fill: #3d4a66; } .b { fill: #5a6b90; } .c { fill: #8296c2; }
      .own.a { fill: #8a5518; } .own.b { fill: #c47a24; } .own.c { fill: #f0a64a; }
    }
"""


@attrs.frozen
class Group:
    """The bars of one proxy.

    Attributes:
        name: its name.
        bars: the figure for each load; None where it was not measured.
    """

    name: str
    bars: tuple[Row | None, ...]


def chart_of(figures: Figures) -> str:
    """Return the picture of a run: a group of bars for each proxy, the fastest first."""
    names = list(dict.fromkeys(name for load in LOADS for name in figures.proxies(SUITE, load)))
    groups = [
        Group(name, tuple(figures.get(SUITE, load, name, METRIC) for load in LOADS))
        for name in names
    ]
    return chart(sorted(groups, key=_fastest, reverse=True))


def _fastest(group: Group) -> float:
    return max((one.median for one in group.bars if one is not None), default=0.0)


def chart(groups: Sequence[Group]) -> str:
    """Return an SVG picture with a group of bars for each proxy, from top to bottom."""
    most = max(2.0, *(one.high for group in groups for one in group.bars if one is not None))
    axis = _Axis(most)
    parts: list[str] = []
    y = TOP
    for group in groups:
        parts.append(_group(group, y, axis))
        y += len(LOADS) * BAR + GAP
    height = y + 24
    words = "; ".join(f"{group.name} {_spoken(group)}" for group in groups)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"'
            ' font-family="Helvetica, Arial, sans-serif" font-size="14"'
            ' aria-labelledby="title desc">',
            '  <title id="title">Calls a second over HTTP, beside a bare byte proxy</title>',
            f'  <desc id="desc">With {", ".join(LOADS)}: {escape(words)}.</desc>',
            f"  <style>{STYLE}  </style>",
            f'  <rect class="page" width="{WIDTH}" height="{height}"/>',
            '  <text x="20" y="30" font-size="17" font-weight="bold">'
            "Calls a second over HTTP; 1 is a bare byte proxy</text>",
            _legend(),
            *(_grid_line(value, axis, y) for value in DECADES if LEAST < value <= most),
            *parts,
            "</svg>\n",
        ]
    )


@attrs.frozen
class _Axis:
    """A logarithmic axis from `LEAST` to `most`."""

    most: float

    def x(self, value: float) -> float:
        share = math.log(max(value, LEAST) / LEAST) / math.log(self.most / LEAST)
        return LEFT + share * (WIDTH - LEFT - RIGHT)


def _legend() -> str:
    parts: list[str] = []
    for number, (load, kind) in enumerate(zip(LOADS, "abc", strict=True)):
        x = LEFT + 120 * number
        parts.append(f'  <rect class="{kind}" x="{x}" y="44" width="12" height="12"/>')
        parts.append(f'  <text class="minor" x="{x + 18}" y="54">{load}</text>')
    return "\n".join(parts)


def _grid_line(value: float, axis: _Axis, bottom: float) -> str:
    x = axis.x(value)
    kind = "floor" if value == 1 else "grid"
    return (
        f'  <line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{bottom - 6}"/>\n'
        f'  <text class="minor" x="{x:.1f}" y="{bottom + 10}" text-anchor="middle">{value:g}</text>'
    )


def _group(group: Group, y: float, axis: _Axis) -> str:
    own = " own" if group.name.startswith("router") else ""
    middle = y + len(LOADS) * BAR / 2 + 5
    parts = [
        f'  <text class="name{own}" x="{LEFT - 12}" y="{middle:.1f}" text-anchor="end">'
        f"{escape(group.name)}</text>"
    ]
    for number, row in enumerate(group.bars):
        if row is not None:
            parts.append(_bar(row, f"{'abc'[number]}{own}", y + number * BAR, axis))
    return "\n".join(parts)


def _bar(row: Row, kind: str, y: float, axis: _Axis) -> str:
    end, low, high = axis.x(row.median), axis.x(row.low), axis.x(row.high)
    middle = y + (BAR - 1) / 2
    return (
        f'  <rect class="{kind}" x="{LEFT}" y="{y}" width="{end - LEFT:.1f}" height="{BAR - 1}"/>\n'
        f'  <line class="spread" x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}"/>\n'
        f'  <text class="minor value" x="{max(end, high) + 6:.1f}" y="{y + BAR - 3}">'
        f"{row.median:.2f}</text>"
    )


def _spoken(group: Group) -> str:
    return ", ".join("not measured" if one is None else f"{one.median:.2f}" for one in group.bars)

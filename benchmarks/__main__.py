"""`python -m benchmarks`: measures what the router costs, beside floors and other proxies.

Figures of one machine say little about another; the ratios of one run say more. Everything is
pinned to one core, so that a proxy cannot look faster by using more of them.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import platform
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from benchmarks.context import Context
from benchmarks.native.native import LoadError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.rows import Row

SUITES: Final = {
    "http": "benchmarks.suites.http",
    "sse": "benchmarks.suites.sse",
    "stdio": "benchmarks.suites.stdio",
    "large": "benchmarks.suites.large",
    "start": "benchmarks.suites.start",
    "many": "benchmarks.suites.many",
    "growth": "benchmarks.suites.growth",
    "idle": "benchmarks.suites.idle",
    "collide": "benchmarks.suites.collide",
    "layers": "benchmarks.suites.layers",
    "listing": "benchmarks.internals.listing",
    "imports": "benchmarks.internals.starting",
}
"""Name of a suite -> its module, which has `run(context: Context) -> list[Row]`."""

PEERS: Final = "benchmarks.proxies.peers"
"""The module of the adapters of what others made; `installed` returns those that are there."""

REPORT: Final = "benchmarks.reporting.report"
"""The module that writes docs/performance.md."""

ROOT: Final = Path(__file__).parents[1]
DOCS: Final = ROOT / "docs"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    suites = ", ".join(SUITES)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"{suites} (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each load (default: 5)")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each load (default: 1)")
    parser.add_argument("--starts", type=int, default=9, help="starts of each (default: 9)")
    parser.add_argument("--core", type=int, help="core to run everything on (default: the last)")
    parser.add_argument("--peers", action="store_true", help="measure other proxies, too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument(
        "--write-docs", action="store_true", help="write tables and picture into docs/performance"
    )
    parser.add_argument("--quick", action="store_true", help="only router and byte proxy, briefly")
    wanted = parser.parse_args()
    unknown = [name for name in wanted.suites if name not in SUITES]
    if unknown:
        parser.error(f"no such suite: {', '.join(unknown)}; there are: {suites}")
    if wanted.write_docs and (wanted.suites or not wanted.peers):
        parser.error("--write-docs writes a whole run: give --peers, and no suite")
    if wanted.rounds < 1 or wanted.starts < 1 or wanted.seconds <= 0:
        parser.error("rounds, starts and seconds must be above zero")
    if wanted.core is not None and wanted.core not in _cores():
        parser.error(f"no core {wanted.core}; there are: {', '.join(map(str, sorted(_cores())))}")
    return wanted


def _say(line: str = "") -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _cores() -> frozenset[int]:
    """Return the cores that this process may use; none where the system does not tell."""
    return frozenset(os.sched_getaffinity(0)) if sys.platform == "linux" else frozenset()


def pin(core: int | None) -> None:
    """Run this process and all that it starts on one core, where the system can do that."""
    if sys.platform == "linux":
        os.sched_setaffinity(0, {max(_cores()) if core is None else core})


def compile_rooms() -> None:
    """Write the bytecode that an installation has: without it every start takes twice as long."""
    for room in ("router", "supervisors", "transports", "benchmarks/floors"):
        compileall.compile_dir(ROOT / room, quiet=1)


def _machine() -> dict[str, str]:
    """Return what the figures were measured with."""
    packages = {name: version(name) for name in ("trio", "hypercorn", "httptools", "msgspec")}
    return {"python": platform.python_version(), "system": platform.system(), **packages}


def _line(row: Row) -> str:
    return (
        f"{row.load:16}  {row.proxy:34}  {row.metric:10}  {row.median:10.2f}  "
        f"± {row.half_range:8.2f} {row.unit}"
    )


def _measure(wanted: argparse.Namespace, machine: Mapping[str, str]) -> list[Row]:
    """Run the suites; what is measured so far is in the file of `--json` after each of them."""
    peers = import_module(PEERS).installed(_say) if wanted.peers else ()
    context = Context(wanted.rounds, wanted.seconds, wanted.starts, tuple(peers), _say)
    rows: list[Row] = []
    for name in wanted.suites or SUITES:
        _say(f"\n{name}")
        found: list[Row] = import_module(SUITES[name]).run(context)
        for row in found:
            _say(_line(row))
        rows += found
        if wanted.json is not None:
            figures = {"machine": machine, "rows": [attrs.asdict(row) for row in rows]}
            wanted.json.write_text(json.dumps(figures, indent=2) + "\n")
    return rows


def _compare_quickly() -> None:
    try:
        import_module("benchmarks.quick").run(_say)
    except LoadError as error:
        sys.exit(f"benchmarks: {error}")


def main() -> None:
    """Measure, print the figures, and write them to the file that `--json` names."""
    wanted = _arguments()
    compile_rooms()
    pin(wanted.core)
    if wanted.quick:
        _compare_quickly()
        return
    if wanted.write_docs:
        import_module(REPORT).check_docs(DOCS)
    machine = _machine()
    _say(", ".join(f"{name} {value}" for name, value in machine.items()))
    try:
        rows = _measure(wanted, machine)
    except LoadError as error:
        sys.exit(f"benchmarks: {error}")
    if wanted.write_docs:
        import_module(REPORT).write_docs(DOCS, rows, machine)


if __name__ == "__main__":
    main()

"""`python -m benchmarks`: measures the cost of the router, in one run on one machine.

Figures of one machine say little about another; the ratios say more.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from benchmarks import listing, starting, throughput
from benchmarks.imports import slowest, unwanted

if TYPE_CHECKING:
    from tests.e2e.processes import RouterProcess
    from tests.e2e.workspace import Workspace

LOADED_CALLERS: Final = 16
LEAST_SHARE: Final = 0.80
MOST_START: Final = 1.6
MOST_LIST_MS: Final = 2.0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="loads of each kind (default: 9)")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each load (default: 1)")
    parser.add_argument("--starts", type=int, default=15, help="starts of each (default: 15)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser.parse_args()


def _say(line: str = "") -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _measure_start(workspace: Workspace, starts: int) -> dict[str, Any]:
    start = starting.measure(workspace, starts)
    imports = starting.imported(workspace)
    found = unwanted(imports)
    _say(f"Start to first answer on stdio   {start.router_ms:.0f} ms")
    _say(f"import trio, attrs, msgspec   {start.imports_ms:.0f} ms")
    _say(f"Ratio   {start.ratio:.2f}   (aim: at most {MOST_START})")
    _say(f"Imported without need   {', '.join(found) or 'nothing'}")
    top = ", ".join(f"{one.name} {one.self_ms:.1f}" for one in slowest(imports, 8))
    _say(f"Slowest imports, ms   {top}\n")
    return {"start": attrs.asdict(start), "ratio": start.ratio, "unwanted": found}


def _measure_throughput(router: RouterProcess, rounds: int, seconds: float) -> dict[str, Any]:
    url = router.url("/mcp")
    idle_mb = throughput.resident_mb(router.pid)
    shares: list[throughput.Share] = []
    _say("Callers   router, calls/s   bare echo, calls/s   ratio   p50 / p99, ms: router, bare")
    with throughput.bare_echo() as bare:
        for callers in throughput.CALLERS:
            share = throughput.measure(url, bare, callers, rounds=rounds, seconds=seconds)
            shares.append(share)
            _say(_row(share))
    loaded_mb = throughput.resident_mb(router.pid)
    _say(f"(aim: a ratio of at least {LEAST_SHARE} with {LOADED_CALLERS} callers)\n")
    _say(f"Resident memory   {idle_mb:.1f} MiB idle, {loaded_mb:.1f} MiB after the calls")
    return {
        "shares": [attrs.asdict(share) for share in shares],
        "idle_mb": idle_mb,
        "loaded_mb": loaded_mb,
    }


def _row(share: throughput.Share) -> str:
    latencies = (
        f"{share.router_p50_ms.median:.2f} / {share.router_p99_ms.median:.2f}, "
        f"{share.bare_p50_ms.median:.2f} / {share.bare_p99_ms.median:.2f}"
    )
    return (
        f"{share.callers:7}   {share.router_per_second:.0f}   {share.bare_per_second:.0f}   "
        f"{share.ratio:.2f}   {latencies}"
    )


def _measure_listing(folder: Path, rounds: int) -> dict[str, Any]:
    listings: list[listing.Listing] = []
    _say(f"\n`tools/list` of {listing.TOOLS} tools of {listing.INSTANCES} servers, p50 in ms")
    _say("Revision   MB   router   static   difference   ratio")
    with (
        listing.site_with_tools(folder).serve("http") as router,
        listing.full_list(router) as url,
    ):
        for revision in listing.REVISIONS:
            one = listing.measure(url, revision, folder, rounds=rounds)
            listings.append(one)
            _say(
                f"{revision}   {one.size_bytes / 1e6:.2f}   {one.router_ms:.2f}   "
                f"{one.static_ms:.2f}   {one.difference_ms:.2f}   {one.ratio:.2f}"
            )
    _say(f"(aim: a difference of at most {MOST_LIST_MS} ms)")
    return {"listings": [attrs.asdict(one) for one in listings]}


def main() -> None:
    """Measure everything, print the figures, and write them to the file that `--json` names."""
    wanted = _arguments()
    packages = ", ".join(f"{name} {version(name)}" for name in ("trio", "hypercorn", "msgspec"))
    _say(f"Python {platform.python_version()}, {packages}. Median (lowest to highest).\n")
    with tempfile.TemporaryDirectory() as folder:
        workspace = throughput.site_with_echo(Path(folder))
        figures = _measure_start(workspace, wanted.starts)
        with workspace.serve("http") as router:
            figures |= _measure_throughput(router, wanted.rounds, wanted.seconds)
    with tempfile.TemporaryDirectory() as folder:
        figures |= _measure_listing(Path(folder), wanted.rounds)
    if wanted.json is not None:
        wanted.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""`python -m benchmarks.tokens`: counts what each kind of view puts into a model's context.

Ten tasks are done in each of them, in front of the same real servers, all of whose tools are
configured. Run `make bench-tokens`, which installs the servers first.
"""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from benchmarks.reporting.report import put
from benchmarks.search.catalogues import copies
from benchmarks.search.listing import catalogues
from benchmarks.search.real_servers import SERVERS
from benchmarks.search.report import PAGE
from benchmarks.tokens.conversation import FailedCallError
from benchmarks.tokens.measured import SCRIPTS, listing, measure
from benchmarks.tokens.routed import REAL, NotReadyError
from benchmarks.tokens.tables import large_line, part_table, task_table
from benchmarks.tokens.token_counts import is_installed

if TYPE_CHECKING:
    from benchmarks.search.catalogues import Catalogue
    from benchmarks.tokens.measured import Done
    from router.messages.instances.exposure import Expose

LARGE: Final = 5_000
"""Tools of the view whose list has to stay small."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tokens", description=__doc__)
    parser.add_argument(
        "views", nargs="*", metavar="VIEW", help=f"{', '.join(SCRIPTS)} (default: all)"
    )
    parser.add_argument("--write-docs", action="store_true", help="write tables into docs/search")
    wanted = parser.parse_args()
    unknown = [name for name in wanted.views if name not in SCRIPTS]
    if unknown:
        parser.error(f"no such view: {', '.join(unknown)}; there are: {', '.join(SCRIPTS)}")
    if wanted.write_docs and wanted.views:
        parser.error("--write-docs writes a whole run: name no view")
    return wanted


def _say(line: str = "") -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _listed() -> list[Catalogue]:
    """Return what the servers list.

    Raises:
        NotReadyError: one that the tasks use is not there.
    """
    if not is_installed():
        raise NotReadyError("The servers are not installed; `make bench-tokens` installs them")
    found = catalogues(SERVERS, _say)
    if missing := sorted(set(REAL) - {one.name for one in found}):
        raise NotReadyError(f"The tasks need {', '.join(missing)}")
    return found


def _kinds(wanted: argparse.Namespace) -> list[Expose]:
    kinds: list[Expose] = [kind for kind in SCRIPTS if not wanted.views or kind in wanted.views]
    if "code" in kinds and find_spec("pydantic_monty") is None:
        _say("Left out: the code view, since mcp-router[code] is not installed")
        kinds.remove("code")
    return kinds


def main() -> None:
    """Do the tasks, and print what they cost."""
    wanted = _arguments()
    try:
        servers = _listed()
        costs: dict[Expose, dict[str, Done]] = dict(measure(servers, _kinds(wanted)))
        large = copies(servers, LARGE)
        large_cost = listing(large, "search") if "search" in costs else None
    except (NotReadyError, FailedCallError) as error:
        sys.exit(f"benchmarks.tokens: {error}")
    tools = sum(len(one.tools) for one in servers)
    part = (
        f"{tools} tools of {len(servers)} servers. Tokens of o200k, and kilobytes:\n\n"
        f"{task_table(costs)}\nAll ten in one conversation, in tokens, by what they are for:\n\n"
        f"{part_table(costs)}"
    )
    if large_cost is not None:
        part += f"\n{large_line(large_cost, LARGE, len(large))}\n"
    _say(part)
    if wanted.write_docs:
        PAGE.write_text(put(PAGE.read_text(), {"tokens": part}))


if __name__ == "__main__":
    main()

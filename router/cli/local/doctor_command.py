"""`mcp-router doctor`: finds what is wrong with a router and its surroundings, and says the fix."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from router.cli.arguments import add_router_options, options_of
from router.cli.terminal import console, is_for_a_person, say
from router.config.options import locate
from router.logs.record_text import one_line
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from router.cli.rest_api.rest_client import RestApi
    from router.doctor.facts import Facts, Login, Running
    from router.doctor.findings import Finding

DESCRIPTION: Final = """\
Look at everything that a router depends on: its files, commands, ports, tokens, secrets and names,
the instances of the running router, other routers, and the clients of this machine. Each finding
is one line with its fix. Nothing is started and nothing is written.

The exit status is 0 if all is well, 1 if there are warnings, and 2 if there are errors."""

EXAMPLES: Final = """
mcp-router doctor
mcp-router doctor --json
mcp-router doctor -c /etc/mcp-router/config.json"""

_STYLES: Final = {"error": "bold red", "warning": "yellow", "note": "dim"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `doctor`."""
    parser.add_argument("--json", action="store_true", help="as JSON")
    add_router_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the findings, and return 0, 1 or 2."""
    # For start-up time: its help needs none of it.
    from router.cli.local.check import check
    from router.doctor.diagnosis import diagnose, gather
    from router.doctor.findings import exit_status

    options = options_of(arguments)
    paths = locate(options, os.environ, Path.cwd())
    checked = check(paths, options, os.environ)
    running = _ask_router(arguments)
    facts = gather(paths, options, os.environ, running, checked.problems, checked.notes)
    findings = diagnose(facts)
    if arguments.json:
        _print_json(findings)
    else:
        _print(findings, facts)
    return exit_status(findings)


def _ask_router(arguments: argparse.Namespace) -> Running:
    """Return how the instances of the running router are, or why it does not say."""
    import msgspec

    from router.cli.rest_api.rest_client import get
    from router.cli.rest_api.running_router import running_router
    from router.cli.running.status import Row
    from router.doctor.facts import InstanceState, Running

    try:
        api = running_router(arguments)
    except ConfigError as exc:
        return Running(problem=str(exc))
    try:
        index = msgspec.json.decode(get(api, "/"), type=dict[str, Any])
        status = get(api, "/api/status")
        rows = msgspec.json.decode(status, type=list[Row])
        kinds = msgspec.json.decode(status, type=list[dict[str, Any]])
    except ConfigError as exc:
        return Running(problem=str(exc))
    except msgspec.MsgspecError:
        return Running(problem=f"{api.url}: what answers there is no MCP Router")
    states = tuple(
        InstanceState(row.name, row.state, row.reason or "", row.retry_in_s, row.unapproved)
        for row in rows
    )
    remote = [row["name"] for row in kinds if row.get("transport_type") in ("http", "sse")]
    logins = tuple(_logins_of(api, remote))
    return Running(api.url, str(index.get("version", "")), states, logins)


def _logins_of(api: RestApi, names: Sequence[str]) -> Iterator[Login]:
    """Yield the logins of a router at its remote instances."""
    import msgspec

    from router.cli.rest_api.requests import route
    from router.cli.rest_api.rest_client import get
    from router.doctor.facts import Login

    for name in names:
        # An older router has none, and one with a token that is no admin's does not say.
        with suppress(ConfigError, msgspec.MsgspecError):
            yield msgspec.json.decode(get(api, route("instances", name, "login")), type=Login)


def _print_json(findings: Sequence[Finding]) -> None:
    import msgspec

    text = msgspec.json.format(msgspec.json.encode(findings), indent=2)
    say(f"{text.decode()}\n")


def _print(findings: Sequence[Finding], facts: Facts) -> None:
    if is_for_a_person(sys.stdout):
        _print_table(findings)
    else:
        for finding in findings:
            fix = f"; fix: {finding.fix}" if finding.fix else ""
            say(f"{finding.severity}: {one_line(f'{finding.subject}: {finding.problem}{fix}')}\n")
    say(f"{_summary(findings)} ({', '.join(_looked_at(facts))})\n")


def _print_table(findings: Sequence[Finding]) -> None:
    """Print each finding with its fix below it, in the width of the terminal."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 1))
    grid.add_column()
    grid.add_column(overflow="fold")  # a path is of no use without its end
    for finding in findings:
        text = Text(one_line(finding.subject), style="bold")
        text.append(f": {one_line(finding.problem)}", style="not bold")
        if finding.fix:
            text.append(f"\n→ {one_line(finding.fix)}", style="not bold")
        grid.add_row(Text(finding.severity, style=_STYLES[finding.severity]), text)
    console().print(grid)


def _summary(findings: Sequence[Finding]) -> str:
    counts = {
        name: sum(finding.severity == name for finding in findings)
        for name in ("error", "warning", "note")
    }
    shown = [
        f"{count} {name}{'' if count == 1 else 's'}" for name, count in counts.items() if count
    ]
    return ", ".join(shown) or "All is well"


def _looked_at(facts: Facts) -> list[str]:
    """Return what was looked at, for the last line."""
    return [
        str(facts.config),
        f"{len(facts.specs)} instance{'' if len(facts.specs) == 1 else 's'}",
        *(f"PATH of {one.whose}" for one in facts.surroundings),
        f"{len(facts.clients)} file{'' if len(facts.clients) == 1 else 's'} of clients",
    ]

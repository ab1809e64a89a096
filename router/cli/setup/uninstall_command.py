"""`mcp-router uninstall`: takes this router out of the files of MCP clients again.

Invariants: nothing is written before it was shown, and asked unless `--yes` was given. Nothing is
taken out that `mcp-router install` did not put in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.cli.terminal import complain, say
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from router.client_files.clients.client import Client
    from router.client_files.installing.ledger import Ledger, Row
    from router.client_files.installing.plans import FilePlan

DESCRIPTION: Final = """\
Take this router out of MCP clients again. A file that is as `mcp-router install` left it becomes
what it was before, byte for byte. In a file that has changed since, only what was put in is taken
out, and only if it is still as it was written; else it is left alone, and you are told what to take
out by hand. Servers that `--move` took out come back."""

EXAMPLES: Final = """
mcp-router uninstall cursor
mcp-router uninstall --all --dry-run"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the operands and options of `uninstall`."""
    parser.add_argument("clients", metavar="CLIENT", nargs="*", default=[], help="clients")
    parser.add_argument("--all", action="store_true", help="all clients it was installed into")
    parser.add_argument("--dry-run", action="store_true", help="show it, and write nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(arguments: argparse.Namespace) -> int:
    """Show what would be changed, ask, and change it.

    Returns:
        0; 1 if a client could not be changed.
    """
    # For start-up time: its help needs none of it.
    from router.cli.setup import client_changes
    from router.client_files.installing.ledger import Ledger

    clients = client_changes.chosen_clients(
        arguments.clients, is_all=arguments.all, command="uninstall"
    )
    ledger = Ledger.of_user()
    rows = ledger.rows()
    has_problem = _tell_without_rows(clients, rows, is_all=arguments.all)
    if arguments.all and not rows and not has_problem:
        say("This router was installed into no client.\n")
    plans, could_plan_all = _plans(ledger, rows, [client.name for client in clients])
    has_problem = has_problem or not could_plan_all
    changed = [plan for plan, _ in plans if not plan.is_nothing]
    for plan in changed:
        client_changes.show(plan)
    if arguments.dry_run:
        say("Nothing was written.\n" if changed else "")
    elif changed and not client_changes.is_agreed(changed, is_yes=arguments.yes):
        say("Nothing was changed.\n")
    else:
        has_problem = _carry_out(plans, ledger) or has_problem
    return 1 if has_problem else 0


def _tell_without_rows(clients: Sequence[Client], rows: Sequence[Row], *, is_all: bool) -> bool:
    """Tell of clients that `install` did not change; return whether one has the router.

    With `is_all`, clients that do not have it, and files that cannot be read, are not told.
    """
    from router.client_files.clients.client import Machine
    from router.client_files.installing.entries import ENTRY_NAME
    from router.client_files.installing.plans import read_target
    from router.client_files.installing.targets import target_of
    from router.files.jsonc.values import find_value

    has_router = False
    for client in clients:
        if any(row.client == client.name for row in rows):
            continue
        target = target_of(client, Machine.this_one())
        try:
            _, document, servers_at = read_target(target)
        except ConfigError as exc:
            if not is_all:
                complain(str(exc))
                has_router = True
            continue
        if find_value(document.value, (*servers_at, ENTRY_NAME)) is not None:
            has_router = True
            problem = "is there, but nothing says that `install` put it in"
            where = ".".join((*servers_at, ENTRY_NAME))
            complain(f"{target.path}: {where} {problem}; take it out by hand")
        elif not is_all:
            say(f"{client.title} does not have this router.\n")
    return has_router


def _plans(
    ledger: Ledger, rows: Sequence[Row], names: Sequence[str]
) -> tuple[list[tuple[FilePlan, list[Row]]], bool]:
    """Return a plan for each file with its rows, and whether there is one for each."""
    from router.client_files.installing.undo import plan_uninstall

    by_path: dict[str, list[Row]] = {}
    for row in rows:
        if row.client in names:
            by_path.setdefault(row.path, []).append(row)
    plans: list[tuple[FilePlan, list[Row]]] = []
    for own in by_path.values():
        try:
            plans.append((plan_uninstall(ledger, own), own))
        except ConfigError as exc:
            complain(str(exc))
    return plans, len(plans) == len(by_path)


def _carry_out(plans: Sequence[tuple[FilePlan, list[Row]]], ledger: Ledger) -> bool:
    """Change the files, and return whether there was a problem."""
    from router.client_files.clients.table import client_named
    from router.client_files.installing.carry_out import carry_out_uninstall
    from router.client_files.installing.ledger import sha256_of

    has_problem = False
    for plan, rows in plans:
        title = client_named(plan.client).title
        try:
            carry_out_uninstall(plan, ledger, rows)
        except ConfigError as exc:
            complain(str(exc))
            has_problem = True
        except OSError as exc:
            complain(f"{ledger.folder}: {exc.strerror or exc}")
            has_problem = True
        else:
            if plan.is_nothing:
                say(f"{title} does not have this router any more.\n")
                if plan.content.data is None and rows[0].backup is not None:
                    say(f"  The file is gone; before `install` it was {ledger.path_of(rows[0])}\n")
                continue
            is_same = sha256_of(plan.after) == rows[0].sha256_before
            exactly = "as it was, byte for byte" if is_same else "without this router"
            there = "is removed again" if plan.after is None else f"is {exactly}"
            say(f"{title}: {plan.content.path} {there}.\n")
    return has_problem

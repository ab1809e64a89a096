"""Shows changes of clients' files, and asks whether to make them.

Invariant: no secret is shown; text of files cannot move the cursor.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from router.cli.arguments import UsageError
from router.cli.terminal import ask_yes_no, console, is_for_a_person, say
from router.client_files.clients.table import CLIENTS, UnknownClient, client_named, find_clients
from router.client_files.installing.previews import difference
from router.logs.record_text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from router.client_files.clients.client import Client
    from router.client_files.installing.plans import FilePlan

_STYLES = {"+": "green", "-": "red"}


def chosen_clients(names: Sequence[str], *, is_all: bool, command: str) -> list[Client]:
    """Return the clients that are named on the command line, each once.

    Raises:
        UsageError: there is no such client, or none is named.
    """
    if bool(names) == is_all:
        way_out = "give --all, or clients" if not names else "give either clients or --all"
        known = ", ".join(client.name for client in CLIENTS)
        raise UsageError(f"{way_out}; there are {known}", command)
    if is_all:
        return list(CLIENTS)
    try:
        found = [client for name in names for client in find_clients(name)]
    except UnknownClient as exc:
        raise UsageError(str(exc), command) from None
    return list({client.name: client for client in found}.values())


def show(plan: FilePlan) -> None:
    """Write which file is changed, and how."""
    say(one_line(f"{client_named(plan.client).title}: {plan.content.path}") + "\n")
    if plan.content.real_path != plan.content.path:
        say(one_line(f"  (a link to {plan.content.real_path})") + "\n")
    lines = [one_line(f"  {line}") for line in difference(plan)]
    if not is_for_a_person(sys.stdout):
        say("".join(f"{line}\n" for line in lines))
        return
    where = console()
    for line in lines:
        where.out(line, style=_STYLES.get(line[2:3]))


def is_agreed(plans: Iterable[FilePlan], *, is_yes: bool) -> bool:
    """Ask whether the files are to be changed.

    Raises:
        ConfigError: there is nobody to ask.
    """
    count = len(list(plans))
    question = "Change this file?" if count == 1 else f"Change these {count} files?"
    return ask_yes_no(question, is_yes=is_yes)

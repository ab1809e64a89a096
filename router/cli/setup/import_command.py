"""`mcp-router import`: takes the servers in the files of MCP clients over into `data/`.

Invariants: the files of clients are only read. Nothing is written before it was shown, and asked
unless `--yes` was given. Secrets are never shown.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from router.cli.arguments import UsageError, options_of
from router.cli.terminal import PROGRAM, ask_yes_no, complain, is_for_a_person, say, terminal_width
from router.cli.text_columns import joined, wrapped
from router.config.options import locate, with_data_folder
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from router.client_files.clients.client import Machine
    from router.client_files.importing.carry_out import Outcome
    from router.client_files.importing.plan import Known, Row
    from router.client_files.reading.discovery import ReadFile
    from router.config.options import Paths
    from router.config.settings import Settings
    from router.secret_store.store import SecretStore

DESCRIPTION: Final = """\
Take the servers of your MCP clients over into data/. Clients are claude-desktop, claude-code,
cursor, vscode, windsurf, zed, codex, gemini, opencode, cline, jetbrains and lm-studio; a file may
have the format of any of them. Without one, all clients' files are looked for, and you are asked
which ones to take. The files of the clients stay as they are.

What is there already is left alone. Literal secrets go into the router's secrets, and
${secret:NAME} stays in their place."""

EXAMPLES: Final = """
mcp-router import
mcp-router import cursor claude-code
mcp-router import ~/project/.vscode/mcp.json --dry-run
mcp-router import --all --yes"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the operands and options of `import`."""
    parser.add_argument(
        "sources", metavar="CLIENT|FILE", nargs="*", default=[], help="clients, or their files"
    )
    parser.add_argument("--all", action="store_true", help="take the files of all clients")
    parser.add_argument("--dry-run", action="store_true", help="show it, and write nothing")
    parser.add_argument("--json", action="store_true", help="print the plan and its end as JSON")
    parser.add_argument(
        "--yes", action="store_true", help="do not ask: add what is new, and change what differs"
    )


def run(arguments: argparse.Namespace) -> int:
    """Show what would be imported, ask, and import it.

    Returns:
        0; 1 if a file could not be read, or a server could not be imported.
    """
    # For start-up time: its help needs none of it.
    from router.cli.setup import import_report
    from router.client_files.importing.plan import plan_import
    from router.config.settings import settings_as_written

    options = options_of(arguments)
    paths = locate(options, os.environ, Path.cwd())
    settings = settings_as_written(paths.config)
    paths = with_data_folder(paths, options, settings.watcher.watch_path)
    store = store_of(paths)

    files = _files(arguments)
    rows = plan_import(
        (server for file in files for server in file.servers), known_of(paths, settings, store)
    )
    if not arguments.json:
        import_report.show_plan(files, rows)
    chosen = [] if arguments.dry_run else _chosen(rows, paths, is_yes=arguments.yes)
    outcomes = _carry_out(chosen, paths, store)
    if arguments.json:
        say(import_report.as_json(files, rows, outcomes))
    else:
        _tell(rows, outcomes, store, is_dry_run=arguments.dry_run)
    return 1 if _has_problems(files, rows, outcomes) else 0


def store_of(paths: Paths) -> SecretStore:
    """Return the secrets of the router; for this and other commands."""
    from router.secret_store.store import COMMAND_PATIENCE_S, SecretStore

    return SecretStore.open(paths, patience_s=COMMAND_PATIENCE_S)


def known_of(paths: Paths, settings: Settings, store: SecretStore) -> Known:
    """Return what a plan depends on; for this and other commands.

    Raises:
        ConfigError: `data/` or the file of secrets cannot be read.
    """
    from router.client_files.importing.instances import read_present
    from router.client_files.importing.itself import OwnAddresses
    from router.client_files.importing.missing import secrets_in
    from router.client_files.importing.plan import Known

    present = read_present(paths.data)
    for problem in present.problems:
        complain(problem)
    names = frozenset(store.names())

    def look_up(name: str) -> str | None:
        return store.get(name) if name in names else None

    security = settings.security
    tokens = [security.bearer_token, *(named.token for named in security.tokens.values())]
    return Known(
        present,
        look_up,
        names,
        secrets_in(tokens),
        settings.profiles.keys(),
        OwnAddresses.from_settings(settings),
        os.environ,
    )


# --- Which files -----------------------------------------------------------------------------


def _files(arguments: argparse.Namespace) -> list[ReadFile]:
    """Return the files to import from.

    Raises:
        UsageError: there is no such client, or nobody can be asked which ones.
        ConfigError: there is no such file.
    """
    from router.client_files.clients.client import Machine
    from router.client_files.clients.table import CLIENTS
    from router.client_files.reading.discovery import read_clients

    machine = Machine.this_one()
    if arguments.sources and arguments.all:
        raise UsageError("name clients and files, or give --all, but not both", "import")
    if arguments.sources:
        return _named_files(arguments.sources, machine)
    files = read_clients(CLIENTS, machine)
    if arguments.all or arguments.yes or arguments.dry_run or not files:
        return files
    return _asked_files(files)


def _named_files(sources: Sequence[str], machine: Machine) -> list[ReadFile]:
    from router.client_files.clients.table import UnknownClient, find_clients
    from router.client_files.reading.discovery import read_clients

    files: list[ReadFile] = []
    for source in sources:
        try:
            clients = find_clients(source)
        except UnknownClient as exc:
            path = machine.cwd / Path(source).expanduser()
            if not path.exists() and not _is_path(source):
                raise UsageError(str(exc), "import") from None
            files.append(_read_named(path, machine))
            continue
        found = read_clients(clients, machine)
        if not found:
            titles = " and ".join(client.title for client in clients)
            complain(f"{titles}: there is no file with servers on this machine")
        files += found
    return list({file.path: file for file in files}.values())


def _is_path(source: str) -> bool:
    return any(character in source for character in "/\\.~")


def _read_named(path: Path, machine: Machine) -> ReadFile:
    from router.client_files.reading.discovery import read_file

    try:
        return read_file(path, machine)
    except FileNotFoundError:
        raise ConfigError(str(path), "there is no such file") from None


def _asked_files(files: list[ReadFile]) -> list[ReadFile]:
    """Ask which of the files are to be taken, until the answer can be understood.

    Raises:
        UsageError: nobody can be asked.
    """
    from router.cli.setup import import_report

    if not is_for_a_person(sys.stdin):
        problem = "nobody can be asked which clients to take, since stdin is no terminal"
        raise UsageError(f"{problem}; name them, or give --all", "import")
    import_report.show_files(files)
    while True:
        sys.stderr.write("Which ones? Numbers such as 1,3, all, or none [all] ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        chosen = import_report.files_chosen(files, line) if line else []
        if chosen is not None:
            return chosen
        complain(f"expected numbers from 1 to {len(files)}, such as 1,3; all, or none")


# --- Importing -------------------------------------------------------------------------------


def _chosen(rows: Sequence[Row], paths: Paths, *, is_yes: bool) -> list[Row]:
    """Ask which rows are to be carried out: once for what is new, and for each that replaces."""
    new = [row for row in rows if row.state == "new"]
    chosen: list[Row] = []
    if new:
        servers = "1 server" if len(new) == 1 else f"{len(new)} servers"
        chosen += new if ask_yes_no(f"Add {servers} to {paths.data}?", is_yes=is_yes) else []
    for row in rows:
        if row.state == "different" and ask_yes_no(
            f"Change {row.name} as shown above?", is_yes=is_yes
        ):
            chosen.append(row)
    return chosen


def _carry_out(rows: Sequence[Row], paths: Paths, store: SecretStore) -> list[Outcome]:
    from router.client_files.importing.carry_out import carry_out

    return carry_out(rows, paths.data, store)


def _tell(
    rows: Sequence[Row], outcomes: Sequence[Outcome], store: SecretStore, *, is_dry_run: bool
) -> None:
    from router.cli.setup import import_report

    for outcome in outcomes:
        if outcome.problem is not None:
            complain(f"{outcome.row.name} was not imported: {outcome.problem}")
    secrets = sorted({name for outcome in outcomes for name in outcome.secrets})
    place = f"{store.path}, which is not encrypted" if store.protection() == "none" else store.path
    lines = list(import_report.summary(rows, outcomes, is_dry_run=is_dry_run))
    if secrets:
        lines.append(f"Secrets are kept in {place}: {', '.join(secrets)}")
    if any(outcome.problem is None for outcome in outcomes):
        lines.append(f"To see whether they run: {PROGRAM}")
    width = terminal_width()
    say(joined(part for line in lines for part in wrapped(line, width)))


def _has_problems(
    files: Sequence[ReadFile], rows: Sequence[Row], outcomes: Sequence[Outcome]
) -> bool:
    return (
        any(file.problem for file in files)
        or any(row.state == "cannot" for row in rows)
        or any(outcome.problem for outcome in outcomes)
    )

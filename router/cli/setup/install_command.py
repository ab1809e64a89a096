"""`mcp-router install`: puts this router into the files of MCP clients.

Invariants: nothing is written before it was shown, and asked unless `--yes` was given. A problem
with one client keeps no other client from being changed.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from router.cli.arguments import options_of
from router.cli.terminal import complain, say
from router.config.options import Options, locate, with_data_folder
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from router.client_files.clients.client import Client
    from router.client_files.importing.itself import OwnAddresses
    from router.client_files.importing.plan import Known
    from router.client_files.installing.ledger import Ledger
    from router.client_files.installing.linked_router import LinkedRouter
    from router.client_files.installing.plans import FilePlan
    from router.client_files.installing.targets import Target
    from router.config.options import Paths
    from router.config.settings import Settings

AI_ASSISTANT: Final = "ai-assistant"
"""A client whose settings are in no file that can be written to: it gets a text to paste."""

DESCRIPTION: Final = f"""\
Put this router into MCP clients. Clients are claude-desktop, claude-code, cursor, vscode,
windsurf, zed, codex, gemini, opencode, cline, jetbrains and lm-studio; for {AI_ASSISTANT} of
JetBrains, a text to paste is printed. jetbrains stands for junie and copilot-jetbrains as well.

Clients that speak HTTP get the router's URL, the others a command that joins the running router.
Everything else in their files stays byte for byte, and `mcp-router uninstall` undoes it."""

EXAMPLES: Final = """
mcp-router install cursor claude-desktop
mcp-router install --all --dry-run
mcp-router install vscode --view work
mcp-router install claude-code --move"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the operands and options of `install`."""
    parser.add_argument("clients", metavar="CLIENT", nargs="*", default=[], help="clients")
    parser.add_argument("--all", action="store_true", help="all clients that are on this machine")
    parser.add_argument(
        "--view", metavar="NAME", help="what they see: the name of a profile or of an instance"
    )
    parser.add_argument(
        "--standalone", action="store_true", help="let each client start a router of its own"
    )
    parser.add_argument(
        "--move",
        action="store_true",
        help="take the servers out of the clients that the router has as well",
    )
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

    options = options_of(arguments)
    paths = locate(options, os.environ, Path.cwd())
    clients = _clients(arguments)
    settings, paths = _settings(arguments, paths)
    router = _router(arguments, settings, paths)
    if not {AI_ASSISTANT, "jetbrains"}.isdisjoint(arguments.clients):
        _show_snippet(router)
    plans, has_problem = _plans(arguments, clients, router, settings, paths)
    to_do = [plan for plan in plans if not plan.is_nothing]
    for plan in plans:
        if plan.is_nothing:
            say(f"{_title(plan)} has this router already; {plan.content.path} stays as it is.\n")
        else:
            client_changes.show(plan)
    if to_do and arguments.dry_run:
        say("Nothing was written.\n")
    elif to_do and not client_changes.is_agreed(to_do, is_yes=arguments.yes):
        say("Nothing was changed.\n")
    elif to_do:
        has_problem = _carry_out(to_do, Ledger.of_user()) or has_problem
    return 1 if has_problem else 0


def _clients(arguments: argparse.Namespace) -> list[Client]:
    from router.cli.setup.client_changes import chosen_clients

    names = [name for name in arguments.clients if name != AI_ASSISTANT]
    if not names and AI_ASSISTANT in arguments.clients and not arguments.all:
        return []
    return chosen_clients(names, is_all=arguments.all, command="install")


def _settings(arguments: argparse.Namespace, paths: Paths) -> tuple[Settings, Paths]:
    """Return the settings and the folders of the router.

    Raises:
        ConfigError: config.json cannot be read, or there is no place for a view of this name.
    """
    from router.cli.local.check import check_view
    from router.config.profiles import DEFAULT_VIEWS
    from router.config.settings import settings_as_written

    options = options_of(arguments)
    settings = settings_as_written(paths.config)
    paths = with_data_folder(paths, options, settings.watcher.watch_path)
    if options.view in DEFAULT_VIEWS and not arguments.standalone:
        _check_place(options.view, settings, paths)
    elif options.view is not None:
        check_view(options, settings, paths, os.environ)
    return settings, paths


def _check_place(view: str, settings: Settings, paths: Paths) -> None:
    from router.instance_files.reader import load_instances

    specs = load_instances(paths.data, os.environ, secrets_file=paths.secrets).specs
    if view not in (*settings.profiles, *(spec.name for spec in specs)):
        problem = f"{view} has no place of its own"
        way_out = "name a profile or an instance, set server.view in config.json, or --standalone"
        raise ConfigError("--view", f"{problem}; {way_out}")


def _router(arguments: argparse.Namespace, settings: Settings, paths: Paths) -> LinkedRouter:
    from router.cli.own_program import program_words
    from router.client_files.installing.linked_router import LinkedRouter

    config = paths.config.resolve()
    # A config file that is named has its data beside it; that of the user has it elsewhere.
    named = locate(Options(config=str(config)), os.environ, Path.cwd())
    named = with_data_folder(named, Options(), settings.watcher.watch_path)
    data = paths.data.resolve()
    return LinkedRouter.from_settings(
        settings,
        config,
        program_words(),
        view=arguments.view,
        is_standalone=arguments.standalone,
        data=None if data == named.data.resolve() else data,
    )


def _show_snippet(router: LinkedRouter) -> None:
    from router.client_files.installing.entries import snippet

    say("AI Assistant: paste this in Settings | Tools | AI Assistant | Model Context Protocol:\n")
    say(f"{json.dumps(snippet(router), indent=2, ensure_ascii=False)}\n")


# --- Plans -----------------------------------------------------------------------------------


def _plans(
    arguments: argparse.Namespace,
    clients: Sequence[Client],
    router: LinkedRouter,
    settings: Settings,
    paths: Paths,
) -> tuple[list[FilePlan], bool]:
    """Return the plans, and whether there is a client without one."""
    from router.client_files.clients.client import Machine
    from router.client_files.importing.itself import OwnAddresses
    from router.client_files.installing.targets import target_of

    targets = [target_of(client, Machine.this_one()) for client in clients]
    targets = _without_absent_relatives(targets, arguments.clients)
    if arguments.all:
        targets = [target for target in targets if target.is_here]
        if not targets:
            complain("none of the clients is on this machine")
            return [], True
    own = OwnAddresses.from_settings(settings)
    known = _known(settings, paths) if arguments.move else None
    is_place = arguments.view is not None and not arguments.standalone
    seen = _seen(arguments.view or settings.server.view, settings, is_place=is_place)
    plans: list[FilePlan] = []
    for target in targets:
        try:
            plans.append(_plan(target, router, known, seen))
            if known is None:
                _tell_other_entries(target, own)
        except ConfigError as exc:
            complain(str(exc))
    return plans, len(plans) < len(targets)


def _without_absent_relatives(targets: list[Target], names: Sequence[str]) -> list[Target]:
    """Leave out absent clients of a family such as `jetbrains`, if another of it is here."""
    here = {target.client.family for target in targets if target.is_here} & set(names)
    return [target for target in targets if target.is_here or target.client.family not in here]


def _seen(view: str, settings: Settings, *, is_place: bool) -> tuple[str, ...]:
    """Return patterns of the names of the instances in a view, or at the place of this name."""
    from router.config.profiles import DEFAULT_VIEWS

    profile = settings.profiles.get(view)
    if profile is not None:
        return profile.instances
    return ("*",) if view in DEFAULT_VIEWS and not is_place else (view,)


def _plan(
    target: Target, router: LinkedRouter, known: Known | None, seen: tuple[str, ...]
) -> FilePlan:
    from router.client_files.installing.entries import entry_for
    from router.client_files.installing.moves import servers_to_move
    from router.client_files.installing.plans import plan_install

    moved = () if known is None else servers_to_move(target, known, seen)
    return plan_install(target, entry_for(target.client, router), moved)


def _tell_other_entries(target: Target, own: OwnAddresses) -> None:
    from router.client_files.installing.moves import other_entries_of_router

    for name in other_entries_of_router(target, own):
        way_out = "take it out by hand, or with --move"
        complain(f"{target.path}: '{name}' leads to this router as well; {way_out}")


def _known(settings: Settings, paths: Paths) -> Known:
    """Return what the router has already, to compare the servers of clients with it."""
    from router.cli.setup.import_command import known_of, store_of

    return known_of(paths, settings, store_of(paths))


# --- Carrying out ----------------------------------------------------------------------------


def _carry_out(plans: Sequence[FilePlan], ledger: Ledger) -> bool:
    """Change the files, and return whether there was a problem."""
    from router.client_files.installing.carry_out import carry_out_install

    done: list[FilePlan] = []
    for plan in plans:
        try:
            carry_out_install(plan, ledger, datetime.now(UTC))
        except ConfigError as exc:
            complain(str(exc))
        except OSError as exc:
            complain(f"{ledger.folder}: {exc.strerror or exc}; {plan.content.path} is as it was")
        else:
            done.append(plan)
    for plan in done:
        say(f"{_title(plan)} has this router from its next start on.\n")
        for note in plan.notes:
            say(f"  {note[:1].upper()}{note[1:]}.\n")
    if done:
        names = " ".join(plan.client for plan in done)
        say(f"To undo it: mcp-router uninstall {names}\n")
    return len(done) < len(plans)


def _title(plan: FilePlan) -> str:
    from router.client_files.clients.table import client_named

    return client_named(plan.client).title

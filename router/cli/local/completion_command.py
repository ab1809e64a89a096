"""`mcp-router completion bash|zsh|fish`: prints what makes a shell complete the command line.

The shell then asks this program at each TAB (`complete`), by argcomplete's protocol. So commands,
options, and the names of instances and profiles are always those there are.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from router.cli.arguments import PROGRAM, parser_of
from router.cli.commands import COMMANDS
from router.cli.terminal import say
from router.config.options import Options, locate, with_data_folder
from router.config.settings import settings_as_written
from router.instance_files.reader import load_instances

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

DESCRIPTION: Final = """\
Print the lines that make your shell complete commands, options, and names of servers at TAB."""

EXAMPLES: Final = """
mcp-router completion bash >> ~/.bashrc
mcp-router completion zsh >> ~/.zshrc
mcp-router completion fish > ~/.config/fish/completions/mcp-router.fish"""

SHELLS: Final = ("bash", "zsh", "fish")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the operand of `completion`."""
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help=", ".join(SHELLS))


def run(arguments: argparse.Namespace) -> int:
    """Print the lines for the shell."""
    # For start-up time: only here and at TAB.
    from argcomplete.shell_integration import shellcode

    say(shellcode([PROGRAM], shell=arguments.shell).strip() + "\n")
    return 0


def complete() -> None:
    """Answer the shell that asks at TAB, and end the process."""
    # For start-up time: as above.
    import argcomplete

    argcomplete.autocomplete(_parser_of_all(), always_complete_options="long")


def _parser_of_all() -> argparse.ArgumentParser:
    """Return a parser of the whole command line, as argcomplete understands it."""
    parser = argparse.ArgumentParser(prog=PROGRAM, add_help=False)
    words = parser.add_subparsers()
    for command in COMMANDS:
        of_command = parser_of(command)
        for action in of_command._actions:
            completer = _COMPLETERS.get(action.dest)
            if completer is not None and action.choices is None:
                setattr(action, "completer", completer)  # noqa: B010 - argcomplete reads it
        words.add_parser(command.name, parents=[of_command], add_help=False, help=command.summary)
    words.add_parser("help", add_help=False, help="print the list of commands")
    return parser


def _paths_and_settings(given: argparse.Namespace) -> Any:
    options = Options(config=getattr(given, "config", None), data=getattr(given, "data", None))
    paths = locate(options, os.environ, Path.cwd())
    settings = settings_as_written(paths.config)
    return with_data_folder(paths, options, settings.watcher.watch_path), settings


def _instances(parsed_args: argparse.Namespace, **_: object) -> Iterable[str]:
    paths, _settings = _paths_and_settings(parsed_args)
    return [spec.name for spec in load_instances(paths.data, os.environ).specs]


def _views(parsed_args: argparse.Namespace, **_: object) -> Iterable[str]:
    _paths, settings = _paths_and_settings(parsed_args)
    from router.config.profiles import DEFAULT_VIEWS

    return dict.fromkeys([*DEFAULT_VIEWS, *settings.profiles, *_instances(parsed_args)])


def _clients(**_: object) -> Iterable[str]:
    from router.client_files.clients.table import CLIENTS

    return [client.name for client in CLIENTS]


_COMPLETERS: Final[dict[str, Callable[..., Iterable[str]]]] = {
    "clients": _clients,
    "instance": _instances,
    "instances": _instances,
    "view": _views,
}
"""By the name of an operand or option."""

"""The table of all commands: names, summaries, and the modules that carry them out.

A command's module has `DESCRIPTION` and `EXAMPLES` for its help, `add_arguments(parser)` for its
own operands and options, and `run(arguments)`, which returns the exit status.

Invariant: the table imports no command. A command's module is imported when it is run, or when its
help is printed, and imports what is heavy in `run`: a client waits for the start of a router.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol, cast

from msgspec import Struct

if TYPE_CHECKING:
    import argparse


class CommandModule(Protocol):
    """The module of a command.

    Attributes:
        DESCRIPTION: sentences for its help.
        EXAMPLES: command lines for its help, one a line.
    """

    DESCRIPTION: str
    EXAMPLES: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's own operands and options."""
        ...

    def run(self, arguments: argparse.Namespace) -> int:
        """Carry the command out and return the exit status."""
        ...


class Command(Struct, frozen=True):
    """A command.

    Attributes:
        name: the word for it on the command line.
        group: the heading under which the list of commands has it.
        summary: its row in that list.
        module: the name of its module.
        takes_rest: words may follow `--`.
    """

    name: str
    group: str
    summary: str
    module: str
    takes_rest: bool = False

    def load(self) -> CommandModule:
        """Import the command's module."""
        return cast("CommandModule", import_module(self.module))


_SERVING: Final = "router.cli.serving"
_RUNNING: Final = "router.cli.running"
_LOCAL: Final = "router.cli.local"
_LOGINS: Final = "router.cli.logins"
_CALLING: Final = "router.cli.calling"
_CHANGING: Final = "router.cli.changing"
_APPROVING: Final = "router.cli.approving"
_SETUP: Final = "router.cli.setup"

SERVE: Final = Command(
    "serve", "Serve", "serve on one transport or several", f"{_SERVING}.serve_command"
)

COMMANDS: Final = (
    SERVE,
    Command("stdio", "Serve", "serve on stdin and stdout", f"{_SERVING}.mode_command"),
    Command("http", "Serve", "serve streamable HTTP", f"{_SERVING}.mode_command"),
    Command("sse", "Serve", "serve HTTP+SSE", f"{_SERVING}.mode_command"),
    Command("api", "Serve", "serve the REST API alone", f"{_SERVING}.mode_command"),
    Command(
        "connect",
        "Serve",
        "carry a client on stdin and stdout to a running router",
        f"{_RUNNING}.connect_command",
    ),
    Command("status", "Look", "show the servers of a running router", f"{_RUNNING}.status_command"),
    Command("logs", "Look", "print its log while it is written", f"{_RUNNING}.logs_command"),
    Command("tools", "Look", "list tools, or show one", f"{_CALLING}.tools_command"),
    Command("resources", "Look", "list resources, or read one", f"{_CALLING}.resources_command"),
    Command("prompts", "Look", "list prompts, or fill one in", f"{_CALLING}.prompts_command"),
    Command("search", "Look", "search as a model does", f"{_RUNNING}.search_command"),
    Command("inspect", "Look", "tell all about one server", f"{_RUNNING}.inspect_command"),
    Command(
        "approvals", "Look", "show calls that wait for a yes", f"{_APPROVING}.approvals_command"
    ),
    Command("call", "Use", "call a tool", f"{_CALLING}.call_command"),
    Command("approve", "Use", "have a call carried out", f"{_APPROVING}.decide_command"),
    Command("deny", "Use", "refuse a call", f"{_APPROVING}.decide_command"),
    Command(
        "login", "Use", "log in to a remote server in your browser", f"{_LOGINS}.login_command"
    ),
    Command("logout", "Use", "forget such a login", f"{_LOGINS}.logout_command"),
    Command("restart", "Change", "start servers anew", f"{_CHANGING}.switch_command"),
    Command("enable", "Change", "start servers, now and always", f"{_CHANGING}.switch_command"),
    Command("disable", "Change", "stop servers for good", f"{_CHANGING}.switch_command"),
    Command("remove", "Change", "remove servers", f"{_CHANGING}.remove_command"),
    Command(
        "add",
        "Change",
        "add a server",
        f"{_LOCAL}.add_command",
        takes_rest=True,
    ),
    Command("init", "Set up", "make a folder with a config.json", f"{_LOCAL}.init_command"),
    Command("import", "Set up", "take over the servers of MCP clients", f"{_SETUP}.import_command"),
    Command("install", "Set up", "put this router into MCP clients", f"{_SETUP}.install_command"),
    Command("uninstall", "Set up", "take it out of them again", f"{_SETUP}.uninstall_command"),
    Command("doctor", "Set up", "find what is wrong, and the fix", f"{_LOCAL}.doctor_command"),
    Command("secret", "Set up", "keep secrets for ${secret:NAME}", f"{_SETUP}.secret_command"),
    Command("check", "Set up", "find mistakes in config.json and data/", f"{_LOCAL}.check_command"),
    Command(
        "completion", "Set up", "make your shell complete names", f"{_LOCAL}.completion_command"
    ),
    Command(
        "systemd", "Set up", "print units of systemd for this router", f"{_LOCAL}.systemd_command"
    ),
)
"""All commands, in the order of the list."""

BY_NAME: Final = {command.name: command for command in COMMANDS}

"""Reads the arguments of the command line: the command, its operands and its options.

Options stand before, after and between the words of a command. What follows `--` belongs to the
command as it is, such as the command line of a server.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Final, NoReturn

from router.cli.commands import BY_NAME, COMMANDS, SERVE
from router.config.options import Options
from router.config.values import LEVELS, MODES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from router.cli.commands import Command

PROGRAM: Final = "mcp-router"

_TAKE_A_VALUE: Final = frozenset(
    {
        *("-c", "--config", "--data", "-l", "--level", "--log-level", "--transport", "--host"),
        *("--port", "--view", "--url", "--token", "--person"),
    }
)
"""Options that may stand before the command, with their value as the next word."""

_LIKENESS: Final = 0.75
"""Of a word and the command or option that was meant: two letters of five are swapped (`tolos`)."""

_EXAMPLES: Final = (
    f"{PROGRAM} serve --transport http --transport sse",
    f"{PROGRAM} stdio --config ~/mcp/config.json",
)


class UsageError(Exception):
    """Arguments that cannot be understood; the text is for a person.

    Attributes:
        command: the command whose help says what can be; None for the list of commands.
    """

    def __init__(self, problem: str, command: str | None = None) -> None:
        super().__init__(problem)
        self.command = command


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # Without it, argparse prints a usage of its own and exits.
        raise UsageError(message)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the arguments.

    Returns:
        The options and operands of the command by their names, `command` (None for none), and
        `rest`, the words after `--`. With `help` or `version`, of which one is then True, `command`
        is the one whose help is wanted, and nothing else counts.

    Raises:
        UsageError: they cannot be understood, or do not go together.
    """
    words, rest = _split(argv)
    name, words = _take_command(words)
    asked = argparse.Namespace(command=name, help=False, version=False)
    if name == "help" or not {"-h", "--help", "-v", "--version"}.isdisjoint(words):
        asked.version = name != "help" and {"-h", "--help"}.isdisjoint(words)
        asked.help = not asked.version
        if name == "help":
            asked.command = next((word for word in words if not word.startswith("-")), None)
            if asked.command not in (None, "help", *BY_NAME):
                raise UsageError(_problem_of_command(asked.command, words))
        return asked
    if name is not None and name not in BY_NAME:
        raise UsageError(_problem_of_command(name, argv))
    parser = parser_of(BY_NAME.get(name or "", SERVE))
    try:
        arguments, extra = parser.parse_known_intermixed_args(words)
        _refuse_extra(extra, parser, name)
    except argparse.ArgumentError as exc:
        raise UsageError(str(exc), name) from None
    except UsageError as exc:
        # Something may be missing because an option was misspelled.
        _refuse_unknown_options(words, parser, name)
        raise UsageError(str(exc), name) from None
    if rest and not (name and BY_NAME[name].takes_rest):
        raise UsageError(f"unexpected {rest[0]!r} after --", name)
    arguments.command, arguments.rest = name, rest
    arguments.help = arguments.version = False
    return arguments


def parser_of(command: Command) -> argparse.ArgumentParser:
    """Return the parser of a command's arguments, which has the command's help as well."""
    module = command.load()
    lines = [line for line in module.EXAMPLES.splitlines() if line.strip()]
    parser = _Parser(
        prog=f"{PROGRAM} {command.name}",
        description=module.DESCRIPTION,
        epilog="\n".join(["examples:", *(f"  {line.strip()}" for line in lines)]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
        allow_abbrev=False,
        exit_on_error=False,
    )
    module.add_arguments(parser)
    common = parser.add_argument_group("options of every command")
    common.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        help="instead of $MCP_ROUTER_CONFIG, ./config.json or the user's config folder",
    )
    common.add_argument("--data", metavar="DIR", help="the folder of servers, instead of data/")
    common.add_argument(
        "-l",
        "--level",
        "--log-level",
        metavar="LEVEL",
        type=str.upper,
        choices=LEVELS,
        help=", ".join(LEVELS),
    )
    common.add_argument("-h", "--help", action="store_true", help="print this")
    common.add_argument("-v", "--version", action="store_true", help="print the version")
    return parser


def usage() -> str:
    """Return the help of the program: the list of commands, by group."""
    groups: dict[str, list[Command]] = {}
    for command in COMMANDS:
        groups.setdefault(command.group, []).append(command)
    width = max(len(command.name) for command in COMMANDS)
    lines = [
        "MCP Router: one endpoint in front of all your MCP servers.",
        "",
        f"Usage: {PROGRAM} [COMMAND] [OPTIONS]",
    ]
    for group, commands in groups.items():
        lines += ["", f"{group}:"]
        lines += [f"  {command.name:{width}}  {command.summary}" for command in commands]
    lines += [
        "",
        "Without a command it serves as server.transport_type in config.json says; in a terminal,",
        "where that is stdio, it shows what runs and what to do next.",
        "",
        f"`{PROGRAM} COMMAND --help` says more of a command, with examples.",
        "",
        "Examples:",
        *(f"  {example}" for example in _EXAMPLES),
        "",
    ]
    return "\n".join(lines)


# --- Options that several commands have ------------------------------------------------------


def add_serving_options(parser: argparse.ArgumentParser, *, view: bool = True) -> None:
    """Add the options of commands that serve, or that look at how it would be served."""
    parser.add_argument("--host", type=_host, help="where http, sse and api listen")
    parser.add_argument(
        "--port", type=_port, help="for the one of http, sse and api that listens; 0 is any"
    )
    if view:
        parser.add_argument(
            "--view",
            metavar="NAME",
            help="what clients see by default, in place of server.view: auto, direct, search, "
            "router, or the name of a profile or of an instance",
        )


def add_transports(parser: argparse.ArgumentParser) -> None:
    """Add `--transport`, which may be repeated."""
    parser.add_argument(
        "--transport",
        action="append",
        choices=MODES,
        default=[],
        help=f"{', '.join(MODES)}; may be repeated",
    )


def add_router_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of commands that ask a running router."""
    parser.add_argument(
        "--url", help="the REST API of the router, instead of that of config.json on this machine"
    )
    parser.add_argument("--token", help="the token for it; else $MCP_ROUTER_TOKEN")


def options_of(arguments: argparse.Namespace) -> Options:
    """Return the options that override settings or say where files are."""
    given: dict[str, Any] = vars(arguments)
    bare_mode = (arguments.command,) if arguments.command in MODES else ()
    return Options(
        modes=(*bare_mode, *given.get("transport", ())),
        config=arguments.config,
        data=arguments.data,
        host=given.get("host"),
        port=given.get("port"),
        level=arguments.level,
        view=given.get("view"),
    )


def _host(text: str) -> str:
    if not text or any(character.isspace() or character in "/@" for character in text):
        raise argparse.ArgumentTypeError(f"expected a host such as 127.0.0.1, got {text!r}")
    return text


def _port(text: str) -> int:
    if text.isascii() and text.isdecimal() and int(text[:6]) <= 65535:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, got {text!r}")


# --- Words -----------------------------------------------------------------------------------


def _split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the words before the first `--`, and those after it."""
    words = list(argv)
    if "--" not in words:
        return words, []
    at = words.index("--")
    return words[:at], words[at + 1 :]


def _take_command(words: list[str]) -> tuple[str | None, list[str]]:
    """Return the first word that is neither an option nor the value of one, and the others."""
    at = 0
    while at < len(words):
        if not words[at].startswith("-"):
            return words[at], words[:at] + words[at + 1 :]
        at += 2 if words[at] in _TAKE_A_VALUE else 1
    return None, words


def _refuse_extra(extra: Sequence[str], parser: argparse.ArgumentParser, name: str | None) -> None:
    for word in extra:
        if word.startswith("-"):
            problem = _problem_of_option(word.partition("=")[0], parser, name)
            raise UsageError(f"{problem}{_way_out(name)}")
        raise UsageError(f"unexpected {word!r} after {name}{_way_out(name)}")


def _refuse_unknown_options(
    words: Sequence[str], parser: argparse.ArgumentParser, name: str | None
) -> None:
    options = _options_of(parser)
    for word in words:
        option = word.partition("=")[0]
        if option.startswith("--") and option not in options:
            problem = _problem_of_option(option, parser, name)
            raise UsageError(f"{problem}{_way_out(name)}", name)


def _way_out(name: str | None) -> str:
    if name and BY_NAME[name].takes_rest:
        return "; the command line of a server follows after --"
    return ""


def _problem_of_command(name: str, argv: Sequence[str]) -> str:
    before = argv[0].partition("=")[0]
    if before.startswith("--") and before not in _TAKE_A_VALUE:
        # Its value was taken for the command.
        return _problem_of_option(before, parser_of(SERVE), None)
    there_are = f"; there are {', '.join(BY_NAME)}"
    return f"there is no command {name!r}" + (_meant(name, BY_NAME) or there_are)


def _problem_of_option(option: str, parser: argparse.ArgumentParser, name: str | None) -> str:
    others = [one.name for one in COMMANDS if option in _options_of(parser_of(one))]
    if others:
        return f"{option} is for {_listed(others)}"
    problem = f"there is no option {option}" + (f" for {name}" if name else "")
    return problem + _meant(option, _options_of(parser))


def _options_of(parser: argparse.ArgumentParser) -> Iterable[str]:
    return parser._option_string_actions


def _listed(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _meant(wrong: str, names: Iterable[str]) -> str:
    """Return the end of an error, which asks for the name that was probably meant."""
    # For start-up time: only an error needs it.
    from router.core.text.nearest_names import likely_meant

    name = likely_meant(wrong, names, _LIKENESS)
    return f". Did you mean {name}?" if name else ""

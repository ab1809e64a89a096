"""Arguments that are understood, and those that are refused."""

from __future__ import annotations

import re

import pytest

from router.cli.arguments import UsageError, options_of, parse
from router.cli.commands import COMMANDS, Command


@pytest.mark.parametrize(
    ("words", "modes"),
    [
        ([], []),
        (["serve"], []),
        (["stdio"], ["stdio"]),
        (["http"], ["http"]),
        (["serve", "--transport", "http", "--transport", "sse"], ["http", "sse"]),
        (["--transport=sse"], ["sse"]),
    ],
)
def test_modes_are_understood(words: list[str], modes: list[str]) -> None:
    assert list(options_of(parse(words)).modes) == modes


@pytest.mark.parametrize(
    "words",
    [
        ["-c", "f", "--data", "d", "-l", "debug", "--host", "h", "--port", "7", "http"],
        ["http", "--config", "f", "--data=d", "--level", "DEBUG", "--host", "h", "--port=7"],
        ["http", "-c", "f", "--log-level", "DEBUG", "--data=d", "--host", "h", "--port", "7"],
        ["-cf", "-lDebug", "http", "--data", "d", "--host", "h", "--port", "7"],
    ],
)
def test_options_stand_before_or_after_the_command(words: list[str]) -> None:
    options = options_of(parse(words))
    assert options.modes == ("http",)
    assert (options.config, options.data, options.level) == ("f", "d", "DEBUG")
    assert (options.host, options.port) == ("h", 7)


@pytest.mark.parametrize("command", [[], ["serve"], ["stdio"], ["http"], ["sse"], ["check"]])
def test_view_is_for_every_command_that_serves_mcp(command: list[str]) -> None:
    assert options_of(parse([*command, "--view", "文件"])).view == "文件"
    assert options_of(parse(command)).view is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["frobnicate"], "there is no command 'frobnicate'; there are serve, stdio, http"),
        (["--no-such-option"], "--no-such-option"),
        (["serve", "--transport", "carrier-pigeon"], "invalid choice: 'carrier-pigeon'"),
        (["http", "sse"], "unexpected 'sse' after http"),
        (["http", "--transport", "sse"], "--transport is for serve"),
        (["-l", "LOUD"], "invalid choice: 'LOUD'"),
        (["--port", "65536"], "expected a port from 0 to 65535, got '65536'"),
        (["--port", "x"], "expected a port from 0 to 65535, got 'x'"),
        (["--port"], "expected one argument"),
        (["--host", "a b"], "expected a host such as 127.0.0.1"),
        (["--host", ""], "expected a host such as 127.0.0.1"),
        (["add", "a", "b", "c", "d"], "unexpected 'd' after add"),
        (["--conf", "x"], "there is no option --conf"),
        (["status", "--jsn"], "there is no option --jsn for status. Did you mean --json?"),
        (["stats"], "there is no command 'stats'. Did you mean status?"),
        (["help", "statsu"], "there is no command 'statsu'. Did you mean status?"),
        (["call", "--hlep"], "there is no option --hlep for call. Did you mean --help?"),
        (["add", "a", "npx", "-y", "b"], "; the command line of a server follows after --"),
        (["statsu"], "there is no command 'statsu'. Did you mean status?"),
        (["tolos"], "there is no command 'tolos'. Did you mean tools?"),
        (["status", "--wacth"], "there is no option --wacth for status. Did you mean --watch?"),
        (["serve", "--json"], "--json is for status"),
        (["http", "--token", "x"], "--token is for "),
        (["check", "--url", "http://x"], "--url is for "),
        (["status", "-f"], "-f is for logs"),
        (["status", "--view", "x"], "--view is for serve, stdio, http, sse, "),
        (["api", "--view", "x"], "--view is for serve, stdio, http, sse, "),
    ],
)
def test_arguments_without_sense_are_refused(words: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        parse(words)


def test_only_what_is_required_is_said_to_be() -> None:
    with pytest.raises(UsageError, match=r"required: INSTANCE, TOOL$"):
        parse(["call"])


def test_what_follows_two_dashes_is_left_as_it_is() -> None:
    arguments = parse(["add", "a", "b", "--data", "d", "--", "npx", "-y", "--url"])
    assert (arguments.data, arguments.rest) == ("d", ["npx", "-y", "--url"])
    with pytest.raises(UsageError, match="unexpected 'npx' after --"):
        parse(["status", "--", "npx"])


@pytest.mark.parametrize("words", [["frobnicate", "-h"], ["http", "sse", "--version"]])
def test_help_and_version_are_given_whatever_else_is_there(words: list[str]) -> None:
    arguments = parse(words)
    assert arguments.help or arguments.version


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_examples_leave_references_to_the_router(command: Command) -> None:
    # Between double quotes, the shell would put in its own variable.
    assert not re.search(r'"[^"\'\n]*\$\{', command.load().EXAMPLES)

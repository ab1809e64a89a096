"""One entry of a `mcp_settings.json`: names, types, values and limits."""

from __future__ import annotations

import json
from typing import Any

import pytest

from router.instance_files.entry.entries import infer_type, read_entry
from router.instance_files.entry.entry_location import EntryLocation
from router.messages.errors import ConfigError
from router.messages.instances.instance_spec import InstanceSpec
from router.references.expander import Expander
from tests.router.instance_files.reading import COMMAND, ENVIRON, URL, problem, read

# --- Names ------------------------------------------------------------------------------------


def test_name_and_provider_have_their_defaults() -> None:
    spec = read(COMMAND, "mine")
    assert (spec.name, spec.provider) == ("mine", "github")
    assert spec.display_name == "mine (provider: github)"
    assert spec.source == "data/github/mcp_settings.json"


def test_name_and_provider_of_the_entry_count() -> None:
    spec = read({**COMMAND, "name": "数据_1", "provider": "Acme"})
    assert (spec.name, spec.provider) == ("数据_1", "Acme")


@pytest.mark.parametrize("name", ["a/b", "", 5, "a\nb", "NUL"])
def test_unusable_name_is_a_problem_of_the_instance_that_is_listed_by_its_default(
    name: Any,
) -> None:
    spec = read({**COMMAND, "name": name})
    assert spec.name == "github"
    assert spec.problem == (
        "data/github/mcp_settings.json: mcpServers.github.name: expected letters, digits, _, - "
        "and CJK letters, at most 100, not beginning with -, and no device of Windows such as con, "
        f"got {json.dumps(name)}"
    )


def test_entry_without_any_usable_name_cannot_be_listed() -> None:
    location = EntryLocation("data/a b/mcp_settings.json", "", "a b", "a b")
    read_it = read_entry(COMMAND, location, Expander(ENVIRON))
    assert isinstance(read_it, ConfigError)
    assert str(read_it) == (
        "data/a b/mcp_settings.json: name: expected letters, digits, _, - and CJK letters, "
        'at most 100, not beginning with -, and no device of Windows such as con, got "a b"'
    )


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("awslabs.core-mcp-server", "awslabs-core-mcp-server"),
        ("@scope/Pkg 7", "scope-Pkg-7"),
        ("x" * 101, "x" * 100),
    ],
)
def test_key_that_is_no_name_is_refused_with_a_name_to_give(key: str, name: str) -> None:
    location = EntryLocation("data/a/mcp_settings.json", f"mcpServers.{key}", "a", key)
    read_it = read_entry(COMMAND, location, Expander(ENVIRON))
    assert isinstance(read_it, ConfigError)
    assert str(read_it).endswith(f'; give it another one with "name": "{name}"')
    assert isinstance(read_entry({**COMMAND, "name": name}, location, Expander({})), InstanceSpec)


def test_key_with_nothing_to_make_a_name_of_gets_no_hint() -> None:
    location = EntryLocation("data/a/mcp_settings.json", "mcpServers...", "a", "..")
    assert str(read_entry(COMMAND, location, Expander(ENVIRON))).endswith('got ".."')


def test_folder_that_cannot_be_a_provider_may_hold_an_entry_that_names_one() -> None:
    location = EntryLocation("data/a b/mcp_settings.json", "", "a b", "a b")
    entry = {**COMMAND, "name": "x", "provider": "ab"}
    assert isinstance(read_entry(entry, location, Expander(ENVIRON)), InstanceSpec)


# --- Type -------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["type", "transport"])
@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("stdio", "stdio"),
        ("sse", "sse"),
        ("http", "http"),
        ("HTTP", "http"),
        ("streamableHttp", "http"),
        ("streamable-http", "http"),
        ("streamable_http", "http"),
    ],
)
def test_type_is_understood_in_all_its_spellings(key: str, written: str, kind: str) -> None:
    entry = COMMAND if kind == "stdio" else URL
    spec = read({**entry, key: written})
    assert (spec.type, spec.try_sse, spec.problem) == (kind, False, None)


def test_type_counts_before_transport_and_null_is_none() -> None:
    assert read({**URL, "type": "sse", "transport": "http"}).type == "sse"
    assert read({**URL, "type": None, "transport": "sse"}).type == "sse"


@pytest.mark.parametrize(
    ("entry", "inferred"),
    [
        ({"command": "x"}, ("stdio", False)),
        ({"url": "x"}, ("http", True)),
        ({"serverUrl": "x"}, ("http", True)),
        ({"httpUrl": "x"}, ("http", False)),
        ({"command": None, "url": "x"}, ("http", True)),
        ({"command": "x", "url": "x"}, (None, False)),
        ({}, (None, False)),
    ],
)
def test_type_is_inferred_from_command_or_url(entry: dict[str, Any], inferred: object) -> None:
    assert infer_type(entry) == inferred


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({}, "there is neither a command nor a url"),
        (
            {**COMMAND, **URL},
            'there are both a command and a url; say with "type" which counts',
        ),
        (
            {**URL, "type": "stdio"},
            'type: is "stdio", so there must be a command, and there is none',
        ),
        (
            {**COMMAND, "transport": "sse"},
            'transport: is "sse", so there must be a url, and there is none',
        ),
        (
            {**COMMAND, "envFile": "${workspaceFolder}/.env"},
            'envFile: is not read here: put its variables into "env", such as "KEY": "${KEY}", '
            "and take it out",
        ),
        ({**URL, "type": "ws"}, 'type: expected one of stdio, http, sse, got "ws"'),
        ({**URL, "type": 1}, "type: expected one of stdio, http, sse, got 1"),
        ({"Command": "x", **COMMAND}, 'Command: unknown key; did you mean "command"?'),
        ({"isactive": False, **COMMAND}, 'isactive: unknown key; did you mean "isActive"?'),
    ],
)
def test_entry_that_contradicts_itself_says_so(entry: dict[str, Any], text: str) -> None:
    assert problem(entry) == text


def test_unknown_keys_are_ignored() -> None:
    assert read({**COMMAND, "trust": True, "x": {"y": 1}}).problem is None


# --- Active -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "is_active"),
    [
        ({}, True),
        ({"isActive": True}, True),
        ({"isActive": False}, False),
        ({"disabled": True}, False),
        ({"disabled": False}, True),
        ({"isActive": True, "disabled": True}, False),
        ({"isActive": None, "disabled": None}, True),
    ],
)
def test_instance_is_active_unless_it_says_otherwise(
    entry: dict[str, Any], *, is_active: bool
) -> None:
    assert read({**COMMAND, **entry}).is_active is is_active


def test_flag_of_another_type_is_a_problem() -> None:
    assert problem({**COMMAND, "isActive": "yes"}) == (
        'isActive: expected true or false, got "yes"'
    )


# --- Values -----------------------------------------------------------------------------------


def test_signs_of_a_shell_are_ordinary_characters() -> None:
    args = ["-c", "a; b | c & d > $(e) `f` && g", "$HOME", "${x##y}", "*", "'\""]
    spec = read({"command": "sh", "args": args, "env": {"A": "x;y|z&$"}})
    assert spec.problem is None
    assert spec.args == tuple(args)
    assert spec.env == {"A": "x;y|z&$"}


def test_references_expand_in_env_headers_url_and_args() -> None:
    reference = "${GITHUB_TOKEN}"
    spec = read({"command": "x", "args": [f"--t={reference}"], "env": {"T": reference}})
    assert (spec.args, spec.env) == (("--t=gh-s3cret-value",), {"T": "gh-s3cret-value"})
    spec = read({"url": f"https://x/{reference}", "headers": {"T": reference}})
    assert (spec.url, spec.headers) == ("https://x/gh-s3cret-value", {"T": "gh-s3cret-value"})


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ({**COMMAND, "env": {"TOKEN": "${UNSET}"}}, "env.TOKEN"),
        ({**COMMAND, "args": ["a", "--t=${UNSET}"]}, "args[1]"),
        ({"command": "${UNSET}"}, "command"),
        ({**COMMAND, "cwd": "${UNSET}"}, "cwd"),
        ({"url": "https://${UNSET}/mcp"}, "url"),
        ({"serverUrl": "${UNSET}"}, "serverUrl"),
        ({**URL, "headers": {"X-Key": "Bearer ${UNSET}"}}, "headers.X-Key"),
    ],
)
def test_missing_variable_is_a_problem_of_that_instance_and_named(
    entry: dict[str, Any], place: str
) -> None:
    assert problem(entry) == f"{place}: ${{UNSET}} is not set"


def test_input_of_an_editor_is_a_problem_that_says_what_to_set() -> None:
    assert problem({**COMMAND, "env": {"KEY": "${input:perplexity-key}"}}) == (
        "env.KEY: ${input:perplexity-key} only works in an editor: set an environment variable, "
        "such as PERPLEXITY_KEY, for the router and write ${PERPLEXITY_KEY} instead"
    )


def test_null_is_an_absent_key() -> None:
    strings = ("name", "provider", "type", "cwd", "protocol")
    keys = (*strings, "args", "env", "headers", "metadata", "timeout", "check_arguments")
    spec = read({**COMMAND, **dict.fromkeys(keys)})
    assert spec == read(COMMAND)
    assert read({**COMMAND, "env": {"A": None}}).env == {}


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("command", 5, "command: expected a string that is not empty, got 5"),
        ("command", " ", 'command: expected a string that is not empty, got " "'),
        ("command", ["npx"], "command: expected a string that is not empty, got an array"),
        ("cwd", "", 'cwd: expected a string that is not empty, got ""'),
        ("args", "x", "args: expected an array, got a string"),
        ("args", [{}], "args[0]: expected a string, got an object"),
        ("args", [True], "args[0]: expected a string, got true or false"),
        ("args", [None], "args[0]: expected a string, got null"),
        ("args", ["a\0b"], "args[0]: has a NUL character"),
        ("env", ["A=b"], "env: expected an object, got an array"),
        ("env", {"A": []}, "env.A: expected a string, got an array"),
        ("env", {"1A": "x"}, "env.1A: the key must be letters, digits and _, at most 200"),
        ("env", {"A=B": "x"}, "env.A=B: the key must be letters, digits and _, at most 200"),
        ("env", {"A\n": "x"}, 'env."A\\n": the key must be letters, digits and _, at most 200'),
        ("headers", {"A b": "x"}, "headers.A b: the key must be a header's name, at most 200"),
        ("headers", {"A": "x\r\nB: y"},
         "headers.A: has a line break or another control character"),
        ("metadata", [], "metadata: expected an object, got an array"),
        (
            "protocol",
            "2025-11-25",
            'protocol: expected one of "auto", "legacy", "2026-07-28", got "2025-11-25"',
        ),
        ("check_arguments", 1, "check_arguments: expected true or false, got 1"),
        ("protocol", 5, 'protocol: expected one of "auto", "legacy", "2026-07-28", got 5'),
        ("timeout", 0, "timeout: expected a positive number of seconds, got 0"),
        ("timeout", True, "timeout: expected a positive number of seconds, got true"),
        ("timeout", "5", 'timeout: expected a positive number of seconds, got "5"'),
        ("timeout", 10**400, f"timeout: expected a positive number of seconds, got 1{'0' * 56}..."),
    ],
)  # fmt: skip
def test_value_that_does_not_fit_is_named_with_its_path(key: str, value: Any, text: str) -> None:
    assert problem({**COMMAND, key: value}) == text


@pytest.mark.parametrize(
    "url",
    [
        "mcp.example.org",
        "ftp://x",
        "file:///etc/passwd",
        "http://",
        "https:///x",
        "http://a b",
        "x",
    ],
)
def test_what_is_no_url_is_refused_and_not_quoted(url: str) -> None:
    assert problem({"url": url}) == "url: expected a URL that begins with http:// or https://"


@pytest.mark.parametrize("url", ["http://x", "HTTPS://[::1]:8080/a?b=c#d", "https://u:p@x/é"])
def test_usable_urls(url: str) -> None:
    assert read({"url": url}).problem is None


def many(number: int, value: str = "x") -> dict[str, str]:
    return {f"K{n}": value for n in range(number)}


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({"command": "x" * 1000}, None),
        ({"command": "x" * 1001}, "command: is longer than 1,000 characters"),
        ({**COMMAND, "args": ["x" * 1000] * 100}, None),
        ({**COMMAND, "args": ["x"] * 101}, "args: has more than 100 elements"),
        ({**COMMAND, "args": ["x" * 1001]}, "args[0]: is longer than 1,000 characters"),
        ({**COMMAND, "env": many(100, "x" * 2000)}, None),
        ({**COMMAND, "env": many(101)}, "env: has more than 100 entries"),
        ({**COMMAND, "env": {"K": "x" * 2001}}, "env.K: is longer than 2,000 characters"),
        ({**COMMAND, "env": {"K" * 200: "x"}}, None),
        (
            {**COMMAND, "env": {"K" * 201: "x"}},
            f"env.{'K' * 201}: the key must be letters, digits and _, at most 200",
        ),
        ({"url": "http://" + "x" * 1993}, None),
        ({"url": "http://" + "x" * 1994}, "url: is longer than 2,000 characters"),
        ({**URL, "headers": many(50, "x" * 2000)}, None),
        ({**URL, "headers": many(51)}, "headers: has more than 50 entries"),
        ({**URL, "headers": {"K": "x" * 2001}}, "headers.K: is longer than 2,000 characters"),
        ({**COMMAND, "metadata": many(50)}, None),
        ({**COMMAND, "metadata": many(51)}, "metadata: has more than 50 entries"),
    ],
)
def test_limits(entry: dict[str, Any], text: str | None) -> None:
    if text is None:
        assert read(entry).problem is None
    else:
        assert problem(entry) == text


def test_all_problems_of_an_entry_are_told_together() -> None:
    spec = read({"command": 1, "args": 2, "env": 3})
    assert spec.problem is not None
    assert [part.split(": ")[1] for part in spec.problem.split("; ")] == [
        "mcpServers.github.command",
        "mcpServers.github.args",
        "mcpServers.github.env",
    ]


@pytest.mark.parametrize(
    ("timeout", "timeout_s"), [(5, 5), (0.5, 0.5), (3600, 3600), (3601, 3.601), (600_000, 600)]
)
def test_large_timeout_is_in_milliseconds(timeout: float, timeout_s: float) -> None:
    assert read({**COMMAND, "timeout": timeout}).timeout_s == timeout_s


@pytest.mark.parametrize("value", [True, False, None])
def test_whether_arguments_are_checked_may_be_given_and_is_left_open_otherwise(
    value: bool | None,
) -> None:
    assert read({**COMMAND, "check_arguments": value}).check_arguments is value
    assert read(COMMAND).check_arguments is None


def test_metadata_is_taken_as_it_is() -> None:
    metadata = {"description": "x", "tags": ["a", {"b": None}]}
    assert read({**COMMAND, "metadata": metadata}).metadata == metadata


@pytest.mark.parametrize("protocol", ["auto", "legacy", "2026-07-28"])
def test_protocol_is_auto_unless_it_is_given(protocol: str) -> None:
    assert read({**COMMAND, "protocol": protocol}).protocol == protocol
    assert read(COMMAND).protocol == "auto"


# --- Roots of clients ------------------------------------------------------------------------

PER_CLIENT: dict[str, Any] = {**COMMAND, "sessions": "per_client"}


def test_the_first_root_of_a_client_is_left_to_be_resolved_for_each_client() -> None:
    spec = read({**PER_CLIENT, "cwd": "${roots.0}", "args": ["--in=${roots.0}/src", "${PATH}"]})
    assert spec.problem is None
    assert (spec.cwd, spec.args) == ("${roots.0}", ("--in=${roots.0}/src", "/usr/bin"))
    assert spec.needs_roots
    resolved = spec.with_root("/work/a b")
    assert (resolved.cwd, resolved.args) == ("/work/a b", ("--in=/work/a b/src", "/usr/bin"))
    assert not resolved.needs_roots


@pytest.mark.parametrize("key", ["cwd", "args"])
def test_roots_of_clients_need_a_session_for_each_client(key: str) -> None:
    value = "${roots.0}" if key == "cwd" else ["${roots.0}"]
    step = "cwd" if key == "cwd" else "args[0]"
    assert problem({**COMMAND, key: value}) == (
        f"{step}: ${{roots.0}} is a folder of one client: give each client a session of its own "
        'with "sessions": "per_client"'
    )


@pytest.mark.parametrize("text", ["${roots.1}", "${roots}", "${roots.}", "${roots.00}"])
def test_only_the_first_root_is_known(text: str) -> None:
    found = problem({**PER_CLIENT, "cwd": text})
    assert found == "cwd: only the first root is known: write ${roots.0}"


@pytest.mark.parametrize(
    ("key", "value", "step"),
    [("command", "${roots.0}/run", "command"), ("env", {"DIR": "${roots.0}"}, "env.DIR")],
)
def test_roots_have_no_other_place(key: str, value: Any, step: str) -> None:
    expected = f'{step}: ${{roots.0}} only works in "cwd", "args" and "sandbox"'
    assert problem({**PER_CLIENT, key: value}) == expected

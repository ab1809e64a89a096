from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from router.client_files.clients.client import Dialect
from router.client_files.clients.table import client_named
from router.client_files.reading.entries import Origin, read_server

if TYPE_CHECKING:
    from router.client_files.reading.found import FoundServer

USER_FILE = Path("/home/me/.client/mcp.json")
PROJECT = Path("/code/shop")


def read(
    value: object,
    *,
    client: str = "",
    name: str = "one",
    project: Path | None = None,
    defaults: dict[str, str] | None = None,
) -> FoundServer:
    dialect = client_named(client).dialect if client else Dialect()
    scope = "user" if project is None else "project"
    origin = Origin(client, dialect, USER_FILE, scope, "mcpServers.one", project, defaults or {})
    return read_server(name, value, origin)


def entry_of(value: dict[str, Any], client: str = "") -> dict[str, Any]:
    found = read(value, client=client)
    assert found.problem is None
    return found.entry


# --- Transports ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "client", "entry"),
    [
        ({"command": "x", "type": "stdio"}, "", {"command": "x"}),
        ({"command": ["x", "-y"], "args": ["z"]}, "", {"command": "x", "args": ["-y", "z"]}),
        ({"command": {"path": "x", "args": ["a"], "env": {"A": "1"}}}, "zed",
         {"command": "x", "args": ["a"], "env": {"A": "1"}}),
        ({"url": "https://x.example"}, "", {"url": "https://x.example"}),
        ({"type": "http", "url": "https://x.example"}, "", {"url": "https://x.example"}),
        ({"type": "streamable-http", "url": "https://x.example"}, "", {"url": "https://x.example"}),
        ({"type": "streamableHttp", "url": "https://x.example"}, "", {"url": "https://x.example"}),
        ({"transport": "sse", "url": "https://x.example"}, "",
         {"type": "sse", "url": "https://x.example"}),
        ({"transportType": "sse", "url": "https://x.example"}, "",
         {"type": "sse", "url": "https://x.example"}),
        ({"serverUrl": "https://x.example"}, "windsurf", {"url": "https://x.example"}),
        ({"httpUrl": "https://x.example"}, "gemini", {"url": "https://x.example"}),
        ({"url": "https://x.example"}, "gemini", {"type": "sse", "url": "https://x.example"}),
        ({"url": "https://x.example", "type": "http"}, "gemini", {"url": "https://x.example"}),
        ({"type": "remote", "url": "https://x.example"}, "opencode", {"url": "https://x.example"}),
        ({"url": "https://x.example"}, "cline", {"type": "sse", "url": "https://x.example"}),
        ({"transport": {"type": "streamableHttp", "url": "https://x.example"}}, "cline",
         {"url": "https://x.example"}),
        ({"transport": {"type": "stdio", "command": "x", "args": ["y"]}, "disabled": True}, "cline",
         {"command": "x", "args": ["y"], "isActive": False}),
    ],
)  # fmt: skip
def test_server_is_reached_as_the_client_reaches_it(
    value: dict[str, Any], client: str, entry: dict[str, Any]
) -> None:
    assert entry_of(value, client) == entry


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("npx", "expected an object, got a string"),
        ({}, "there is neither a command nor a url"),
        ({"settings": {"key": "x"}}, "an extension of Zed runs it"),
        ({"command": "x", "url": "https://x.example"}, "there are both a command and a url"),
        ({"type": "ws", "url": "wss://x.example"}, 'type: the router does not know "ws"'),
        ({"type": 1, "url": "https://x.example"}, "type: the router does not know 1"),
        ({"type": "stdio"}, "there is no command"),
        ({"command": " "}, "there is no command"),
        ({"command": []}, "there is no command"),
        ({"type": "http", "command": "x"}, "there is no url"),
        ({"command": 1}, "command: expected a string, got a number"),
        ({"command": "x", "args": "y"}, "args: expected an array, got a string"),
        ({"command": "x", "args": [{}]}, "args[0]: expected a string, got an object"),
        ({"command": "x", "env": ["A=1"]}, "env: expected an object, got an array"),
        ({"command": "x", "env": {"A": []}}, "env.A: expected a string, got an array"),
        ({"command": "x", "env": {"a-b": "1"}}, "env.a-b: the key must be"),
        ({"url": "ftp://x.example"}, "url: expected a URL that begins with http"),
        ({"url": "https://x.example", "headers": {"a b": "1"}}, "headers.a b: the key must be"),
        ({"command": "x" * 2000}, "command: is longer than 1,000 characters"),
    ],
)
def test_server_that_cannot_be_imported_says_why(value: object, problem: str) -> None:
    found = read(value)
    assert found.problem is not None
    assert found.problem.startswith(problem)
    assert found.name == "one"


# --- Environment and headers -----------------------------------------------------------------


def test_numbers_and_flags_become_texts_and_null_is_left_out() -> None:
    env = {"A": 1, "B": True, "C": None, "D": 1.5}
    entry = entry_of({"command": "x", "args": [1], "env": env})
    assert entry == {"command": "x", "args": ["1"], "env": {"A": "1", "B": "true", "D": "1.5"}}


def test_variables_that_codex_names_become_references() -> None:
    value = {"command": "x", "env_vars": ["A", {"name": "B", "source": "local"}, 3]}
    assert entry_of(value, "codex")["env"] == {"A": "${A}", "B": "${B}"}


def test_headers_of_codex_become_headers_with_references() -> None:
    value = {
        "url": "https://x.example",
        "http_headers": {"X-A": "1"},
        "env_http_headers": {"X-B": "B_VARIABLE"},
        "bearer_token_env_var": "TOKEN",
    }
    assert entry_of(value, "codex")["headers"] == {
        "X-A": "1",
        "X-B": "${B_VARIABLE}",
        "Authorization": "Bearer ${TOKEN}",
    }


# --- References ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("client", "text", "translated"),
    [
        ("cursor", "a ${env:TOKEN}", "a ${TOKEN}"),
        ("vscode", "${env:TOKEN:-none}", "${TOKEN:-none}"),
        ("claude-code", "${TOKEN:-none}", "${TOKEN:-none}"),
        ("gemini", "a $TOKEN/$PATH", "a ${TOKEN}/${PATH}"),
        ("gemini", "${TOKEN}", "${TOKEN}"),
        ("cursor", "$TOKEN", "${TOKEN}"),
        ("cursor", "a $TOKEN", "a $TOKEN"),
        ("opencode", "Bearer {env:TOKEN}", "Bearer ${TOKEN}"),
        ("opencode", "{file:~/.token}", "${file:~/.token}"),
        ("opencode", "{file:./token}", "${file:/home/me/.client/token}"),
        ("cursor", "{env:TOKEN}", "{env:TOKEN}"),
        ("windsurf", "${file:/run/token}", "${file:/run/token}"),
        ("cursor", "${userHome}/x", "${userHome}/x"),
        ("cursor", "${x##y} $1 $$", "${x##y} $1 $$"),
    ],
)
def test_references_become_those_of_the_router(client: str, text: str, translated: str) -> None:
    assert entry_of({"command": "x", "env": {"A": text}}, client)["env"] == {"A": translated}


def test_dollar_name_alone_is_no_reference_in_arguments() -> None:
    assert entry_of({"command": "x", "args": ["$A"]}, "cursor")["args"] == ["$A"]
    assert entry_of({"command": "x", "args": ["$A"]}, "gemini")["args"] == ["${A}"]


def test_input_becomes_a_secret_that_has_to_be_set() -> None:
    value = {
        "type": "http",
        "url": "https://x.example",
        "headers": {"Authorization": "Bearer ${input:github token}", "X": "${config:a.b}"},
    }
    found = read(value, client="vscode")
    assert found.problem is None
    assert found.needs == ("github_token", "a.b")
    assert found.entry["headers"] == {
        "Authorization": "Bearer ${secret:github_token}",
        "X": "${secret:a.b}",
    }


def test_input_with_a_default_has_that_value() -> None:
    found = read(
        {"command": "x", "args": ["${input:region}"]}, client="vscode", defaults={"region": "eu"}
    )
    assert (found.entry["args"], found.needs) == (["eu"], ())
    assert found.notes == ("the default of the input region is taken",)


def test_folder_of_the_workspace_is_that_of_the_project() -> None:
    value = {"command": "x", "args": ["${workspaceFolder}/a"], "env": {"B": "${workspaceFolder}"}}
    found = read(value, client="cursor", project=PROJECT)
    assert found.problem is None
    assert found.entry == {"command": "x", "args": ["/code/shop/a"], "env": {"B": "/code/shop"}}


def test_server_for_every_workspace_is_started_for_each_project() -> None:
    found = read({"command": "x", "args": ["${workspaceFolder}"], "cwd": "${workspaceFolder}"})
    assert found.problem is None
    assert found.entry == {
        "command": "x",
        "args": ["${roots.0}"],
        "cwd": "${roots.0}",
        "sessions": "per_client",
    }
    assert "each project" in found.notes[0]


def test_workspace_in_a_place_that_has_no_roots_is_a_problem() -> None:
    found = read({"url": "https://x.example/${workspaceFolder}"})
    assert found.problem is not None
    assert "${roots.0}" in found.problem


# --- Projects --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "cwd"),
    [
        ({"command": "./run"}, "/code/shop"),
        ({"command": "node", "args": ["../x.js"]}, "/code/shop"),
        ({"command": "x", "args": ["."]}, "/code/shop"),
        ({"command": "x", "cwd": "tools"}, "/code/shop/tools"),
        ({"command": "x", "cwd": "/srv"}, "/srv"),
        ({"command": "x", "cwd": "~/y"}, "~/y"),
        ({"command": "npx", "args": ["-y", "@a/b"]}, None),
    ],
)
def test_relative_paths_of_a_project_begin_in_its_folder(
    value: dict[str, Any], cwd: str | None
) -> None:
    assert read(value, project=PROJECT).entry.get("cwd") == cwd


# --- Other keys ------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [{"disabled": True}, {"enabled": False}, {"isActive": False}])
def test_server_that_is_switched_off_is_inactive(value: dict[str, Any]) -> None:
    assert entry_of({"command": "x", **value}) == {"command": "x", "isActive": False}


@pytest.mark.parametrize("value", [{"disabled": False}, {"enabled": True}, {"isActive": True}])
def test_server_that_is_switched_on_says_nothing_about_it(value: dict[str, Any]) -> None:
    assert entry_of({"command": "x", **value}) == {"command": "x"}


@pytest.mark.parametrize(
    ("client", "value", "times"),
    [
        ("gemini", {"timeout": 600_000}, {"timeout": 600}),
        ("gemini", {"timeout": 1500}, {"timeout": 1.5}),
        ("claude-code", {"timeout": 3000}, {"timeout": 3}),
        ("cline", {"timeout": 3000}, {"timeout": 3000}),
        ("", {"timeout": 45}, {"timeout": 45}),
        ("", {"timeout": 45_000}, {"timeout": 45}),
        ("gemini", {"timeout": 7_200_000}, {"timeout": 3600}),
        ("codex", {"tool_timeout_sec": 90}, {"timeout": 90}),
        ("codex", {"tool_timeout_sec": math.nan, "startup_timeout_sec": math.inf}, {}),
        ("codex", {"startup_timeout_sec": 20}, {"start_timeout_s": 20}),
        ("codex", {"startup_timeout_ms": 20_000}, {"start_timeout_s": 20}),
        ("cline", {"initializeTimeoutMs": 5000}, {"start_timeout_s": 5}),
        ("opencode", {"timeout": {"startup": 9000, "request": 8000}},
         {"timeout": 8, "start_timeout_s": 9}),
        ("opencode", {"timeout": 5000}, {}),
        ("cline", {"timeout": 0}, {}),
        ("cline", {"timeout": "soon"}, {}),
        ("cline", {"timeout": True}, {}),
    ],
)  # fmt: skip
def test_times_are_in_seconds(client: str, value: dict[str, Any], times: dict[str, Any]) -> None:
    assert entry_of({"command": "x", **value}, client) == {"command": "x", **times}


@pytest.mark.parametrize(
    ("value", "tools"),
    [
        ({"includeTools": ["a"], "excludeTools": ["b"]}, {"allow": ["a"], "deny": ["b"]}),
        ({"enabled_tools": ["a"], "disabled_tools": ["b"]}, {"allow": ["a"], "deny": ["b"]}),
        ({"disabledTools": ["b"]}, {"deny": ["b"]}),
        ({"disabledTools": []}, None),
        ({"tools": ["a"]}, {"allow": ["a"]}),
        ({"tools": ["*"]}, None),
        ({"tools": {"allow": ["a"], "deny": ["c"]}, "excludeTools": ["b"]},
         {"allow": ["a"], "deny": ["c", "b"]}),
        ({"tools": {"search": {"approval_mode": "auto"}}}, None),
    ],
)  # fmt: skip
def test_filters_of_tools_become_that_of_the_router(
    value: dict[str, Any], tools: dict[str, Any] | None
) -> None:
    assert entry_of({"command": "x", **value}).get("tools") == tools


def test_keys_of_the_router_itself_are_taken_over() -> None:
    value = {"command": "x", "sessions": "per_client", "idle_stop_s": 60, "metadata": {"a": 1}}
    found = read(value)
    assert found.entry == value
    assert found.notes == ()


def test_keys_of_a_client_that_are_spelled_like_those_of_the_router_are_left_out() -> None:
    found = read({"command": "x", "metadata": {"seen": 1}}, client="cline")
    assert found.entry == {"command": "x"}
    assert found.notes == ("left out, since only the client uses it: metadata",)


def test_description_is_kept_for_listings() -> None:
    entry = entry_of({"command": "x", "description": "reads files"})
    assert entry["metadata"] == {"description": "reads files"}


def test_keys_without_a_counterpart_are_named_and_left_out() -> None:
    found = read({"command": "x", "trust": True, "alwaysAllow": ["a"], "dev": None})
    assert found.entry == {"command": "x"}
    assert found.notes == ("left out, since only the client uses it: trust, alwaysAllow",)


def test_env_file_is_left_out_and_says_what_to_do() -> None:
    found = read({"command": "x", "envFile": ".env"})
    assert "envFile is left out" in found.notes[0]


# --- Names -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("github", "github"),
        ("Brave Search", "Brave-Search"),
        ("@scope/server", "scope-server"),
        ("awslabs.core-mcp-server", "awslabs-core-mcp-server"),
        ("文件 服务", "文件-服务"),
        ("---", "server"),
        ("", "server"),
        ("con", "con-server"),
        ("a" * 120, "a" * 100),
    ],
)
def test_name_is_one_that_an_instance_may_have(written: str, name: str) -> None:
    found = read({"command": "x"}, name=written)
    assert (found.name, found.problem) == (name, None)
    assert bool(found.notes) == (written != name)


def test_other_name_is_said() -> None:
    found = read({"command": "x"}, name="Brave Search")
    assert found.notes == ('"Brave Search" is called Brave-Search here',)


@pytest.mark.parametrize(
    "value",
    [
        {"command": "x", "env": {"A": "\ud83d"}},
        {"url": "https://x.example/\ud83d"},
    ],
)
def test_server_with_half_a_character_is_a_problem_of_its_own(value: dict[str, Any]) -> None:
    found = read(value)
    assert found.problem is not None
    assert "half of a character" in found.problem
    assert (found.entry, found.notes) == ({}, ())

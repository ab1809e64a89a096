"""All instances in `data/`: found, read again, and kept when a file becomes invalid."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from router.instance_files.reader import LoadedInstances, load_instances
from tests.router.instance_files.providers import COMMAND, put

if TYPE_CHECKING:
    from pathlib import Path

ENVIRON = {"TOKEN": "t0ken-value"}


def load(data: Path) -> LoadedInstances:
    return load_instances(data, ENVIRON)


def names(loaded: LoadedInstances) -> list[str]:
    return [spec.name for spec in loaded.specs]


def problems_of(loaded: LoadedInstances) -> list[str]:
    return [str(problem) for problem in loaded.problems]


# --- Finding ---------------------------------------------------------------------------------


def test_folder_that_is_missing_or_empty_has_no_instances(data: Path) -> None:
    assert load(data) == LoadedInstances()
    assert load(data / "missing") == LoadedInstances()


def test_flat_form_is_one_instance_named_after_its_folder(data: Path) -> None:
    put(data, "github", COMMAND)
    (spec,) = load(data).specs
    assert (spec.name, spec.provider, spec.type) == ("github", "github", "stdio")
    assert spec.source == "data/github/mcp_settings.json"


@pytest.mark.parametrize("outer", ["mcpServers", "servers"])
def test_outer_key_may_hold_any_number_of_instances(data: Path, outer: str) -> None:
    put(data, "many", {outer: {"b": COMMAND, "a": COMMAND, "c": {**COMMAND, "name": "d"}}})
    put(data, "none", {outer: {}})
    loaded = load(data)
    assert [(spec.name, spec.provider) for spec in loaded.specs] == [
        ("b", "many"),
        ("a", "many"),
        ("d", "many"),
    ]
    assert loaded.problems == ()


def test_both_outer_keys_may_be_there(data: Path) -> None:
    put(data, "p", {"servers": {"a": COMMAND}, "mcpServers": {"b": COMMAND}})
    assert sorted(names(load(data))) == ["a", "b"]


def test_instances_come_in_the_order_of_folders(data: Path) -> None:
    for provider in ("b", "c", "a"):
        put(data, provider, COMMAND)
    assert names(load(data)) == ["a", "b", "c"]


def test_only_files_of_that_name_one_level_deep_count(data: Path) -> None:
    put(data, "a", COMMAND)
    put(data / "a", "deeper", COMMAND)
    (data / "mcp_settings.json").write_text("{")
    (data / "a" / "other.json").write_text("{")
    (data / "empty").mkdir()
    loaded = load(data)
    assert names(loaded) == ["a"]
    assert loaded.problems == ()


def test_inactive_instance_is_listed(data: Path) -> None:
    put(data, "p", {"mcpServers": {"a": {**COMMAND, "isActive": False}, "b": COMMAND}})
    assert [(spec.name, spec.is_active) for spec in load(data).specs] == [("a", False), ("b", True)]


def test_byte_order_mark_is_no_matter(data: Path) -> None:
    put(data, "a", b"\xef\xbb\xbf" + json.dumps(COMMAND).encode())
    assert names(load(data)) == ["a"]


# --- Broken files and entries ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "line 1, column 1: invalid JSON: it ends too early"),
        ('{"command": "x",}', "line 1, column 17: invalid JSON: trailing comma in object"),
        (b'{"command": "\xff"}', "line 1, column 14: is not UTF-8; save it as UTF-8"),
        ("[]", "expected an object, got an array"),
        ({"mcpServers": []}, "mcpServers: expected an object, got an array"),
        ({"mcpServers": {"x": "npx"}}, "mcpServers.x: expected an object, got a string"),
        ({"servers": {"a\nb": 1}}, 'servers."a\\nb": expected an object, got a number'),
    ],
)
def test_broken_file_is_named_and_the_others_are_read(
    data: Path, content: Any, problem: str
) -> None:
    put(data, "a", COMMAND)
    put(data, "broken", content)
    put(data, "c", COMMAND)
    loaded = load(data)
    assert names(loaded) == ["a", "c"]
    assert problems_of(loaded) == [f"data/broken/mcp_settings.json: {problem}"]


def test_file_over_5_mb_is_refused(data: Path) -> None:
    text = json.dumps(COMMAND)
    limit_bytes = 5 * 1024 * 1024
    put(data, "a", text + " " * (limit_bytes - len(text)))
    put(data, "b", text + " " * (limit_bytes - len(text) + 1))
    loaded = load(data)
    assert names(loaded) == ["a"]
    assert problems_of(loaded) == ["data/b/mcp_settings.json: is larger than 5 MB"]


def test_broken_entry_does_not_touch_its_siblings(data: Path) -> None:
    put(data, "p", {"mcpServers": {"a": {}, "b": 1, "c d": COMMAND, "e": COMMAND}})
    loaded = load(data)
    assert [(spec.name, spec.problem is None) for spec in loaded.specs] == [
        ("a", False),
        ("e", True),
    ]
    assert [problem.split(": ")[1] for problem in problems_of(loaded)] == [
        "mcpServers.b",
        "mcpServers.c d.name",
    ]


def test_missing_variable_is_a_problem_of_its_instance_only(data: Path) -> None:
    servers = {"github": {**COMMAND, "env": {"TOKEN": "${GITHUB_TOKEN}"}}, "other": COMMAND}
    put(data, "github", {"mcpServers": servers})
    github, other = load(data).specs
    assert github.problem == (
        "data/github/mcp_settings.json: mcpServers.github.env.TOKEN: ${GITHUB_TOKEN} is not set"
    )
    assert other.problem is None


def test_duplicate_name_is_an_error_naming_both_files_and_the_first_stays(data: Path) -> None:
    put(data, "a", {**COMMAND, "name": "same"})
    put(data, "b", {"command": "other", "name": "same"})
    loaded = load(data)
    assert [spec.command for spec in loaded.specs] == ["npx"]
    assert problems_of(loaded) == [
        'data/b/mcp_settings.json: the name "same" is already taken in '
        "data/a/mcp_settings.json, which stays; give one of them another name"
    ]


def test_folder_that_cannot_be_listed_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    (problem,) = problems_of(load(tmp_path / "data"))
    assert problem.startswith("data: cannot be read: ")


def test_secrets_of_all_instances_are_known_and_not_shown(data: Path) -> None:
    put(data, "a", {**COMMAND, "args": ["${TOKEN}"], "env": {"K": "env-value"}})
    loaded = load(data)
    assert loaded.secrets == {"t0ken-value", "env-value"}
    assert "env-value" not in repr(loaded)


# --- Reading it again ------------------------------------------------------------------------


def again(data: Path, last: LoadedInstances) -> LoadedInstances:
    return load_instances(data, ENVIRON, last)


IN_FORCE = "; what was there before stays in force"


@pytest.mark.parametrize("content", ["", '{"mcpServers": {"a": {"comm', b"\xff", "[]"])
def test_file_that_became_invalid_keeps_what_it_held(data: Path, content: Any) -> None:
    put(data, "p", {"mcpServers": {"a": COMMAND, "b": COMMAND}})
    put(data, "q", COMMAND)
    before = load(data)
    put(data, "p", content)
    put(data, "q", {"command": "other"})
    after = again(data, before)
    assert after.specs[:2] == before.specs[:2]
    assert [spec.command for spec in after.specs] == ["npx", "npx", "other"]
    (problem,) = problems_of(after)
    assert problem.startswith("data/p/mcp_settings.json: ")
    assert problem.endswith(IN_FORCE)
    assert again(data, after).specs == after.specs


@pytest.mark.parametrize("entry", [{}, 1, {"command": "${UNSET}"}, {"command": ""}])
def test_entry_that_became_invalid_stays_as_it_was_and_its_siblings_change(
    data: Path, entry: Any
) -> None:
    put(data, "p", {"mcpServers": {"a": COMMAND, "b": COMMAND}})
    before = load(data)
    put(data, "p", {"mcpServers": {"a": entry, "b": {"command": "other"}}})
    after = again(data, before)
    assert after.specs[0] == before.specs[0]
    assert after.specs[1].command == "other"
    (problem,) = problems_of(after)
    assert problem.startswith("data/p/mcp_settings.json: mcpServers.a")
    assert problem.endswith(IN_FORCE)


def test_invalid_entry_may_still_be_switched_off(data: Path) -> None:
    put(data, "p", COMMAND)
    before = load(data)
    put(data, "p", {"isActive": False})
    (spec,) = again(data, before).specs
    assert not spec.is_active


def test_entries_and_files_that_are_gone_are_gone(data: Path) -> None:
    path = put(data, "p", {"mcpServers": {"a": COMMAND, "b": COMMAND}})
    put(data, "q", COMMAND)
    before = load(data)
    put(data, "p", {"mcpServers": {"b": COMMAND}})
    (data / "q" / "mcp_settings.json").unlink()
    after = again(data, before)
    assert names(after) == ["b"]
    assert after.problems == ()
    path.unlink()
    assert again(data, after) == LoadedInstances()


def test_folder_that_is_gone_as_a_whole_keeps_what_it_held(data: Path) -> None:
    put(data, "p", COMMAND)
    before = load(data)
    data.rename(data.parent / "moved")
    after = again(data, before)
    assert after.specs == before.specs
    assert problems_of(after) == [f"data: is gone{IN_FORCE}"]
    data.write_text("")
    assert again(data, after).specs == before.specs
    data.unlink()
    data.mkdir()
    assert again(data, after).specs == ()


def test_what_was_never_good_does_not_stay(data: Path) -> None:
    put(data, "p", {"command": "${UNSET}"})
    before = load(data)
    put(data, "p", "{")
    after = again(data, before)
    assert after.specs == ()
    assert not problems_of(after)[0].endswith(IN_FORCE)


# --- Secrets in files ------------------------------------------------------------------------


def test_files_and_credentials_are_read_beside_the_file_that_refers_to_them(data: Path) -> None:
    put(data, "p", {"url": "https://x.test/mcp", "headers": {"A": "Bearer ${file:key}"}})
    put(data, "q", {"command": "x", "env": {"K": "${credential:key}"}, "args": ["${file:key}"]})
    (data / "p" / "key").write_text("key-of-p\n")
    environ = {"CREDENTIALS_DIRECTORY": str(data / "p")}
    first, second = load_instances(data, environ).specs
    assert first.headers == {"A": "Bearer key-of-p"}
    assert second.problem == (
        f"data/q/mcp_settings.json: args[0]: ${{file:key}}: there is no file {data}/q/key"
    )
    (data / "q" / "key").write_text("key-of-q")
    loaded = load_instances(data, environ)
    _, second = loaded.specs
    assert (second.args, second.env) == (("key-of-q",), {"K": "key-of-p"})
    assert {"key-of-p", "key-of-q"} <= loaded.secrets


def test_secret_that_was_exchanged_or_lost_counts_at_the_next_reading(data: Path) -> None:
    put(data, "p", {"command": "x", "env": {"K": "${file:key}"}})
    key = data / "p" / "key"
    key.write_text("first-key")
    first = load(data)
    key.write_text("second-key")
    second = load_instances(data, ENVIRON, first)
    assert second.specs[0].env == {"K": "second-key"}
    key.unlink()
    third = load_instances(data, ENVIRON, second)
    assert third.specs == second.specs
    assert problems_of(third)[0].endswith("; what was there before stays in force")


def test_secrets_of_the_routers_own_file_are_put_in_everywhere_and_masked(data: Path) -> None:
    file = data.parent / "secrets.json"
    secrets = {"A": "s3cret", "NODE": "/opt/node"}
    file.write_text(json.dumps({"version": 1, "secrets": secrets}))
    file.chmod(0o600)
    put(data, "p", {"url": "https://x.test/${secret:A}", "headers": {"K": "Bearer ${secret:A}"}})
    entry = {"command": "${secret:NODE}", "args": ["${secret:A}"], "cwd": "/${secret:A}"}
    put(data, "q", {**entry, "env": {"K": "${secret:A}", "L": "${secret:B}"}})
    loaded = load_instances(data, {}, secrets_file=file)
    remote, local = loaded.specs
    assert (remote.url, remote.headers) == ("https://x.test/s3cret", {"K": "Bearer s3cret"})
    assert (local.command, local.args, local.cwd) == ("/opt/node", ("s3cret",), "/s3cret")
    assert local.problem == (
        "data/q/mcp_settings.json: env.L: ${secret:B}: there is no secret B; set it with: "
        "mcp-router secret set B"
    )
    assert {"s3cret", "/opt/node"} <= loaded.secrets

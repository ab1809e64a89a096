"""A change of an instance is on disk as a whole, or nothing has changed."""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
from typing import TYPE_CHECKING, Any

import pytest

from router.instance_files.edits import apply_change
from router.instance_files.reader import load_instances
from router.messages.commands import AddInstance, RemoveInstance, SetActive, UpdateInstance
from router.messages.errors import ALREADY_EXISTS, INSTANCE_NOT_FOUND, INVALID_PARAMS, ConfigError
from tests.router.instance_files.applied_changes import files_in, json_in, refused
from tests.router.instance_files.providers import COMMAND, put

if TYPE_CHECKING:
    from pathlib import Path

    from router.messages.commands import Change

posix_only = pytest.mark.skipif(os.name != "posix", reason="modes and links of POSIX")

GUARDED = {"allow_private": False}
ENTRY = {"name": "new", "type": "stdio", "command": "npx", "args": ["-y"]}


def names_in(data: Path) -> list[str]:
    return [spec.name for spec in load_instances(data, {}).specs]


# --- Adding ----------------------------------------------------------------------------------


@posix_only
def test_new_provider_gets_a_file_and_a_folder_for_its_owner_only(data: Path) -> None:
    previous = os.umask(0)
    try:
        assert apply_change(data, AddInstance("p", ENTRY)) == "new"
    finally:
        os.umask(previous)
    path = data / "p" / "mcp_settings.json"
    assert json_in(path) == {"provider": "p", **ENTRY}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert names_in(data) == ["new"]


def test_missing_data_folder_is_made(tmp_path: Path) -> None:
    apply_change(tmp_path / "x" / "data", AddInstance("p", ENTRY))
    assert names_in(tmp_path / "x" / "data") == ["new"]


def test_reference_in_a_new_entry_is_for_the_owner_of_the_files_only(data: Path) -> None:
    entry = ENTRY | {"env": {"KEY": "${SOME_KEY}"}}
    assert refused(data, AddInstance("p", entry)).code == INVALID_PARAMS
    assert files_in(data) == {}
    apply_change(data, AddInstance("p", entry), may_refer=True)
    assert json_in(data / "p" / "mcp_settings.json")["env"] == {"KEY": "${SOME_KEY}"}


def test_name_is_that_of_the_provider_unless_it_is_given(data: Path) -> None:
    assert apply_change(data, AddInstance("p", COMMAND)) == "p"
    assert json_in(data / "p" / "mcp_settings.json")["name"] == "p"


@pytest.mark.parametrize("outer", ["mcpServers", "servers"])
def test_entry_is_added_beside_its_siblings(data: Path, outer: str) -> None:
    text = '{"$x": 1.0, "OUTER": {"a": {"command": "\\u00e9"}}, "y": 1E2}'
    path = put(data, "p", text.replace("OUTER", outer))
    apply_change(data, AddInstance("p", ENTRY))
    assert list(json_in(path)) == ["$x", outer, "y"]
    assert list(json_in(path)[outer]) == ["a", "new"]
    for untouched in ('"$x": 1.0', '"\\u00e9"', "1E2"):
        assert untouched in path.read_text()
    assert names_in(data) == ["a", "new"]


def test_flat_file_is_wrapped_to_make_room(data: Path) -> None:
    flat = {"z": [1], "name": "old", "command": "x", "a": None}
    path = put(data, "p", flat)
    apply_change(data, AddInstance("p", ENTRY))
    assert list(json_in(path)) == ["mcpServers"]
    assert json_in(path)["mcpServers"]["old"] == flat
    assert list(json_in(path)["mcpServers"]["old"]) == list(flat)
    assert names_in(data) == ["old", "new"]


def test_name_that_is_taken_anywhere_is_refused(data: Path) -> None:
    put(data, "q", {"mcpServers": {"new": COMMAND}})
    error = refused(data, AddInstance("p", ENTRY))
    assert error.code == ALREADY_EXISTS
    assert str(error) == "Instance 'new' already exists (in data/q/mcp_settings.json)"
    assert not (data / "p").exists()


@pytest.mark.parametrize(
    ("provider", "entry", "problem"),
    [
        ("..", COMMAND, "provider: expected letters, digits, _ and -"),
        ("a/b", COMMAND, "provider: "),
        ("a\n", COMMAND, "provider: "),
        ("a\0", COMMAND, "provider: "),
        ("%2e%2e", COMMAND, "provider: "),
        ("x" * 300, COMMAND, "provider: "),
        ("P", COMMAND, "provider: 'P' differs from another one only in case"),
        ("q", {**COMMAND, "name": "a/b"}, "name: expected letters"),
        ("q", {**COMMAND, "name": "a\n"}, "name: "),
        ("q", {**COMMAND, "name": 1}, "name: "),
        ("q", {**COMMAND, "provider": "r"}, "provider: is not the one"),
        ("q", {}, "there is neither a command nor a url"),
        ("q", {"url": "ftp://x"}, "url: expected a URL that begins with http:// or https://"),
        ("q", {"Command": "x"}, 'Command: unknown key; did you mean "command"?'),
        ("q", {**COMMAND, "args": "x"}, "args: expected an array, got a string"),
        ("q", {**COMMAND, "env": {"A": {"set": True}}}, "env.A: expected a string, got an object"),
        ("q", {**COMMAND, "x": "\ud800"}, "The entry cannot be written as JSON"),
        ("q", {**COMMAND, "x": "y" * 5_300_000}, "data/q/mcp_settings.json would be larger than 5"),
    ],
)
def test_wrong_entry_is_refused_and_nothing_is_written(
    data: Path, provider: str, entry: dict[str, Any], problem: str
) -> None:
    put(data, "p", {"mcpServers": {}})
    error = refused(data, AddInstance(provider, entry))
    assert error.code == INVALID_PARAMS
    assert str(error).startswith(problem)
    assert [path.name for path in data.iterdir() if path.is_dir()] == ["p"]


@pytest.mark.parametrize(
    "entry",
    [
        {"command": "${TOKEN}"},
        {**COMMAND, "args": ["a", "x${TOKEN:-y}"]},
        {**COMMAND, "env": {"A": "${env:TOKEN}"}},
        {**COMMAND, "env": {"A": "$TOKEN"}},
        {"url": "https://x/${file:/etc/passwd}"},
        {"httpUrl": "https://x/", "headers": {"A": "Bearer ${TOKEN}"}},
    ],
)
def test_reference_from_outside_is_refused(data: Path, entry: dict[str, Any]) -> None:
    assert "only works where it stands in the file" in str(refused(data, AddInstance("p", entry)))


def test_what_only_looks_like_a_reference_is_taken(data: Path) -> None:
    apply_change(data, AddInstance("p", {"command": "sh", "args": ["-c", "$X ${x##y} $(z)"]}))
    assert names_in(data) == ["p"]


def test_broken_file_is_not_added_to(data: Path) -> None:
    path = put(data, "p", '{"mcpServers": {')
    with pytest.raises(ConfigError, match="it ends too early"):
        apply_change(data, AddInstance("p", ENTRY))
    assert path.read_text() == '{"mcpServers": {'


# --- Updating --------------------------------------------------------------------------------


def test_only_the_given_keys_change_each_in_its_place(data: Path) -> None:
    text = '{"z": 1.0, "command": "x", "args": ["\\u00e9"], "cwd": "/", "isActive": true, "y": 1E2}'
    path = put(data, "p", text)
    assert apply_change(data, UpdateInstance("p", {"command": "npx", "cwd": None})) == "p"
    assert list(json_in(path)) == ["z", "command", "args", "isActive", "y"]
    assert json_in(path)["command"] == "npx"
    for untouched in ('"z": 1.0', '"\\u00e9"', "1E2"):
        assert untouched in path.read_text()


def test_siblings_stay_as_they_are(data: Path) -> None:
    path = put(data, "p", {"mcpServers": {"a": COMMAND, "b": {}, "c": 1}})
    apply_change(data, UpdateInstance("a", {"command": "other"}))
    assert json_in(path) == {"mcpServers": {"a": {"command": "other"}, "b": {}, "c": 1}}


def test_wrong_field_leaves_all_of_them_as_they_were(data: Path) -> None:
    put(data, "p", COMMAND)
    error = refused(data, UpdateInstance("p", {"command": "other", "args": [1, None]}))
    assert str(error) == "args[1]: expected a string, got null"


@pytest.mark.parametrize(
    ("entry", "fields", "expected"),
    [
        ({"serverUrl": "https://x"}, {"url": "https://y"}, {"url": "https://y"} | GUARDED),
        ({"url": "https://x"}, {"httpUrl": "https://y"}, {"httpUrl": "https://y"} | GUARDED),
        (
            {"transport": "sse", "url": "https://x"},
            {"type": "http"},
            {"type": "http", "url": "https://x"},
        ),
        ({"disabled": True, **COMMAND}, {"isActive": True}, {"isActive": True, **COMMAND}),
        (COMMAND, {"command": None, "url": "https://y"}, {"url": "https://y"} | GUARDED),
    ],
)
def test_synonyms_of_a_key_give_way(
    data: Path, entry: dict[str, Any], fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    path = put(data, "p", entry)
    apply_change(data, UpdateInstance("p", fields))
    assert json_in(path) == expected
    assert list(json_in(path)) == list(expected)


def test_instance_may_get_another_name_that_is_free(data: Path) -> None:
    path = put(data, "p", {"mcpServers": {"a": COMMAND, "b": {**COMMAND, "name": "c"}}})
    assert apply_change(data, UpdateInstance("a", {"name": "new"})) == "new"
    assert json_in(path)["mcpServers"]["a"] == {**COMMAND, "name": "new"}
    assert names_in(data) == ["new", "c"]
    assert refused(data, UpdateInstance("new", {"name": "c"})).code == ALREADY_EXISTS
    assert refused(data, UpdateInstance("new", {"name": "a/b"})).code == INVALID_PARAMS


def test_instance_cannot_be_moved(data: Path) -> None:
    put(data, "p", COMMAND)
    apply_change(data, UpdateInstance("p", {"name": "p", "provider": "p"}))
    assert "cannot be changed" in str(refused(data, UpdateInstance("p", {"provider": "q"})))


# --- Removing, enabling, disabling -----------------------------------------------------------


def test_only_the_entry_goes(data: Path) -> None:
    path = put(data, "p", {"x": 1, "mcpServers": {"a": COMMAND, "b": {**COMMAND, "name": "c"}}})
    assert apply_change(data, RemoveInstance("c")) == "c"
    assert json_in(path) == {"x": 1, "mcpServers": {"a": COMMAND}}


@pytest.mark.parametrize(
    "content", [COMMAND, {"mcpServers": {"p": COMMAND}, "servers": {}}, {"servers": {"p": COMMAND}}]
)
def test_file_goes_with_its_last_entry_and_the_folder_if_it_is_empty(
    data: Path, content: Any
) -> None:
    put(data, "p", content)
    apply_change(data, RemoveInstance("p"))
    assert not (data / "p").exists()


def test_folder_that_holds_anything_else_stays(data: Path) -> None:
    path = put(data, "p", COMMAND)
    (path.parent / "server.py").write_text("")
    apply_change(data, RemoveInstance("p"))
    assert [left.name for left in path.parent.iterdir()] == ["server.py"]


@pytest.mark.parametrize("is_active", [True, False])
@pytest.mark.parametrize("words", [{}, {"disabled": True}, {"isActive": True, "disabled": False}])
def test_instance_is_switched_by_is_active_alone(
    data: Path, words: dict[str, Any], *, is_active: bool
) -> None:
    path = put(data, "p", {"mcpServers": {"a": {**words, "x": 1}, "b": COMMAND}})
    assert apply_change(data, SetActive("a", is_active)) == "a"
    assert json_in(path)["mcpServers"] == {"a": {"isActive": is_active, "x": 1}, "b": COMMAND}


@pytest.mark.parametrize(
    "change", [UpdateInstance("x", {}), RemoveInstance("x"), SetActive("x", is_active=True)]
)
def test_unknown_instance_is_refused(data: Path, change: Change) -> None:
    put(data, "p", COMMAND)
    put(data, "broken", "{")
    error = refused(data, change)
    assert error.code == INSTANCE_NOT_FOUND
    assert str(error).startswith("Instance not found: x (unless in data/broken/mcp_settings.json: ")


# --- What is on disk -------------------------------------------------------------------------


def all_changes(name: str) -> list[Change]:
    update = UpdateInstance(name, {"command": "other"})
    return [AddInstance("p", ENTRY), update, RemoveInstance(name), SetActive(name, is_active=False)]


@posix_only
@pytest.mark.parametrize("change", all_changes("p"))
def test_planted_link_to_a_file_is_refused_and_its_target_unchanged(
    data: Path, tmp_path: Path, change: Change
) -> None:
    target = tmp_path / "target.json"
    target.write_text(json.dumps(COMMAND))
    (data / "p").mkdir()
    (data / "p" / "mcp_settings.json").symlink_to(target)
    with pytest.raises(OSError, match="symbolic link") as raised:
        apply_change(data, change)
    assert raised.value.errno == errno.ELOOP
    assert json_in(target) == COMMAND
    assert list(target.parent.iterdir()) != []


@posix_only
@pytest.mark.parametrize("change", all_changes("p"))
def test_planted_link_to_a_folder_is_refused_and_its_target_unchanged(
    data: Path, tmp_path: Path, change: Change
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    put(tmp_path, "elsewhere", COMMAND)
    (data / "p").symlink_to(elsewhere)
    with pytest.raises(OSError, match="symbolic link"):
        apply_change(data, change)
    assert json_in(elsewhere / "mcp_settings.json") == COMMAND
    assert [path.name for path in elsewhere.iterdir()] == ["mcp_settings.json"]


@posix_only
def test_planted_link_in_the_place_of_the_lock_is_refused(data: Path, tmp_path: Path) -> None:
    (data / ".lock").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match=r"[Ss]ymbolic"):
        apply_change(data, AddInstance("p", ENTRY))
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("change", [c for c in all_changes("q") if type(c) is not RemoveInstance])
def test_full_disk_leaves_everything_byte_for_byte(
    data: Path, monkeypatch: pytest.MonkeyPatch, step: str, change: Change
) -> None:
    def no_space(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    put(data, "q", COMMAND)
    before = files_in(data)
    monkeypatch.setattr(os, step, no_space)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        apply_change(data, change)
    assert files_in(data) == before
    assert not (data / "p").exists()


def test_many_changes_at_once_lose_nothing(data: Path) -> None:
    def add(number: int) -> None:
        apply_change(data, AddInstance("p", {**COMMAND, "name": f"n{number}"}))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(names_in(data)) == sorted(f"n{number}" for number in range(16))

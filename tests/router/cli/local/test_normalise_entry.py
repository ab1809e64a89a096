"""`mcp-router add`: how one entry of `data/` is rewritten."""

from __future__ import annotations

import errno
import json
import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

from router.cli.local.normalise_entry import normalise_instance
from router.instance_files.reader import load_instances
from router.messages.errors import ConfigError
from tests.router.instance_files.providers import COMMAND, put

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def names_in(data: Path) -> list[str]:
    return [spec.name for spec in load_instances(data, {}).specs]


def added(path: Path, *words: str) -> dict[str, Any]:
    """Run `mcp-router add` on a provider's file, and return what is in it then."""
    instance, *display = words
    normalise_instance(path.parent.parent, instance, path.parent.name, *display)
    return json.loads(path.read_text("utf-8"))


def test_flat_entry_gets_its_name_provider_type_and_state(data: Path) -> None:
    path = put(data, "p", COMMAND)
    assert list(added(path, "mine").items()) == [
        ("provider", "p"),
        ("name", "mine"),
        ("type", "stdio"),
        ("command", "npx"),
        ("isActive", True),
    ]
    assert names_in(data) == ["mine"]


@pytest.mark.parametrize("outer", ["mcpServers", "servers"])
def test_single_entry_is_unwrapped_and_what_was_beside_it_stays(data: Path, outer: str) -> None:
    path = put(data, "p", {"$schema": "x", outer: {"their-name": COMMAND}, "inputs": []})
    assert list(added(path, "mine").items()) == [
        ("$schema", "x"),
        ("inputs", []),
        ("provider", "p"),
        ("name", "mine"),
        ("type", "stdio"),
        ("command", "npx"),
        ("isActive", True),
    ]


def test_one_of_several_is_rewritten_in_its_place(data: Path) -> None:
    text = '{"x": 1, "mcpServers": {"a": {"n": 1.0, "s": "\\u00e9"}, "b": %s, "c": [1E2]}, "y": 2}'
    path = put(data, "p", text % json.dumps(COMMAND))
    value = added(path, "b")
    assert list(value) == ["x", "mcpServers", "y"]
    assert list(value["mcpServers"]) == ["a", "b", "c"]
    assert value["mcpServers"]["b"]["name"] == "b"
    for untouched in ('"n": 1.0', '"s": "\\u00e9"', "1E2"):
        assert untouched in path.read_text()


def test_lone_entry_beside_another_outer_key_stays_where_it_is(data: Path) -> None:
    path = put(data, "p", {"mcpServers": {"a": COMMAND}, "servers": {"b": COMMAND}})
    value = added(path, "a")
    assert value["mcpServers"]["a"]["name"] == "a"
    assert sorted(names_in(data)) == ["a", "b"]


def test_unknown_keys_and_the_order_of_keys_stay(data: Path) -> None:
    entry = {"z": [1], "isActive": False, "args": ["a"], "command": "x", "type": "stdio", "a": None}
    path = put(data, "p", entry)
    value = added(path, "mine")
    assert value == {**entry, "provider": "p", "name": "mine"}
    assert [key for key in value if key in entry] == list(entry)


def test_rewriting_twice_changes_nothing_more(data: Path) -> None:
    path = put(data, "p", {"mcpServers": {"a": {"serverUrl": "https://x", "disabled": True}}})
    added(path, "mine", "Mine")
    before = path.read_bytes()
    added(path, "mine", "Mine")
    assert path.read_bytes() == before
    assert before.decode() == json.dumps(json.loads(before), indent=2) + "\n"


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"transport": "sse", "url": "https://x"}, {"type": "sse", "url": "https://x"}),
        ({"transport": "streamableHttp", "url": "https://x"}, {"type": "http", "url": "https://x"}),
        ({"type": "streamable-http", "url": "https://x"}, {"type": "http", "url": "https://x"}),
        ({"type": None, "httpUrl": "https://x"}, {"type": "http", "url": "https://x"}),
        ({"serverUrl": "https://x", "type": "http"}, {"type": "http", "url": "https://x"}),
        ({"httpUrl": "https://x", "url": "https://y"}, {"type": "http", "url": "https://x"}),
        # Its type is only to be found out by trying, so none is written.
        ({"url": "https://x", "transport": None}, {"url": "https://x"}),
    ],
)
def test_types_and_urls_are_put_in_our_words(
    data: Path, entry: dict[str, Any], expected: dict[str, Any]
) -> None:
    value = added(put(data, "p", entry), "mine")
    assert value == {"provider": "p", "name": "mine", "isActive": True, **expected}


@pytest.mark.parametrize(
    ("entry", "is_active"),
    [
        ({}, True),
        ({"disabled": True}, False),
        ({"disabled": False}, True),
        ({"isActive": False}, False),
        ({"isActive": None}, True),
        ({"isActive": True, "disabled": True}, False),
        ({"isActive": False, "disabled": False}, False),
    ],
)
def test_disabled_becomes_is_active(data: Path, entry: dict[str, Any], *, is_active: bool) -> None:
    value = added(put(data, "p", {**COMMAND, **entry}), "mine")
    assert value["isActive"] is is_active
    assert "disabled" not in value


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({}, {"display_name": "Süß"}),
        ({"metadata": None}, {"display_name": "Süß"}),
        ({"metadata": {"a": 1, "display_name": "x"}}, {"a": 1, "display_name": "Süß"}),
    ],
)
def test_display_name_goes_into_the_metadata(
    data: Path, metadata: dict[str, Any], expected: dict[str, Any]
) -> None:
    path = put(data, "p", COMMAND | metadata)
    assert added(path, "mine", "Süß")["metadata"] == expected
    assert "Süß" in path.read_text("utf-8")


def test_variable_that_is_not_set_yet_is_no_obstacle(data: Path) -> None:
    path = put(data, "p", {"url": "${UNSET}/mcp", "headers": {"A": "${UNSET}"}})
    assert added(path, "mine")["url"] == "${UNSET}/mcp"


@pytest.mark.parametrize(
    ("content", "words", "problem"),
    [
        (COMMAND, ("a/b",), 'instance: expected letters, digits, _, - and CJK letters, at most '
         '100, not beginning with -, and no device of Windows such as con, got "a/b"'),
        ({}, ("x",), "data/p/mcp_settings.json: there is neither a command nor a url"),
        ({"mcpServers": {}}, ("x",), "data/p/mcp_settings.json: mcpServers: no entry 'x'; there "
         "are: none"),
        ({"mcpServers": {"a": {}, "b\n": {}}}, ("x",), "data/p/mcp_settings.json: mcpServers: no "
         "entry 'x'; there are: 'a', '\"b\\n\"'"),
        ({"mcpServers": {"a": 1}}, ("x",), "data/p/mcp_settings.json: mcpServers.a: expected an "
         "object, got a number"),
        ({"servers": 1}, ("x",), "data/p/mcp_settings.json: servers: expected an object, got a "
         "number"),
        ({"type": "ws", **COMMAND}, ("x",), "data/p/mcp_settings.json: type: expected one of "
         'stdio, http, sse, got "ws"'),
        ({**COMMAND, "metadata": 1}, ("x", "X"), "data/p/mcp_settings.json: metadata: expected an "
         "object, got a number"),
        ({**COMMAND, "metadata": {f"k{n}": n for n in range(50)}}, ("x", "X"),
         "data/p/mcp_settings.json: metadata: has more than 50 entries"),
        ("{", ("x",), "data/p/mcp_settings.json: line 1, column 2: invalid JSON: it ends too "
         "early"),
    ],
)  # fmt: skip
def test_what_cannot_be_added_is_named_and_the_file_stays(
    data: Path, content: Any, words: tuple[str, ...], problem: str
) -> None:
    path = put(data, "p", content)
    before = path.read_bytes()
    with pytest.raises(ConfigError) as raised:
        added(path, *words)
    assert str(raised.value) == problem
    assert path.read_bytes() == before


def test_missing_file_says_what_to_do(data: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        normalise_instance(data, "x", "p")
    assert str(raised.value) == (
        "data/p/mcp_settings.json: there is no such file; put the server's entry there"
    )


@pytest.mark.parametrize("provider", ["..", "../p", "a/b", "a\n", "-a", ""])
def test_provider_is_no_way_out_of_the_folder(data: Path, provider: str) -> None:
    with pytest.raises(ConfigError, match=r"^provider: expected letters, digits, _ and -"):
        normalise_instance(data, "x", provider)


def test_name_that_another_file_has_is_refused(data: Path) -> None:
    put(data, "a", {**COMMAND, "name": "same"})
    path = put(data, "p", COMMAND)
    with pytest.raises(ConfigError) as raised:
        added(path, "same")
    assert str(raised.value).startswith(
        'data/p/mcp_settings.json: the name "same" is already taken in data/a/mcp_settings.json'
    )
    assert json.loads(path.read_text()) == COMMAND


@pytest.mark.parametrize("sibling", [{**COMMAND, "name": "a"}, {"name": "a"}])
def test_name_that_a_sibling_has_is_refused(data: Path, sibling: dict[str, Any]) -> None:
    path = put(data, "p", {"mcpServers": {"b": sibling, "a": COMMAND, "c": 1, "d": {}}})
    with pytest.raises(ConfigError, match='the name "a" is already taken'):
        added(path, "a")


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_mode_of_the_file_stays(data: Path) -> None:
    path = put(data, "p", COMMAND)
    path.chmod(0o640)
    added(path, "mine")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_full_disk_leaves_the_old_file_byte_for_byte(
    data: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def no_space(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = put(data, "p", COMMAND)
    before = path.read_bytes()
    monkeypatch.setattr(os, step, no_space)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        normalise_instance(data, "mine", "p")
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="symbolic links need rights elsewhere")
def test_symbolic_link_is_read_but_not_written(data: Path, tmp_path: Path) -> None:
    """A planted link makes nothing else be written."""
    target = tmp_path / "target.json"
    target.write_text(json.dumps(COMMAND))
    (data / "p").mkdir()
    (data / "p" / "mcp_settings.json").symlink_to(target)
    assert names_in(data) == ["p"]
    with pytest.raises(OSError, match="symbolic link"):
        normalise_instance(data, "mine", "p")
    assert json.loads(target.read_text()) == COMMAND

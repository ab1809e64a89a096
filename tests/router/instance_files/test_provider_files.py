"""Entries are found by name, and a file's new content keeps everything else as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from msgspec import Raw

from router.files.safe_folder import SafeFolder
from router.instance_files.provider_files import DataFolder, ProviderFile
from router.messages.errors import INSTANCE_NOT_FOUND, RpcError
from tests.router.instance_files.providers import COMMAND, put

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NEW = {"command": Raw(b'"new"')}


@pytest.fixture
def folder(data: Path) -> Iterator[DataFolder]:
    with SafeFolder.open(data) as opened:
        yield DataFolder(data, opened)


def read(folder: DataFolder, content: Any) -> ProviderFile:
    """Write a file of the provider `p`, and read it."""
    put(folder.path, "p", content)
    with folder.folder.subfolder("p") as opened:
        return ProviderFile.read(opened, folder.source("p"), "p")


def value(members: dict[str, Any] | None) -> Any:
    return msgspec.json.decode(msgspec.json.encode(members))


def test_instance_is_that_of_the_first_folder(folder: DataFolder) -> None:
    put(folder.path, "b", {**COMMAND, "name": "same"})
    put(folder.path, "a", {"servers": {"x": {**COMMAND, "name": "same"}}})
    assert folder.provider_of("same") == "a"
    assert folder.source_holding("same") == "data/a/mcp_settings.json"
    assert folder.source_holding("other") is None


def test_entry_is_found_by_the_name_it_gives_itself(folder: DataFolder) -> None:
    file = read(folder, {"servers": {"x.y": {**COMMAND, "name": "a"}, "b": COMMAND}})
    entry = file.find("a")
    assert (entry.outer_key, entry.key, entry.path) == ("servers", "x.y", "servers.x.y")
    assert value(file.members_of(entry)) == {**COMMAND, "name": "a"}
    with pytest.raises(RpcError) as raised:
        file.find("x.y")
    assert raised.value.code == INSTANCE_NOT_FOUND


def test_other_entries_keep_their_bytes(folder: DataFolder) -> None:
    file = read(folder, '{"$x": 1E2, "mcpServers": {"a": {}, "b": {"command": "\\u00e9"}}}')
    text = msgspec.json.encode(file.with_entry(file.find("a"), NEW))
    assert text == (b'{"$x":1E2,"mcpServers":{"a":{"command":"new"},"b":{"command": "\\u00e9"}}}')


def test_key_that_a_sibling_of_another_name_has_is_not_taken_from_it(folder: DataFolder) -> None:
    file = read(folder, {"mcpServers": {"a": COMMAND, "a-2": COMMAND}})
    assert list(value(file.with_new_entry("a", NEW))["mcpServers"]) == ["a", "a-2", "a-3"]


@pytest.mark.parametrize(
    ("flat", "first"), [({"name": "old"}, "old"), ({"name": "a/b"}, "p"), ({}, "p")]
)
def test_flat_entry_is_wrapped_under_its_name_or_its_provider(
    folder: DataFolder, flat: dict[str, Any], first: str
) -> None:
    file = read(folder, flat)
    wrapped = value(file.with_new_entry("n", NEW))
    assert wrapped == {"mcpServers": {first: flat, "n": {"command": "new"}}}


@pytest.mark.parametrize(
    ("content", "left"),
    [
        (COMMAND, None),
        ({"mcpServers": {"p": COMMAND}, "x": 1}, None),
        ({"mcpServers": {"p": COMMAND}, "servers": {}}, None),
        ({"servers": {"p": COMMAND, "b": 1}}, {"servers": {"b": 1}}),
        (
            {"mcpServers": {"p": COMMAND}, "servers": {"b": 1}},
            {"mcpServers": {}, "servers": {"b": 1}},
        ),
    ],
)
def test_file_without_an_entry_is_gone_if_no_other_is_left(
    folder: DataFolder, content: Any, left: Any
) -> None:
    file = read(folder, content)
    assert value(file.without_entry(file.find("p"))) == left

"""A URL that comes through the API reaches no private address, unless the change says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from router.instance_files.edits import apply_change
from router.instance_files.reader import load_instances
from router.messages.commands import AddInstance, SetActive, UpdateInstance
from router.messages.errors import INVALID_PARAMS
from tests.router.instance_files.applied_changes import json_in, refused
from tests.router.instance_files.providers import COMMAND, put

if TYPE_CHECKING:
    from pathlib import Path

NEW = "http://10.0.0.1/mcp"


def allows_private(data: Path) -> bool:
    [spec] = load_instances(data, {}).specs
    return spec.allow_private


# --- A new instance ---


@pytest.mark.parametrize("key", ["url", "serverUrl", "httpUrl"])
def test_a_new_instance_with_a_url_gets_the_key(data: Path, key: str) -> None:
    apply_change(data, AddInstance("p", {key: NEW}))
    assert json_in(data / "p" / "mcp_settings.json")["allow_private"] is False
    assert not allows_private(data)


@pytest.mark.parametrize("said", [True, False])
def test_a_new_instance_may_say_it_itself(data: Path, said: bool) -> None:
    apply_change(data, AddInstance("p", {"url": NEW, "allow_private": said}))
    assert allows_private(data) == said


def test_a_new_instance_with_a_command_needs_no_such_key(data: Path) -> None:
    apply_change(data, AddInstance("p", COMMAND))
    assert "allow_private" not in json_in(data / "p" / "mcp_settings.json")


def test_the_user_of_this_machine_may_add_private_addresses(data: Path) -> None:
    apply_change(data, AddInstance("p", {"url": NEW}), may_refer=True)
    assert allows_private(data)


# --- A changed one ---


@pytest.mark.parametrize(
    "entry",
    [
        {"url": "https://a"},
        {"httpUrl": "https://a", "url": NEW},
        {"url": "https://a", "allow_private": True},
        COMMAND,
    ],
)
@pytest.mark.parametrize("key", ["url", "serverUrl", "httpUrl"])
def test_another_url_needs_to_be_allowed_anew(data: Path, entry: dict[str, Any], key: str) -> None:
    put(data, "p", entry)
    apply_change(data, UpdateInstance("p", {key: NEW, "command": None, "args": None}))
    assert not allows_private(data)


@pytest.mark.parametrize("said", [True, False])
def test_a_change_may_say_it_itself(data: Path, said: bool) -> None:
    put(data, "p", {"url": "https://a"})
    apply_change(data, UpdateInstance("p", {"url": NEW, "allow_private": said}))
    assert allows_private(data) == said


def test_taking_out_the_key_with_the_old_url_leaves_the_new_one_guarded(data: Path) -> None:
    put(data, "p", {"url": "https://a", "allow_private": False})
    apply_change(data, UpdateInstance("p", {"url": NEW, "allow_private": None}))
    assert not allows_private(data)


def test_another_issuer_is_another_url(data: Path) -> None:
    put(data, "p", {"url": "https://a", "oauth": {"issuer": "https://b"}})
    apply_change(data, UpdateInstance("p", {"oauth": {"issuer": "https://10.0.0.1"}}))
    assert not allows_private(data)


@pytest.mark.parametrize(
    "change",
    [
        UpdateInstance("p", {"url": NEW}),
        UpdateInstance("p", {"metadata": {"a": 1}}),
        SetActive("p", False),
    ],
)
def test_an_instance_of_the_files_stays_as_it_is_if_its_url_does(
    data: Path, change: UpdateInstance | SetActive
) -> None:
    path = put(data, "p", {"url": NEW})
    apply_change(data, change)
    assert "allow_private" not in json_in(path)


@pytest.mark.parametrize("key", ["Allow_Private", "ALLOW_PRIVATE"])
def test_another_spelling_does_not_get_by(data: Path, key: str) -> None:
    error = refused(data, AddInstance("p", {"url": NEW, key: True}))
    assert error.code == INVALID_PARAMS
    assert 'did you mean "allow_private"?' in error.message

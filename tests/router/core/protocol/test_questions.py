"""What a server is told of the one client that it serves."""

from typing import Any

import pytest

from router.core.protocol.questions import identity_of
from router.messages.frames import NO_RAW
from tests.router.core.fake_peers import raw, value_of

INFO = {"name": "editor", "version": "1", "title": "An editor"}


def declared(revision: str, **capabilities: Any) -> dict[str, Any]:
    members = {name: raw(value) for name, value in capabilities.items()}
    told = identity_of(NO_RAW, revision, members)
    return {name: value_of(value) for name, value in told.capabilities.items()}


def test_a_client_with_a_name_and_a_version_is_told_of_as_it_is() -> None:
    assert value_of(identity_of(raw(INFO), "2025-11-25", {}).info) == INFO


@pytest.mark.parametrize("info", [None, [], {"name": "editor"}, {"name": 1, "version": "1"}])
def test_a_client_without_either_is_not_named(info: Any) -> None:
    assert identity_of(raw(info), "2025-11-25", {}).info == NO_RAW


def test_forms_are_told_of_as_far_as_the_revision_of_the_client_has_them() -> None:
    forms: dict[str, Any] = {
        "roots": {"listChanged": True},
        "sampling": {"tools": {}},
        "elicitation": {"url": {}},
    }
    assert declared("2025-11-25", **forms) == forms
    assert declared("2026-07-28", **forms) == forms
    plain = {"roots": {"listChanged": True}, "sampling": {}, "elicitation": {}}
    assert declared("2025-06-18", **forms) == plain
    assert declared("2024-11-05", **forms) == {"roots": {"listChanged": True}, "sampling": {}}


def test_nothing_else_is_told_of() -> None:
    assert declared("2025-11-25", tasks={}, extensions={}, roots=[], sampling=None) == {}

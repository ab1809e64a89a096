"""The key `sandbox`, and the mistakes in it."""

from __future__ import annotations

from typing import Any

import pytest

from router.messages.instances.sandbox import Sandbox
from tests.router.instance_files.reading import problem, read

COMMAND = {"command": "server"}


def test_paths_and_the_network_are_read() -> None:
    written = {"read": ["/srv/data"], "write": ["~/out", "./work"], "network": False}
    expected = Sandbox(read=("/srv/data",), write=("~/out", "./work"), network=False)
    assert read({**COMMAND, "sandbox": written}).sandbox == expected


@pytest.mark.parametrize("written", [None, False])
def test_without_it_a_process_is_not_confined(written: Any) -> None:
    assert read({**COMMAND, "sandbox": written}).sandbox is None


@pytest.mark.parametrize(
    ("sandbox", "text"),
    [
        (True, "sandbox: expected an object, got true or false"),
        ({"reads": []}, "sandbox.reads: unknown key. Did you mean 'read', 'required', 'write'?"),
        ({"read": "/srv"}, "sandbox.read: expected an array of paths, got a string"),
        ({"read": [1]}, 'sandbox.read[0]: expected an absolute path, got "1"'),
        ({"write": ["out"]}, 'sandbox.write[0]: expected an absolute path, got "out"'),
        ({"network": "no"}, 'sandbox.network: expected true or false, got "no"'),
    ],
)
def test_a_wrong_value_says_what_is_expected(sandbox: Any, text: str) -> None:
    assert problem({**COMMAND, "sandbox": sandbox}) == text


def test_only_a_process_can_be_confined() -> None:
    text = "sandbox: is only for instances with a command"
    assert problem({"url": "https://mcp.example.com", "sandbox": {}}) == text


def test_a_sandbox_may_name_the_first_root_of_a_client() -> None:
    paths = {"read": ["/a"], "write": ["${roots.0}/out"]}
    spec = read({**COMMAND, "sessions": "per_client", "sandbox": paths})
    assert spec.problem is None
    assert spec.needs_roots
    resolved = spec.with_root("/work")
    assert resolved.sandbox == Sandbox(read=("/a",), write=("/work/out",))
    assert not resolved.needs_roots

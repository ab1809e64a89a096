"""Keys of an entry that say how its sessions run."""

from typing import Any

import pytest

from router.instance_files.entry.run_policies import RUN_POLICY_KEYS
from router.messages.instances.run_policy import DEFAULT_RUN_POLICY, RunPolicy
from tests.router.instance_files.reading import COMMAND, read

MOST = "to 2592000 (30 days)"
EACH_KEY: dict[str, Any] = {
    "start": "lazy",
    "idle_stop_s": 600,
    "start_timeout_s": 300,
    "ping_interval_s": 0,
    "replicas": 3,
    "max_in_flight": 8,
    "max_result_bytes": 65536,
    "retry_safe_calls": True,
}


def test_entry_without_such_keys_leaves_all_to_the_defaults() -> None:
    assert read(COMMAND).run_policy is DEFAULT_RUN_POLICY
    assert read({**COMMAND, **dict.fromkeys(RUN_POLICY_KEYS)}).run_policy is DEFAULT_RUN_POLICY


def test_each_key_has_its_value() -> None:
    assert tuple(EACH_KEY) == RUN_POLICY_KEYS
    spec = read({**COMMAND, **EACH_KEY})
    assert spec.problem is None
    assert spec.run_policy == RunPolicy("lazy", 600.0, 300.0, 0.0, 3, 8, 65536, True)


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"start": "later"}, 'start: expected "eager" or "lazy", got "later"'),
        ({"start": ["lazy"]}, 'start: expected "eager" or "lazy", got an array'),
        (
            {"idle_stop_s": -1},
            f"idle_stop_s: expected a number of seconds from 0 (never) {MOST}, got -1",
        ),
        (
            {"start_timeout_s": 0},
            f"start_timeout_s: expected a number of seconds from more than 0 {MOST}, got 0",
        ),
        (
            {"idle_stop_s": 2_592_000.5},
            f"idle_stop_s: expected a number of seconds from 0 (never) {MOST}, got 2592000.5",
        ),
        (
            {"ping_interval_s": True},
            f"ping_interval_s: expected a number of seconds from 0 (never) {MOST}, got true",
        ),
        ({"replicas": 0}, "replicas: expected an integer from 1 to 32, got 0"),
        ({"max_in_flight": 1.5}, "max_in_flight: expected an integer from 1 to 100000, got 1.5"),
        ({"max_result_bytes": 9}, "max_result_bytes: expected an integer from 1024 to "),
        ({"retry_safe_calls": "yes"}, 'retry_safe_calls: expected true or false, got "yes"'),
        ({"Replicas": 2}, 'Replicas: unknown key; did you mean "replicas"?'),
    ],
)
def test_wrong_value_is_named_with_what_is_expected(keys: dict[str, Any], text: str) -> None:
    problem = read({**COMMAND, **keys}).problem
    assert problem is not None
    assert text in problem


@pytest.mark.parametrize(
    "entry", [{"url": "http://localhost/mcp"}, {**COMMAND, "sessions": "per_client"}]
)
def test_only_a_shared_session_of_a_command_has_replicas(entry: dict[str, Any]) -> None:
    problem = read({**entry, "replicas": 2}).problem
    assert problem is not None
    assert 'replicas: is only for instances with a command and "sessions": "shared"' in problem
    assert read({**entry, "replicas": 1}).problem is None

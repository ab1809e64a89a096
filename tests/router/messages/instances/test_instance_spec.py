"""An instance in words, and the changes that its session survives."""

import pytest

from router.messages.instances.exposure import Exposure
from router.messages.instances.instance_spec import InstanceSpec

SPEC = InstanceSpec("n", "p", command="c", env={"K": "secret"}, headers={"A": "secret"})


def test_an_instance_is_shown_with_its_provider() -> None:
    assert SPEC.display_name == "n (provider: p)"


def test_secrets_are_not_shown() -> None:
    assert "secret" not in repr(SPEC)


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({}, True),
        ({"metadata": {"k": 1}, "timeout_s": 5.0, "provider": "q", "source": "f"}, True),
        ({"check_arguments": True}, True),
        ({"exposure": Exposure(describe={"t": "x"}), "ignored": ("autoApprove",)}, True),
        ({"catalogue_cache": False, "max_sessions": 2}, True),
        ({"sessions": "per_client"}, False),
        ({"command": "d"}, False),
        ({"args": ("x",)}, False),
        ({"env": {}}, False),
        ({"is_active": False}, False),
        ({"problem": "why"}, False),
    ],
)
def test_a_session_survives_changes_of_keys_that_are_only_shown(
    changes: dict[str, object], answer: bool
) -> None:
    settings = {"name": "n", "provider": "p", "command": "c"}
    other = InstanceSpec(**settings | {"env": SPEC.env, "headers": SPEC.headers} | changes)  # type: ignore[arg-type]
    assert SPEC.starts_like(other) is answer

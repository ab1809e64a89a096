"""Commands and specs as data."""

from typing import Any

import pytest

from supervisors.child import ChildSpec, Restart, RestartChild
from tests.supervisors.harness import BOOM, stay


@pytest.mark.parametrize(
    ("restart", "after_clean_end", "after_error"),
    [
        (Restart.ALWAYS, True, True),
        (Restart.ON_FAILURE, False, True),
        (Restart.NEVER, False, False),
    ],
)
def test_restart_kinds_say_which_ends_they_cover(
    restart: Restart, *, after_clean_end: bool, after_error: bool
) -> None:
    assert restart.covers(None) is after_clean_end
    assert restart.covers(BOOM) is after_error


def test_spec_of_another_child_is_refused() -> None:
    with pytest.raises(ValueError, match="spec of 'b' given to restart 'a'"):
        RestartChild("a", ChildSpec("b", stay))
    assert RestartChild("b", ChildSpec("b", stay)).spec is not None


@pytest.mark.parametrize(
    "nonsense",
    [
        {"max_restarts": 0},
        {"period_s": 0},
        {"max_alike_starts": 0},
        {"start_timeout_s": 0},
        {"grace_s": -1},
    ],
)
def test_nonsense_is_refused(nonsense: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(nonsense))):
        ChildSpec("a", stay, **nonsense)

"""A login in a line."""

from __future__ import annotations

from typing import Any, Final

import pytest

from router.cli.logins.login_states import login_line

STATE: Final[dict[str, Any]] = {
    "instance": "github",
    "logged_in": True,
    "issuer": "https://as.example",
    "scopes": ["repo", "read:user"],
    "renewed": True,
    "expires_at_s": 1.0,
    "problem": "",
    "person": None,
}
WHERE: Final = "github: logged in at https://as.example"


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({}, f"{WHERE}, scopes repo read:user, renewed by itself"),
        ({"scopes": [], "renewed": False, "expires_at_s": None}, WHERE),
        (
            {"scopes": [], "renewed": False, "expires_at_s": 1e300},
            f"{WHERE}, until a time far away",
        ),
        ({"logged_in": False}, "github: not logged in"),
        ({"logged_in": False, "problem": "a\x1b[2Jb"}, "github: not logged in: a\\x1b[2Jb"),
        ({"logged_in": False, "person": "ana"}, "github: not logged in for ana"),
    ],
)
def test_line_says_where_what_for_and_how_long(given: dict[str, Any], line: str) -> None:
    assert login_line(STATE | given) == line


def test_time_is_that_of_this_machine() -> None:
    line = login_line(STATE | {"renewed": False, "expires_at_s": 1_700_000_000.0})
    assert ", until 2023-11-1" in line

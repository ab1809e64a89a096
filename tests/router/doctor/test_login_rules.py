"""Logins that end by themselves, and logins that nobody can make."""

from __future__ import annotations

from typing import Any

import pytest

from router.doctor.facts import Login, Running
from router.doctor.login_rules import judge
from router.messages.instances.oauth_login import OAuthLogin
from tests.router.doctor.made_facts import facts, lines, settings, spec

PERSONAL = spec("mail", type="http", url="https://x.example", oauth=OAuthLogin(per_user=True))
NO_TOKEN = (
    "warning mail: oauth.per_user is set, and without tokens the router cannot tell people apart "
    "-> give each person a token: security.tokens in config.json"
)
NO_URL = (
    "warning mail: people on other machines cannot open the page on which they log in -> set "
    "server.public_url in config.json to the URL at which they reach this router"
)
TOKEN = {"bearer_token": "0123456789abcdef"}


def test_login_that_nothing_renews_says_when_it_ends() -> None:
    logins = (
        Login("a", logged_in=True, expires_at_s=1_700_000_000.0),
        Login("b", logged_in=True, expires_at_s=1_700_000_000.0, renewed=True),
        Login("c", expires_at_s=1_700_000_000.0),
        Login("d", logged_in=True),
        Login("e", logged_in=True, expires_at_s=1e300),
    )
    assert lines(judge, facts(running=Running("u", "2", (), logins))) == [
        "note a: its login ends at 2023-11-14 22:13 UTC, since its server gave nothing to renew "
        "it with -> log in again then: mcp-router login a",
        "note e: its login ends at some day, since its server gave nothing to renew it with -> "
        "log in again then: mcp-router login e",
    ]


@pytest.mark.parametrize(
    ("sections", "found"),
    [
        ({}, [NO_TOKEN]),
        ({"security": TOKEN}, []),
        ({"security": TOKEN, "server": {"host": "0.0.0.0"}}, [NO_URL]),
        ({"security": TOKEN, "server": {"host": "0.0.0.0", "public_url": "https://r.example"}}, []),
    ],
)
def test_person_has_to_be_known_and_to_reach_the_page(
    sections: dict[str, Any], found: list[str]
) -> None:
    specs = (
        PERSONAL,
        spec("files"),
        spec("off", oauth=OAuthLogin(per_user=True), may_log_in=False),
    )
    assert lines(judge, facts(specs=specs, settings=settings(**sections))) == found

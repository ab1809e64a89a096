"""The logins that were begun are kept for a while, and not without end."""

from __future__ import annotations

import pytest

from router.oauth.client.login_results import LoginFailed
from router.oauth.client.parties import Parties
from router.oauth.client.pending_logins import MOST_PENDING, PendingLogin, PendingLogins
from router.oauth.client.protocol.clients import Client
from router.oauth.client.protocol.discovery import AuthorizationServer

PARTIES = Parties("https://mcp.test", AuthorizationServer("https://login.test"), Client("c"), None)
LOGIN = PendingLogin("notes", None, "key", PARTIES, "https://router.test", "verifier", 600)


def test_oldest_login_makes_room() -> None:
    logins = PendingLogins(lambda: 0)
    names = [logins.add(LOGIN) for _ in range(MOST_PENDING + 1)]
    assert len(set(names)) == MOST_PENDING + 1
    with pytest.raises(LoginFailed):
        logins.take(names[0])
    assert logins.take(names[1]) is LOGIN
    assert "verifier" not in repr(LOGIN)


def test_login_whose_time_is_over_is_not_kept() -> None:
    now_s = [0.0]
    logins = PendingLogins(lambda: now_s[0])
    name = logins.add(LOGIN)
    now_s[0] = 600
    logins.add(LOGIN)
    with pytest.raises(LoginFailed, match="unknown"):
        logins.take(name)

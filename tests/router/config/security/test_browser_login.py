"""`login` of an issuer: its client, its secret, its scopes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from router.config.redacted import mask_secrets
from router.config.security.browser_login import BrowserLogin
from router.config.settings import load_settings
from router.messages.errors import ConfigError
from tests.router.config.config_file import write

if TYPE_CHECKING:
    from pathlib import Path


def security(login: Any) -> dict[str, Any]:
    issuer = {
        "issuer": "https://id.example.org",
        "audience": "https://router.example.org",
        "permissions": {"scope:mcp": ["call"]},
        "login": login,
    }
    return {"security": {"oauth": {"issuers": [issuer]}}}


def test_secret_may_be_a_reference_and_is_never_shown(config: Path) -> None:
    login = {"client_id": "router", "client_secret": "${SECRET}", "scopes": ["email"]}
    path = write(config, security(login))
    settings = load_settings(path, {"SECRET": "secret-of-the-client"})
    (issuer,) = settings.security.oauth.issuers
    assert issuer.login == BrowserLogin("router", "secret-of-the-client", ("email",))
    assert "secret-of-the-client" in settings.security.secrets
    assert "secret-of-the-client" not in f"{settings!r}{mask_secrets(settings)}"


@pytest.mark.parametrize(
    ("login", "problem"),
    [
        ({}, "login.client_id: is missing"),
        ({"client_id": ""}, "login.client_id: expected the client's identifier"),
        ({"client_id": "a b"}, "login.client_id: expected the client's identifier"),
        ({"client_id": "a", "scopes": ["a b"]}, "login.scopes[0]: expected one scope"),
        ({"client_id": "a", "scope": "a"}, "login.scope: unknown key"),
        ({"client_id": "a", "client_secret": "${UNSET}"}, "login.client_secret: "),
    ],
    ids=str,
)
def test_mistake_is_named_with_its_place(config: Path, login: Any, problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_settings(write(config, security(login)), {})
    assert f"security.oauth.issuers[0].{problem}" in str(raised.value)

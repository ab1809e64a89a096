"""The settings as `GET /api/config` shows them."""

from __future__ import annotations

import json

from router.config.redacted import mask_secrets
from router.config.security.security import Security
from router.config.security.tokens import NamedToken
from router.config.settings import Settings


def test_secrets_are_masked_and_all_else_is_shown() -> None:
    tokens = {"bot": NamedToken("canary-two", ("call",), ("files",))}
    settings = Settings(security=Security(bearer_token="canary-one", tokens=tokens))
    masked = mask_secrets(settings)
    assert "canary" not in json.dumps(masked)
    assert masked["security"]["bearer_token"] == {"set": True}
    assert masked["security"]["tokens"]["bot"] == {
        "token": {"set": True},
        "permissions": ["call"],
        "instances": ["files"],
        "profile": None,
        "rate": None,
    }
    assert masked["api"]["port"] == 8001


def test_missing_secret_is_said_to_be_missing() -> None:
    assert mask_secrets(Settings())["security"]["bearer_token"] == {"set": False}

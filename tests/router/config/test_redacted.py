"""The settings as they may be shown."""

from __future__ import annotations

import json

from router.config.redacted import masked
from router.config.settings import Security, Settings
from router.config.tokens import NamedToken


def test_secrets_are_masked_and_all_else_is_shown() -> None:
    tokens = {"bot": NamedToken("canary-two", ("call",), ("files",))}
    settings = Settings(security=Security(bearer_token="canary-one", tokens=tokens))
    shown = masked(settings)
    assert "canary" not in json.dumps(shown)
    assert shown["security"]["bearer_token"] == {"set": True}
    assert shown["security"]["tokens"]["bot"] == {
        "token": {"set": True},
        "permissions": ["call"],
        "instances": ["files"],
    }
    assert shown["api"]["port"] == 8001


def test_missing_secret_is_said_to_be_missing() -> None:
    assert masked(Settings())["security"]["bearer_token"] == {"set": False}

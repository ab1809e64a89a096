"""A world without a keyring, so that logins are plain in the file."""

from __future__ import annotations

import pytest

from router.secret_store.keys import KEYRING
from tests.router.oauth.client.world import World


@pytest.fixture(autouse=True)
def no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    KEYRING.forget()
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


@pytest.fixture
def world() -> World:
    """A remote server with its authorization server."""
    return World()

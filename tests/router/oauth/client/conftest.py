"""A world without a keyring, so that logins are plain in the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from router.secret_store import store
from router.secret_store.keys import NoKey
from tests.router.oauth.client.world import World

if TYPE_CHECKING:
    from router.secret_store.sealing import Key


@pytest.fixture(autouse=True)
def no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_key(_patience_s: float) -> Key:
        raise NoKey("there is no keyring here")

    # Asking a real one starts a process each time.
    monkeypatch.setattr(store, "new_key_in_keyring", no_key)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


@pytest.fixture
def world() -> World:
    """A remote server with its authorization server."""
    return World()

"""A store in an empty folder, with or without a keyring and a credential."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from router.secret_store.keys import key_from_keyring
from router.secret_store.store import SecretStore

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[3]


@pytest.fixture
def choose_keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A function that gives processes a keyring of `fake_keyring`; "" is for none."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("FAKE_KEYRING", str(tmp_path / "keyring"))

    def choose(name: str) -> None:
        key_from_keyring.cache_clear()
        module = "tests.router.secret_store.fake_keyring" if name else "keyring.backends.fail"
        monkeypatch.setenv("PYTHON_KEYRING_BACKEND", f"{module}.{name or 'Keyring'}")

    choose("")
    return choose


@pytest.fixture
def path(tmp_path: Path, choose_keyring: Callable[[str], None]) -> Path:
    """The path of a file of secrets that is not there, on a machine without a keyring."""
    return tmp_path / "config" / "secrets.json"


@pytest.fixture
def credential(tmp_path: Path) -> dict[str, str]:
    """An environment with a credential that has a key."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "mcp-router-secrets-key").write_text(f"{'0123456789abcdef' * 4}\n")
    return {"CREDENTIALS_DIRECTORY": str(folder)}


@pytest.fixture
def sealed(path: Path, credential: dict[str, str]) -> SecretStore:
    """A store whose key is in the credential."""
    return SecretStore(path, credential)

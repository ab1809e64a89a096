"""Keyrings for the process that asks: one in a file, one that never answers, one that asks."""

from __future__ import annotations

import getpass
import json
import os
import time
from pathlib import Path

from keyring.backend import KeyringBackend


class FileKeyring(KeyringBackend):
    """Keeps passwords in the file that `FAKE_KEYRING` names."""

    priority = 9  # pyright: ignore[reportAssignmentType]

    def _passwords(self) -> dict[str, str]:
        path = Path(os.environ["FAKE_KEYRING"])
        return json.loads(path.read_text()) if path.exists() else {}

    def _write(self, passwords: dict[str, str]) -> None:
        Path(os.environ["FAKE_KEYRING"]).write_text(json.dumps(passwords))

    def get_password(self, service: str, username: str) -> str | None:
        return self._passwords().get(f"{service} {username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self._write({**self._passwords(), f"{service} {username}": password})

    def delete_password(self, service: str, username: str) -> None:
        left = self._passwords()
        del left[f"{service} {username}"]
        self._write(left)


class HungKeyring(FileKeyring):
    """Waits for a bus that never answers."""

    def get_password(self, service: str, username: str) -> str | None:
        time.sleep(600)
        return None

    def set_password(self, service: str, username: str, password: str) -> None:
        time.sleep(600)


class AskingKeyring(FileKeyring):
    """Asks for a password on the terminal."""

    def set_password(self, service: str, username: str, password: str) -> None:
        getpass.getpass("Password of the keyring: ")

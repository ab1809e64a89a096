"""Finds the key of a file of secrets: in a credential of systemd, or in the system's keyring.

Each file has a key of its own in the keyring, under the id of that key.

Invariants: the keyring is asked in another process and with a time limit, so that neither a
missing bus nor a question to the user makes the router wait for ever; no key is on a command line.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from router.files.json_files import read_bytes
from router.messages.errors import ConfigError
from router.secret_store import keyring_process
from router.secret_store.sealing import Key

if TYPE_CHECKING:
    from collections.abc import Mapping

CREDENTIALS_VARIABLE: Final = "CREDENTIALS_DIRECTORY"
"""The environment variable in which systemd names the folder of a service's credentials."""

CREDENTIAL: Final = "mcp-router-secrets-key"
"""The name of the credential that holds a key."""

KEY_LIMIT_BYTES: Final = 1024

SHORTEST_KEY: Final = 32
"""Characters of a key in a credential: 128 random bits as hex digits."""


class NoKey(Exception):
    """A key that cannot be had; the text is the end of a sentence, such as "there is no …"."""


def key_from_credential(environ: Mapping[str, str]) -> Key | None:
    """Return the key that systemd passes to this service; None if it passes none.

    Raises:
        ConfigError: the credential is there and cannot be used.
    """
    folder = environ.get(CREDENTIALS_VARIABLE)
    if not folder:
        return None
    place = f"the credential {CREDENTIAL}"
    try:
        text = read_bytes(Path(folder) / CREDENTIAL, place, KEY_LIMIT_BYTES).decode().strip()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise ConfigError(place, "is not UTF-8 text") from None
    if len(text) < SHORTEST_KEY:
        problem = f"is shorter than {SHORTEST_KEY} characters"
        raise ConfigError(place, f"{problem}; make one with: openssl rand -hex 32")
    return Key(text)


@lru_cache(maxsize=8)  # the key of an id never changes
def key_from_keyring(key_id: str, patience_s: float) -> Key:
    """Return the key of this id. Blocks: not for the event loop.

    Args:
        key_id: of the key.
        patience_s: the time to wait for the keyring.

    Raises:
        NoKey: there is no keyring, it does not answer in time, or it has no such key.
    """
    found = _ask("get", key_id, patience_s)
    if found["password"] is None:
        raise NoKey(f"{found['keyring']} does not have it")
    key = Key(found["password"])
    if key.id != key_id:
        raise NoKey(f"{found['keyring']} has another key in its place")
    return key


def new_key_in_keyring(patience_s: float) -> Key:
    """Put a new key into the keyring and return it, once it can be read there.

    Raises:
        NoKey: there is no keyring, or it does not answer in time or does not keep the key.
    """
    key = Key(secrets.token_hex(32))
    found = _ask("set", key.id, patience_s, key.text)
    if found["password"] != key.text:
        raise NoKey(f"{found['keyring']} does not keep what it is given")
    return key


def remove_from_keyring(key: Key, patience_s: float) -> None:
    """Remove a key that no file needs.

    Raises:
        NoKey: it could not be removed.
    """
    _ask("delete", key.id, patience_s)


def _ask(action: str, key_id: str, patience_s: float, password: str = "") -> dict[str, Any]:
    """Return the answer of the keyring (see `keyring_process`).

    Raises:
        NoKey: it has none.
    """
    command = [sys.executable, "-P", keyring_process.__file__, action, f"secrets {key_id}"]
    try:
        done = subprocess.run(
            command,
            input=password.encode(),
            capture_output=True,
            timeout=patience_s,
            start_new_session=True,  # a backend that asks in the terminal has none to ask in
            check=False,
        )
        answer = msgspec.json.decode(done.stdout, type=dict[str, str | None])
    except subprocess.TimeoutExpired:
        raise NoKey(f"the keyring did not answer within {patience_s:g} s") from None
    except OSError as exc:
        raise NoKey(f"the keyring cannot be asked: {exc.strerror or exc}") from None
    except msgspec.DecodeError:
        raise NoKey("the keyring failed") from None
    if "problem" in answer:
        raise NoKey(answer["problem"] or "the keyring failed")
    return answer

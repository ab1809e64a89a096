"""Asks the system's keyring, as a process of its own.

Backends of keyrings wait for a bus, for a person or for a terminal, and some end the process. So
`keys` runs this file as a process without a terminal, and ends it after some time.

The arguments are an action (get, set, delete) and a user name. The password to set comes on stdin.
The answer on stdout is JSON: `{"keyring": its name, "password": text or null}`, or
`{"problem": a sentence}`.

Invariants: nothing of the router is imported, since this runs as a file; a password is on stdin and
stdout alone.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keyring.backend import KeyringBackend

SERVICE: Final = "mcp-router"

LOWEST_PRIORITY: Final = 1
"""Backends that keep passwords safely have at least this one (`keyring.backend`)."""


def main(arguments: Sequence[str], stdin: TextIO, stdout: TextIO) -> int:
    """Carry out one action, write the answer, and return the exit status."""
    action, user = arguments
    answer = _answer(action, user, stdin)
    stdout.write(json.dumps(answer))
    return 1 if "problem" in answer else 0


def _answer(action: str, user: str, stdin: TextIO) -> dict[str, Any]:
    try:
        import keyring

        backend = keyring.get_keyring()
        if backend.priority < LOWEST_PRIORITY:
            return {"problem": "there is no keyring here"}
        password = _carry_out(backend, action, user, stdin)
    except Exception as exc:  # noqa: BLE001 - each backend fails in its own way
        words = " ".join(str(exc).split())
        return {"problem": f"the keyring failed: {type(exc).__name__}: {words}"[:300]}
    return {"keyring": backend.name, "password": password}


def _carry_out(backend: KeyringBackend, action: str, user: str, stdin: TextIO) -> str | None:
    if action == "delete":
        backend.delete_password(SERVICE, user)
        return None
    if action == "set":
        # A decorator takes its type away.
        cast("Any", backend).set_password(SERVICE, user, stdin.read())
    return backend.get_password(SERVICE, user)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdin, sys.stdout))

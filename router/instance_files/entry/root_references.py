"""Checks where an entry refers to `${roots.0}`, the first root of a client.

The reference stays in the entry: it is resolved when a session is started for a client.

Invariant: pure.
"""

from __future__ import annotations

import re
from typing import Final

from router.messages.instances.instance_spec import ROOT_REFERENCE
from router.references.expander import Unresolved

_ROOTS: Final = re.compile(r"\$\{roots(?:\.[^{}]*)?\}")
_WITH_ROOTS: Final = ("args[", "sandbox.read[", "sandbox.write[")


def check_roots(step: str, text: str, sessions: object) -> None:
    """Check that a text refers to roots of a client only where that can be resolved.

    Args:
        step: the key in the entry, such as `cwd` or `args[0]`.
        text: its value, as it is written.
        sessions: the value of the key `sessions`.

    Raises:
        Unresolved: it cannot be resolved here.
    """
    for found in _ROOTS.finditer(text):
        if found[0] != ROOT_REFERENCE:
            raise Unresolved(f"only the first root is known: write {ROOT_REFERENCE}")
        if step != "cwd" and not step.startswith(_WITH_ROOTS):
            raise Unresolved(f'{ROOT_REFERENCE} only works in "cwd", "args" and "sandbox"')
        if sessions != "per_client":
            raise Unresolved(
                f"{ROOT_REFERENCE} is a folder of one client: give each client a session of its "
                'own with "sessions": "per_client"'
            )

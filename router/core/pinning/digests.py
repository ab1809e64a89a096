"""Hashes the whole wire object of a tool, however its server wrote it down. Pure.

Invariants:

- Every member counts, known or not, at any depth: `_meta`, annotations, icons, schemas.
- Only what no reader of JSON can see makes no difference: the order of members, white space, and
  how a character or number is spelled (RFC 8785 has the same idea). Where readers may differ, such
  as over a member that is there twice, the bytes themselves are hashed.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final


class _Ambiguous(ValueError):
    """An object has a member twice."""


def digest_of(raw: bytes) -> str:
    """Return the SHA-256 of a JSON text in its canonical form, as 64 hex digits."""
    try:
        value = json.loads(raw, object_pairs_hook=_members_once)
        canonical = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        canonical = _AS_IT_CAME + raw
    return hashlib.sha256(canonical).hexdigest()


_AS_IT_CAME: Final = b"raw:"
"""Begins what is no canonical form, so that it is equal to none."""


def _members_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Ambiguous
    return members

"""Names each tool of each instance with one text: `{instance}__{tool}`, its direct name.

A direct name has the characters and the length that LLM providers accept. Where it cannot hold the
names of instance and tool as they are, it is cut and ends in a hash of both.

Invariants:

- A name follows from instance, tool and limit alone, so no other server changes it.
- Two pairs never have one name. Without a hash, the first `__` stands between the two parts. With
  a hash, the hash tells them apart. A name without a hash never ends like one with a hash.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

SEPARATOR: Final = "__"

_HASH_CHARACTERS: Final = 16
"""Hexadecimal digits of a hash, 64 bits.

Among 10,000 such names, two are equal with a probability below 1 in 10^11. To get the name of
another server's tool, a server has to try 2^64 names, and the cut parts have to be equal as well.
"""

_READABLE_CHARACTERS: Final = 4
"""Characters that even the shortest limit leaves for the names and the `_` before the hash."""

_OTHER_CHARACTERS: Final = re.compile(r"[^A-Za-z0-9_-]")


def direct_name(instance: str, tool: str, limit: int) -> str:
    """Return the direct name of a tool.

    Args:
        instance: the name of its instance; any text.
        tool: the tool's own name; any text.
        limit: the greatest length in characters (`server.name_limit`), at least 16.
    """
    name = f"{instance}{SEPARATOR}{tool}"
    may_stay = len(name) <= limit and not _OTHER_CHARACTERS.search(name)
    # Only the instance can hide where it ends: whatever follows the first `__` is the tool.
    is_separable = SEPARATOR not in instance and not instance.endswith("_")
    if may_stay and is_separable and not is_hashed(name, limit):
        return name
    return _hashed_name(instance, tool, limit)


def _hashed_name(instance: str, tool: str, limit: int) -> str:
    # The length makes ("ab", "c") and ("a", "bc") two texts.
    pair = f"{len(instance)}:{instance}{tool}".encode(errors="surrogatepass")
    digest = hashlib.sha256(pair).hexdigest()[: _hash_length(limit)]
    room = limit - len(digest) - 1
    # A long instance leaves half of the room to its tool, which says more.
    shown = instance[: max(_least_shown(room), room - len(SEPARATOR) - len(tool))]
    readable = _OTHER_CHARACTERS.sub("_", f"{shown}{SEPARATOR}{tool}"[:room])
    return f"{readable}_{digest}"


def _hash_length(limit: int) -> int:
    return min(_HASH_CHARACTERS, limit - _READABLE_CHARACTERS)


def _least_shown(room: int) -> int:
    """Return the number of characters of a long instance that stand in every name of its tools."""
    return (room - 1) // 2


# --- From a name to its instance -------------------------------------------------------------


def names_of(instance: str, tools: Iterable[str], limit: int) -> dict[str, str]:
    """Return the direct names of an instance's tools, each with the tool's own name."""
    return {direct_name(instance, tool, limit): tool for tool in tools}


def is_hashed(name: str, limit: int) -> bool:
    """Return whether a name is short enough for a direct name, and ends as one with a hash does."""
    if len(name) > limit:
        return False
    length = _hash_length(limit)
    end = name[-length - 1 :]
    return len(end) == length + 1 and end[0] == "_" and set(end[1:]) <= _HEX_DIGITS


_HEX_DIGITS: Final = frozenset("0123456789abcdef")


def instance_in(name: str, limit: int) -> str | None:
    """Return the instance in a name without a hash; None if it is no such name."""
    if len(name) > limit:
        return None  # Texts of clients may have millions of characters.
    instance, _, tool = name.partition(SEPARATOR)
    is_whole = not is_hashed(name, limit) and direct_name(instance, tool, limit) == name
    return instance if is_whole else None


def may_be_of(instance: str, name: str, limit: int) -> bool:
    """Return whether a direct name may be that of a tool of this instance.

    With a hash in the name only the tools tell for certain. This is for an instance whose tools
    are not known yet.
    """
    room = limit - _hash_length(limit) - 1
    beginning = f"{instance}{SEPARATOR}"[: _least_shown(room)]
    return name.startswith(_OTHER_CHARACTERS.sub("_", beginning))

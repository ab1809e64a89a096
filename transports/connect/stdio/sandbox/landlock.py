"""Says in the terms of Landlock what a confined process may do with files. Pure.

Landlock lets a process give up rights, for itself and all it starts, and needs no privilege for
that (Linux, Documentation/userspace-api/landlock.rst). What a ruleset handles and no rule allows is
refused.
"""

from __future__ import annotations

import struct
from typing import Final

LEAST_ABI: Final = 3
"""Of Linux 6.2. Before that, a file could be cut to nothing whatever the rules say."""

SIGNALS_ABI: Final = 6
"""From Linux 6.12 on, signals and abstract sockets can be kept inside."""

_EXECUTE: Final = 1 << 0
_READ_FILE: Final = 1 << 2
_READ_DIR: Final = 1 << 3
_MAKE_CHAR: Final = 1 << 6
_MAKE_BLOCK: Final = 1 << 11
_IOCTL_DEV: Final = 1 << 15
_IOCTL_DEV_ABI: Final = 5

_ALL_OF_ABI_3: Final = (1 << 15) - 1

READ: Final = _EXECUTE | _READ_FILE | _READ_DIR
WRITE: Final = _ALL_OF_ABI_3 & ~(_MAKE_CHAR | _MAKE_BLOCK)
"""All but to make devices: by one of its own, a process of root would reach the whole disk."""

CONTROL: Final = _IOCTL_DEV
"""To control a device that is there, such as a terminal, from Linux 6.10 on."""

_SCOPE_ABSTRACT_SOCKETS: Final = 1 << 0
_SCOPE_SIGNALS: Final = 1 << 1


def handled_files(abi: int) -> int:
    """Return the rights about files that an ABI knows; a rule with others is refused."""
    return _ALL_OF_ABI_3 | (CONTROL if abi >= _IOCTL_DEV_ABI else 0)


def ruleset_for(abi: int) -> bytes:
    """Return the `struct landlock_ruleset_attr` that handles all that an ABI knows of files.

    Connections are left to `network_filter`, which knows more of them than TCP.

    Args:
        abi: the version that the kernel has, at least `LEAST_ABI`.
    """
    files = handled_files(abi)
    if abi < SIGNALS_ABI:
        return struct.pack("=Q", files)
    return struct.pack("=QQQ", files, 0, _SCOPE_ABSTRACT_SOCKETS | _SCOPE_SIGNALS)

"""Closes the memory and environment of this process to other processes of the same user.

The router holds tokens and configuration, and the servers it starts run as the same user. This
works on Linux only: other systems protect the memory of processes anyway, or offer nothing like it.
"""

from __future__ import annotations

import sys
from typing import Final

PR_SET_DUMPABLE: Final = 4
"""`prctl(2)`: with 0, `/proc/PID/environ`, `mem` and the like are root's, nobody of the same user
may trace the process, and it leaves no core file."""


def keep_private() -> bool:
    """Close this process. Its children start open again, since they execute another program.

    Returns:
        True if it is closed.
    """
    if sys.platform != "linux":
        return False
    # Trio has it imported already; without Trio nothing is served.
    import ctypes

    zero = ctypes.c_ulong(0)
    return ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, zero, zero, zero, zero) == 0

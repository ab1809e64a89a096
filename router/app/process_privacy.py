"""Keep other processes of the same user out of this one.

Job: what the router holds (the environment with its tokens, the configuration) is not for the
servers it starts, which run as the same user. Neighbours: `cli` calls it before anything is read.

Linux only: elsewhere the system keeps a process's memory to itself, or offers nothing like it.
"""

from __future__ import annotations

import sys
from typing import Final

PR_SET_DUMPABLE: Final = 4
"""`prctl(2)`: with 0, `/proc/PID/environ`, `mem` and the like are root's, nobody of the same user
may trace the process, and it leaves no core file."""


def keep_private() -> bool:
    """Close this process's memory and environment to others of the same user.

    Children are not concerned: what is executed anew starts open again.

    Returns:
        Whether it is closed.
    """
    if sys.platform != "linux":
        return False
    # Trio has it imported already; without Trio nothing is served.
    import ctypes

    zero = ctypes.c_ulong(0)
    return ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, zero, zero, zero, zero) == 0

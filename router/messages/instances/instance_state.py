"""The states of an instance, and of each of its sessions.

- `disabled`: not active, so the supervisor runs nothing for it.
- `starting`: the supervisor runs it, and its session is not up yet.
- `ready`: its session is up and its catalog is known.
- `degraded`: its session is up, but its server refuses calls and is spared for a while.
- `backoff`: it ended and will be restarted.
- `failed`: it cannot be started, or was restarted too often and is only probed.
- `needs_login`: its server asks for a login, and nothing starts it before that. Its last known
  lists are shown: the login may come in a minute, and the call of a tool says how to log in.
- `stopping`: it was taken away or replaced.
- `idle`: nothing runs for it now, and the next use starts it; its last known lists are shown.
"""

from __future__ import annotations

import enum
from typing import Final


class InstanceState(enum.StrEnum):
    """The states of an instance; the values are shown to users."""

    DISABLED = "disabled"
    STARTING = "starting"
    READY = "ready"
    DEGRADED = "degraded"
    BACKOFF = "backoff"
    FAILED = "failed"
    NEEDS_LOGIN = "needs_login"
    STOPPING = "stopping"
    IDLE = "idle"


CONNECTED_STATES: Final = frozenset({InstanceState.READY, InstanceState.DEGRADED})

"""Sums up in at most two lines of the log how the instances got up after the router's start.

The first line says how many are up, and names the others, once nothing has changed for a while. The
second says that all are up. If all get up soon, only the second is said.

Invariants:

- Each line is said at most once, however often an instance fails later.
- Nothing here does I/O: the caller supplies the time and writes the lines.
- Instances that come long after the router's start are not counted.
- An instance with replicas counts once, and is up as soon as one of them is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from router.messages.instances.instance_spec import CLIENT_MARK
from supervisors.child import Down, GaveUp, Starting, Up

if TYPE_CHECKING:
    from supervisors.child import ChildEvent

COUNTED_WITHIN_S: Final = 30.0
"""Instances that come later than this after the start were added, or are started by a call."""

QUIET_S: Final = 10.0
"""When no instance has got up or failed for this long, the rest takes its time."""

SETTLED_S: Final = 2.0
"""The same, when each instance is up or has failed: nothing is about to change."""

AT_LATEST_S: Final = 60.0
"""The first line is said by then, also while instances still get up one after the other."""

_BEST_FIRST: Final = ("up", "starting", "down", "failed")
"""The state of an instance is the best one of its replicas."""

MAX_NAMES: Final = 20
"""More names than this are only counted."""


class StartReport(Struct):
    """The instances that were started with the router.

    Attributes:
        started_at_s: the monotonic second of the router's start.
        is_over: True once all has been said.
    """

    started_at_s: float
    is_over: bool = False
    # By session: of an instance, or of one of its replicas.
    _states: dict[str, str] = {}
    # By instance. Kept, because the actor asks for the deadline in each of its turns.
    _by_instance: dict[str, str] = {}
    _missing: dict[str, str] = {}
    _changed_at_s: float = 0.0
    _is_summed_up: bool = False

    def expect(self, name: str, now_s: float) -> None:
        """Note that an instance, or one of its replicas, is to be started."""
        if now_s - self.started_at_s <= COUNTED_WITHIN_S:
            self._states.setdefault(name, "starting")
            self._changed_at_s = now_s
            self._count()

    def take(self, event: ChildEvent, now_s: float) -> None:
        """Note what the supervisor says of an instance."""
        if event.name not in self._states:
            return
        match event:
            case Starting():
                self._states[event.name] = "starting"
                self._count()
                return
            case Up():
                self._states[event.name] = "up"
            case GaveUp():
                self._states[event.name] = "failed"
            case Down(retry_in_s=None):
                del self._states[event.name]
            case Down():
                self._states[event.name] = "down"
            case _:
                return
        self._changed_at_s = now_s
        self._count()

    def next_deadline_s(self) -> float | None:
        """Return the monotonic second at which `line` has something to say; None: not by itself."""
        if self.is_over or not self._states:
            return None
        if not self._missing:
            return self._changed_at_s
        if self._is_summed_up:
            return None
        is_settled = set(self._by_instance.values()) <= {"up", "failed"}
        quiet_s = SETTLED_S if is_settled else QUIET_S
        return min(self._changed_at_s + quiet_s, self.started_at_s + AT_LATEST_S)

    def line(self, now_s: float) -> str | None:
        """Return what is to be said now, once; None for nothing."""
        deadline_s = self.next_deadline_s()
        if deadline_s is None or now_s < deadline_s:
            return None
        missing, total = self._missing, len(self._by_instance)
        if not missing:
            self.is_over = True
            return f"All {total} instances are up" if total > 1 else "The only instance is up"
        self._is_summed_up = True
        names = [f"{name} ({state})" for name, state in missing.items()][:MAX_NAMES]
        if len(missing) > MAX_NAMES:
            names.append(f"and {len(missing) - MAX_NAMES} more")
        return f"{total - len(missing)} of {total} instances are up; not up: {', '.join(names)}"

    def _count(self) -> None:
        states: dict[str, str] = {}
        for name, state in self._states.items():
            instance = name.partition(CLIENT_MARK)[0]
            states[instance] = min(states.get(instance, state), state, key=_BEST_FIRST.index)
        self._by_instance = states
        self._missing = {name: state for name, state in states.items() if state != "up"}

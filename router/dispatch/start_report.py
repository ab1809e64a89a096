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

from collections import Counter
from typing import TYPE_CHECKING, Final

from msgspec import Struct, field

from router.dispatch.reports import login_needed
from router.messages.instances.instance_spec import CLIENT_MARK
from supervisors.child import Down, GaveUp, Starting, Up

if TYPE_CHECKING:
    from supervisors.child import ChildEvent

COUNTED_WITHIN_S: Final = 30.0
"""Instances that come later than this after the start were added, or are started by a call."""

QUIET_S: Final = 10.0
"""When no instance has got up or failed for this long, the rest takes its time."""

SETTLED_S: Final = 2.0
"""The same, when each instance is up, has failed or needs a login: nothing is about to change."""

AT_LATEST_S: Final = 60.0
"""The first line is said by then, also while instances still get up one after the other."""

_BEST_FIRST: Final = ("up", "starting", "down", "needs_login", "failed")
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
    # Instance -> session, its own or that of a replica -> state.
    _sessions: dict[str, dict[str, str]] = {}
    # Instance -> state. Kept up to date, as are the numbers, because the actor asks for the
    # deadline in each of its turns.
    _states: dict[str, str] = {}
    _numbers: Counter[str] = field(default_factory=Counter[str])
    _changed_at_s: float = 0.0
    _is_summed_up: bool = False

    def expect(self, name: str, now_s: float) -> None:
        """Note that an instance, or one of its replicas, is to be started."""
        if now_s - self.started_at_s <= COUNTED_WITHIN_S:
            if self._state_of(name) is None:
                self._note(name, "starting")
            self._changed_at_s = now_s

    def take(self, event: ChildEvent, now_s: float) -> None:
        """Note what the supervisor says of an instance."""
        if self._state_of(event.name) is None:
            return
        match event:
            case Starting():
                self._note(event.name, "starting")
                return
            case Up():
                self._note(event.name, "up")
            case GaveUp():
                self._note(event.name, "failed")
            case Down() if login_needed(event) is not None:
                self._note(event.name, "needs_login")
            case Down(retry_in_s=None):
                self._note(event.name, None)
            case Down():
                self._note(event.name, "down")
            case _:
                return
        self._changed_at_s = now_s

    def next_deadline_s(self) -> float | None:
        """Return the monotonic second at which `line` has something to say; None: not by itself."""
        if self.is_over or not self._states:
            return None
        numbers, total = self._numbers, len(self._states)
        if numbers["up"] == total:
            return self._changed_at_s
        if self._is_summed_up:
            return None
        settled = numbers["up"] + numbers["failed"] + numbers["needs_login"]
        quiet_s = SETTLED_S if settled == total else QUIET_S
        return min(self._changed_at_s + quiet_s, self.started_at_s + AT_LATEST_S)

    def line(self, now_s: float) -> str | None:
        """Return what is to be said now, once; None for nothing."""
        deadline_s = self.next_deadline_s()
        if deadline_s is None or now_s < deadline_s:
            return None
        missing = [f"{name} ({state})" for name, state in self._states.items() if state != "up"]
        total = len(self._states)
        if not missing:
            self.is_over = True
            return f"All {total} instances are up" if total > 1 else "The only instance is up"
        self._is_summed_up = True
        names = missing[:MAX_NAMES]
        if len(missing) > MAX_NAMES:
            names.append(f"and {len(missing) - MAX_NAMES} more")
        return f"{total - len(missing)} of {total} instances are up; not up: {', '.join(names)}"

    def _state_of(self, name: str) -> str | None:
        """Return the state of a session; None if it is not counted."""
        return self._sessions.get(_instance_of(name), {}).get(name)

    def _note(self, name: str, state: str | None) -> None:
        """Note the state of a session, None for its end, and what follows for its instance."""
        instance = _instance_of(name)
        sessions = self._sessions.setdefault(instance, {})
        if state is None:
            del sessions[name]
        else:
            sessions[name] = state
        before = self._states.get(instance)
        best = min(sessions.values(), key=_BEST_FIRST.index, default=None)
        if before is not None:
            self._numbers[before] -= 1
        if best is None:
            del self._sessions[instance], self._states[instance]
        else:
            self._numbers[best] += 1
            self._states[instance] = best


def _instance_of(name: str) -> str:
    return name.partition(CLIENT_MARK)[0]

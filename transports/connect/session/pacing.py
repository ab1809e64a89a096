"""Decides how fast an upstream is read that says much unasked.

A server may notify and ask as fast as it can write. Whatever that costs the router, the calls of
other servers wait for it. So the frames that answer no call have a budget in time: a burst costs
nobody anything, and in the long run they get a share of one CPU, whether they come in a backlog or
one by one. Beyond it the session reads on later, so the pipe fills and the server waits. Nothing is
dropped.

Invariants: pure, the caller measures the time. A server that answers requests, with some news of
each, is never held back.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

FRAMES_PER_REQUEST: Final = 32
"""Frames that each frame sent to the server allows it: an answer, progress, logs."""

SHARE: Final = 0.1
"""The part of the time that the unasked frames of one session may take in the long run."""

BURST_S: Final = 0.5
"""Time that they may take at once after a quiet time: some thousands of frames."""

TURN_S: Final = 0.001
"""Time that they may take before others have their turn, about one call."""

MAX_QUOTA: Final = 64
"""Frames in one turn at most, however little they cost."""

READ_S: Final = 5e-6
"""Time to read and decode one frame, which happens before anybody can measure it."""

NEWS: Final = 0.25
"""The weight of the last measurement in the cost of a frame: a single one may be out of line."""


class Pacing(Struct):
    """The budget of one session for frames that answer no call.

    Attributes:
        quota: frames until the session has to let others pass, and to measure again.
    """

    quota: int = MAX_QUOTA
    _left_s: float = BURST_S
    _at_s: float = 0.0
    _frame_s: float = 0.0  # what the actor needs for one frame, as a moving average

    def pause_s(self, frames: int, took_s: float, handled_s: float | None, now_s: float) -> float:
        """Charge frames to the budget; return how long to wait before the next one, in seconds.

        Args:
            frames: the number of frames since the last measurement, at least one.
            took_s: the time that everybody needed for those that were not handled yet.
            handled_s: the time that the actor needed for one of them; None if that is not known.
            now_s: monotonic seconds, at the end of that time.
        """
        if handled_s is not None:
            self._frame_s += (handled_s - self._frame_s) * NEWS
        # Where there is no backlog, most frames were handled before anybody waited for that.
        took_s = max(took_s, frames * self._frame_s) + frames * READ_S
        self.quota = max(1, min(MAX_QUOTA, int(TURN_S * frames / took_s)))
        left_s = min(BURST_S, self._left_s + (now_s - self._at_s) * SHARE) - took_s
        # No more: the time may have gone by for another reason, such as a stop of this process.
        self._left_s = max(left_s, -BURST_S)
        self._at_s = now_s
        return max(0.0, -self._left_s / SHARE)

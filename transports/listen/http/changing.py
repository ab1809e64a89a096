"""Lets tasks wait for a change of an object. No I/O.

A `trio.Event` for each wait would cost three times as much, and every call waits for its answer.
"""

from __future__ import annotations

import trio


class Changing:
    """An object whose changes tasks wait for; `wake` tells them of one."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[trio.lowlevel.Task] = []

    async def wait_changed(self) -> None:
        """Wait until `wake` is called."""
        task = trio.lowlevel.current_task()
        self._waiting.append(task)

        def stop_waiting(_: object) -> trio.lowlevel.Abort:
            self._waiting.remove(task)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(stop_waiting)

    def wake(self) -> None:
        """Wake all tasks in `wait_changed`."""
        if self._waiting:
            for task in self._waiting:
                trio.lowlevel.reschedule(task)
            self._waiting.clear()

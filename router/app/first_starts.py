"""Gives the first start of a package its time and its turn.

`npx`, `uvx` and the like download a package when it is first started. That takes longer than a
start, so it may; the instance says what it does meanwhile. Two that install the same package at the
same time can spoil each other's files, so they take turns; the second finds it installed.

Invariant: a turn ends when its session is up or has failed, whatever happens.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import trio
from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from contextlib import AbstractAsyncContextManager

    from router.reload.package_store import PackageStore
    from supervisors.child import Run, StartStatus
    from transports.connect.stdio.package_commands import PackageCommand

INSTALL_S: Final = 300.0
"""Time for a first start, unless the instance has a `start_timeout_s` of its own."""


class FirstStarts(Struct, frozen=True):
    """The packages that are being installed, and those that were.

    Attributes:
        ready: the packages that have been ready once.
    """

    ready: PackageStore
    # By manager and package. One that nobody waits for stays: there are few, and they are small.
    _turns: dict[tuple[str, str], trio.Semaphore] = {}

    def child(
        self, command: PackageCommand, run: Run[Any], *, start_s: float, install_s: float
    ) -> Run[Any]:
        """Return a child like `run`, whose first start takes its turn.

        Args:
            command: the package that it starts.
            run: the session.
            start_s: the time for a start.
            install_s: the time for a start that installs the package.
        """
        key = command.manager, command.package
        turn = self._turns.setdefault(key, trio.Semaphore(1, max_value=1))
        return _Child(command, run, start_s, install_s, self.ready, turn)


class _Child(Struct, frozen=True):
    command: PackageCommand
    run: Run[Any]
    start_s: float
    install_s: float
    ready: PackageStore
    turn: trio.Semaphore

    async def __call__(self, stopping: trio.Event, *, task_status: StartStatus[Any]) -> None:
        if await self._is_installed():
            await self.run(stopping, task_status=task_status)
            return
        async with self._take_turn(task_status) as turn:
            if await self._is_installed():
                turn.end()
                task_status.extend_start(self.start_s, f"starting {self._shown}")
                await self.run(stopping, task_status=task_status)
            else:
                task_status.extend_start(self.install_s, f"installing {self._shown}")
                await self._install(stopping, _Installing(task_status), turn)

    async def _is_installed(self) -> bool:
        return await self.ready.knows(self.command.manager, self.command.package)

    @asynccontextmanager
    async def _take_turn(self, task_status: StartStatus[Any]) -> AsyncGenerator[_Turn]:
        turn = _Turn(self.turn)
        doing = f"waiting for another installation of {self.command.shown_package}"
        try:
            if not turn.begin_nowait():
                async with task_status.queued_start(doing):
                    await turn.begin()
            yield turn
        finally:
            turn.end()

    async def _install(self, stopping: trio.Event, task_status: _Installing, turn: _Turn) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._remember, task_status.up, turn)
            await self.run(stopping, task_status=task_status)
            nursery.cancel_scope.cancel("the session has ended")

    async def _remember(self, up: trio.Event, turn: _Turn) -> None:
        await up.wait()
        await self.ready.add(self.command.manager, self.command.package)
        turn.end()  # only now, so that the next in turn knows that the package is there

    @property
    def _shown(self) -> str:
        return f"{self.command.shown_package} with {self.command.program}"


class _Turn(Struct):
    """The turn of one start."""

    turn: trio.Semaphore
    _is_held: bool = False

    def begin_nowait(self) -> bool:
        """Return whether it could begin at once."""
        try:
            self.turn.acquire_nowait()
        except trio.WouldBlock:
            return False
        self._is_held = True
        return True

    async def begin(self) -> None:
        """Wait until it can begin."""
        await self.turn.acquire()
        self._is_held = True

    def end(self) -> None:
        """Let the next one begin; nothing happens where this was done before."""
        if self._is_held:
            self._is_held = False
            self.turn.release()


class _Installing(Struct, frozen=True):
    """The `task_status` of a session that installs a package; see `StartStatus`.

    Attributes:
        of_child: the `task_status` of the child.
        up: set when it is.
    """

    of_child: StartStatus[Any]
    up: trio.Event = field(default_factory=trio.Event)

    def started(self, value: Any = None) -> None:
        self.up.set()
        self.of_child.started(value)

    def extend_start(self, limit_s: float, doing: str = "") -> None:
        self.of_child.extend_start(limit_s, doing)

    def queued_start(self, doing: str = "") -> AbstractAsyncContextManager[None]:
        return self.of_child.queued_start(doing)

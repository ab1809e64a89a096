"""Receives for all connections of a listener that wait for requests, in one task.

A task that waits for its own socket costs a call to the system to have that watched once, a turn of
the scheduler, and the way down through all its coroutines. Here the system watches a socket for as
long as its connection is open, and one turn serves all sockets on which something has come.

Only Linux has `epoll`. Elsewhere each connection waits by itself (see `Connection`).
"""

from __future__ import annotations

import select
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

AT_ONCE: Final = 256
"""Connections that are served in one go before other tasks get their turn."""


class Arrivals:
    """The sockets of the connections that are watched.

    Args:
        epoll: watches the sockets; not closed here.
    """

    def __init__(self, epoll: select.epoll) -> None:
        self._epoll = epoll
        self._receivers: dict[int, Callable[[], bool]] = {}

    def watch(self, number: int, receive: Callable[[], bool]) -> bool:
        """Have a function called whenever a socket has something to be received.

        Args:
            number: of the socket's file.
            receive: receives it, waits for nothing and does not fail; returns False if that is
                for a task, or nobody wants it now. Then the socket is not watched any more.

        Returns:
            False if the system cannot watch it.
        """
        if number in self._receivers:
            return True
        try:
            self._epoll.register(number, select.EPOLLIN)
        except (OSError, ValueError):  # no room for more; it is closed, because the listener ends
            return False
        self._receivers[number] = receive
        return True

    def forget(self, number: int) -> None:
        """Stop to watch a socket, which may not have been watched; before it is closed."""
        if self._receivers.pop(number, None) is not None and not self._epoll.closed:
            self._epoll.unregister(number)

    async def run(self) -> None:
        """Call the functions until cancelled."""
        epoll, receivers = self._epoll, self._receivers
        while True:
            await trio.lowlevel.wait_readable(epoll.fileno())
            is_for_tasks = False
            for number, _ in epoll.poll(0, AT_ONCE):
                # One that was called before may have had this one forgotten.
                receive = receivers.get(number)
                if receive is not None and not receive():
                    self.forget(number)
                    is_for_tasks = True
            receive = None  # which would keep a connection that has ended
            if is_for_tasks:
                # What comes next, such as the cancellation of such a request, goes behind it.
                await trio.lowlevel.checkpoint()


@contextmanager
def open_arrivals() -> Generator[Arrivals | None]:
    """Open what watches the sockets; None if this system cannot, or has no files left."""
    try:
        epoll = select.epoll()
    except (AttributeError, OSError):
        yield None
        return
    with epoll:
        yield Arrivals(epoll)

"""Takes the news and the answer of one call from the actor, for an event stream.

Invariants:

- The answer always fits. News are kept up to a limit; beyond it the oldest are dropped, so a client
  that reads slowly loses progress, never the result.
- A call whose request ends before its answer came is cancelled: see `AT_END` of the guard.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

import trio

from router.messages.frames import Notification

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

MAX_NEWS: Final = 256
"""Messages that wait for a slow reader."""

MAX_NEWS_BYTES: Final = 1024 * 1024
"""Their bytes: a log message of a server may have megabytes."""


class CallNews:
    """An outbox for one command: its news, then its answer.

    Attributes:
        is_answered: True once the answer has come, or the actor has closed the outbox.
    """

    def __init__(self) -> None:
        self.is_answered = False
        self._news: deque[Notification] = deque()
        self._news_bytes = 0
        self._answer: Any = None
        self._has_more = trio.Event()

    def send_nowait(self, value: Any, /) -> None:
        """Take a value; see `Outbox`."""
        if isinstance(value, Notification):
            self._put(value)
        elif not self.is_answered:
            self.is_answered, self._answer = True, value
        self._has_more.set()

    def close(self) -> None:
        """End without an answer."""
        self.send_nowait(None)

    def _put(self, news: Notification) -> None:
        self._news.append(news)
        self._news_bytes += len(news.params)
        while len(self._news) > MAX_NEWS or self._news_bytes > MAX_NEWS_BYTES:
            self._news_bytes -= len(self._news.popleft().params)

    async def next(self) -> Any:
        """Return the next news, else the answer (again, if it was returned before).

        The answer is None if the outbox was closed without one.
        """
        await trio.lowlevel.checkpoint()
        while not (self._news or self.is_answered):
            await self._has_more.wait()
            self._has_more = trio.Event()
        if not self._news:
            return self._answer
        news = self._news.popleft()
        self._news_bytes -= len(news.params)
        return news


class CallEvents:
    """The bytes of an event stream: each news and, at the end, the answer.

    Args:
        news: of the call.
        first: the value that was taken from it already; None if nothing has come yet.
        encode: returns the bytes of an event for a value.
        keep_alive: the bytes of a comment, for a silence of `keep_alive_s`.
    """

    def __init__(
        self,
        news: CallNews,
        first: Any,
        encode: Callable[[Any], bytes],
        keep_alive: bytes,
        keep_alive_s: float,
    ) -> None:
        self._news, self._next = news, first
        self._encode = encode
        self._keep_alive, self._keep_alive_s = keep_alive, keep_alive_s
        self._is_over = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._is_over:
            raise StopAsyncIteration
        value, self._next = self._next, None
        if value is None:
            with trio.move_on_after(self._keep_alive_s) as waiting:
                value = await self._news.next()
            if waiting.cancelled_caught:  # even if the answer has come since then
                return self._keep_alive
        self._is_over = not isinstance(value, Notification)
        return self._encode(value)

"""The router's own task that keeps the index, fed as its dispatch actor feeds it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import trio

from router.messages.instances.exposure import EVERY_NAME
from router.messages.own_tools.search import IndexTools, SearchTools, ToolsFound
from router.search.index_task import keep_index

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from benchmarks.search.catalogues import Catalogue
    from router.search.reranking import Reranker

ANSWER_LIMIT_S: Final = 120.0
"""For a search that waits for everything to be indexed, and for a model to be loaded."""


class KeptIndex:
    """The ends of the channels to that task."""

    def __init__(
        self,
        commands: trio.MemorySendChannel[IndexTools | SearchTools],
        inbox: trio.MemoryReceiveChannel[Any],
    ) -> None:
        self._commands, self._inbox = commands, inbox
        self._rows: frozenset[str] = frozenset()
        self._key = 0

    def put(self, catalogues: Iterable[Catalogue]) -> None:
        """Have catalogues indexed; it returns at once."""
        commands = [one.index_tools() for one in catalogues]
        self.put_made(commands)

    def put_made(self, commands: Iterable[IndexTools]) -> None:
        """Do the same with commands that were made before."""
        for command in commands:
            self._rows |= {command.row}
            self._commands.send_nowait(command)

    async def find(self, query: str, limit: int) -> list[str]:
        """Return the tools that were found as `INSTANCE/TOOL`, after all that was put is indexed.

        Raises:
            AssertionError: nothing could be searched.
        """
        self._key += 1
        search = SearchTools(self._key, query, self._rows, EVERY_NAME, "tool", limit)
        with trio.fail_after(ANSWER_LIMIT_S):
            await self._commands.send(search)
            answer = await self._inbox.receive()
        assert isinstance(answer, ToolsFound)
        assert answer.key == self._key
        assert answer.problem is None, answer.problem
        return [f"{one.row}/{one.key}" for one in answer.found]


@asynccontextmanager
async def kept_index(reranker: Reranker | None = None) -> AsyncIterator[KeptIndex]:
    """Run the task until the context ends.

    Args:
        reranker: ranks by meaning; None for words alone.
    """
    commands_in, commands = trio.open_memory_channel[IndexTools | SearchTools](10_000)
    inbox_in, inbox = trio.open_memory_channel[Any](10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep_index, commands, inbox_in, reranker)
        with commands_in, inbox:
            yield KeptIndex(commands_in, inbox)
            nursery.cancel_scope.cancel()

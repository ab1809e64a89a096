"""Keeps the index of what servers offer, and searches it, in a task of its own.

Invariants:

- Each `SearchTools` gets exactly one `ToolsFound`, after all that came before it is indexed.
- Others have their turn twice for each entry that is indexed, so after 0.2 ms as a rule. A worker
  thread would hold them up for longer: it leaves the interpreter to them every 5 ms only. So it has
  only those searches that may take longer themselves: long queries, among thousands of entries.
- Of a row that changes again and again while others are indexed, only the newest lists are kept.
- Nothing that is slow to import is imported before the first command, and then in a thread.
- A bug here ends nobody: it costs the answer of one search, or one row its place in the index.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, TypeAlias

import trio
import trio.lowlevel

from router.messages.errors import INTERNAL_ERROR, UNAVAILABLE, RpcError
from router.messages.own_tools.search import IndexTools, SearchTools, ToolsFound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from router.dispatch.actor import Inbound
    from router.search.index import Answer, ToolIndex
    from router.search.reranking import Ranking, Reranker

log = logging.getLogger("mcp_router.search")

_NO_RERANKER: Final = "the ranking by meaning failed: words alone count from now on"

Command: TypeAlias = IndexTools | SearchTools


def open_index() -> ToolIndex:
    """Import the index and return an empty one; for a worker thread.

    Raises:
        RpcError: this Python has no full-text search.
    """
    try:
        # For start-up time: few routers search.
        from router.search.index import ToolIndex
    except ImportError as exc:
        problem = f"Tools cannot be searched: this Python has no sqlite3 ({exc})"
        raise RpcError(UNAVAILABLE, f"{problem}. Use another Python, or a direct view") from exc
    return ToolIndex()


async def keep_index(
    commands: trio.MemoryReceiveChannel[Command],
    inbox: trio.MemorySendChannel[Inbound],
    reranker: Reranker | None = None,
    *,
    open_index: Callable[[], ToolIndex] = open_index,
) -> None:
    """Index and search what the actor asks for, until its end has closed.

    Args:
        commands: brings what the actor asks for.
        inbox: takes a `ToolsFound` for each search.
        reranker: ranks by meaning what was found by words; None for words alone.
        open_index: returns an empty index, in a worker thread.
    """
    with commands, inbox:
        async with trio.open_nursery() as nursery:
            keeper = _Keeper(commands, inbox, reranker, open_index)
            if reranker is not None:
                nursery.start_soon(keeper.run_reranker, reranker)
            async for command in commands:
                await keeper.perform_all_from(command)
            nursery.cancel_scope.cancel()


class _Keeper:
    def __init__(
        self,
        commands: trio.MemoryReceiveChannel[Command],
        inbox: trio.MemorySendChannel[Inbound],
        reranker: Reranker | None,
        open_index: Callable[[], ToolIndex],
    ) -> None:
        self._commands = commands
        self._inbox = inbox
        self._reranker = reranker
        self._open = open_index
        self._index: ToolIndex | None = None
        self._problem: RpcError | None = None
        # In their order; what a row offers now has the place of what it offered before. Rows have
        # words for keys, and searches numbers.
        self._waiting: dict[str | int, Command] = {}

    async def perform_all_from(self, command: Command) -> None:
        """Perform a command and all that wait behind it, then make searches quicker."""
        await trio.lowlevel.checkpoint()
        if self._index is None and self._problem is None:
            await self._open_in_thread()
        self._take(command)
        while self._waiting:
            self._take_what_waits()
            await self._perform(self._waiting.pop(next(iter(self._waiting))))
        if self._index is not None:
            await self._tidy(self._index)

    async def _tidy(self, index: ToolIndex) -> None:
        await trio.lowlevel.checkpoint()
        try:
            for _ in index.tidy_in_steps():
                await trio.lowlevel.checkpoint()
                if self._commands.statistics().current_buffer_used:
                    break
        except Exception:
            log.exception("the search index cannot be made quicker")

    async def run_reranker(self, reranker: Reranker) -> None:
        try:
            await reranker.run()
        except Exception:
            log.exception(_NO_RERANKER)
            self._reranker = None
            await trio.lowlevel.checkpoint()

    async def _open_in_thread(self) -> None:
        try:
            self._index = await trio.to_thread.run_sync(self._open)
        except RpcError as exc:
            log.error("%s", exc)
            self._problem = exc
            await trio.lowlevel.checkpoint()
        except Exception:
            log.exception("the search index cannot be made")
            self._problem = RpcError(INTERNAL_ERROR, "The search index failed; see the log")
            await trio.lowlevel.checkpoint()

    def _take_what_waits(self) -> None:
        while True:
            try:
                self._take(self._commands.receive_nowait())
            except (trio.WouldBlock, trio.EndOfChannel):
                return

    def _take(self, command: Command) -> None:
        key = command.row if isinstance(command, IndexTools) else command.key
        self._waiting[key] = command

    async def _perform(self, command: Command) -> None:
        if isinstance(command, SearchTools):
            await self._inbox.send(await self._find(command))
        elif self._index is not None:
            await self._index_row(self._index, command)
        else:
            await trio.lowlevel.checkpoint()

    async def _index_row(self, index: ToolIndex, batch: IndexTools) -> None:
        await trio.lowlevel.checkpoint()
        for _ in _guarded(index, batch):
            self._take_what_waits()
            await trio.lowlevel.checkpoint()
        if self._reranker is not None:
            try:
                self._reranker.put(batch.row, index.entries_of(batch.row))
            except Exception:
                log.exception(_NO_RERANKER)
                self._reranker = None

    async def _find(self, search: SearchTools) -> ToolsFound:
        await trio.lowlevel.checkpoint()
        if self._index is None:
            return ToolsFound(search.key, problem=self._problem)
        try:
            for _ in self._index.gather_in_steps(search):
                await trio.lowlevel.checkpoint()
            if self._index.is_slow(search):
                answer = await trio.to_thread.run_sync(self._index.search, search)
            else:
                answer = self._index.search(search)
        except Exception:
            log.exception("a search failed")
            problem = RpcError(INTERNAL_ERROR, "The search failed; see the router's log")
            return ToolsFound(search.key, problem=problem)
        return answer.found(search, await self._rank(search, answer))

    async def _rank(self, search: SearchTools, answer: Answer) -> Ranking | None:
        if self._reranker is None or answer.is_exact or not answer.query:
            await trio.lowlevel.checkpoint()
            return None
        try:
            return await self._reranker.rank(
                answer.query, answer.candidates, answer.scope, search.limit
            )
        except Exception:
            log.exception(_NO_RERANKER)
            self._reranker = None
            await trio.lowlevel.checkpoint()
            return None


def _guarded(index: ToolIndex, batch: IndexTools) -> Iterator[None]:
    """Index a row in steps; on a bug leave it out of all searches."""
    try:
        yield from index.put_in_steps(batch)
    except Exception:
        log.exception("what %s offers cannot be searched", batch.instance)
        index.leave_out(batch.row)

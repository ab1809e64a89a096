"""The task that keeps the index: its order, its slices, and its failures."""

from __future__ import annotations

import builtins
import logging
import subprocess
import sys
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from router.messages.errors import INTERNAL_ERROR, UNAVAILABLE, RpcError
from router.search.index import Answer, ToolIndex
from router.search.index_task import Command, keep_index, open_index
from router.search.reranking import Candidate, Entry, Ranking, Scope
from tests.router.search.catalogues import CHAT, FILES, found_tool, keys, row, search, tool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from router.messages.own_tools.search import IndexTools, SearchTools, ToolsFound

WAIT_S = 60.0


@attrs.define(eq=False)
class Task:
    """The task, and both ends of its channels."""

    commands: trio.MemorySendChannel[Command]
    inbox: trio.MemoryReceiveChannel[Any]

    async def ask(self, *commands: Command) -> ToolsFound:
        """Send commands at once, the last of them a search; return its end."""
        for command in commands:
            self.commands.send_nowait(command)
        with trio.fail_after(WAIT_S):
            return await self.inbox.receive()


@asynccontextmanager
async def running(**more: Any) -> AsyncIterator[Task]:
    commands_in, commands = trio.open_memory_channel[Command](1000)
    inbox_in, inbox = trio.open_memory_channel[Any](1000)
    with trio.fail_after(WAIT_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: keep_index(commands, inbox_in, **more))
            with commands_in, inbox:
                yield Task(commands_in, inbox)


class RecordingIndex(ToolIndex):
    """An index that notes the rows it is given, and fails where it is told to."""

    def __init__(self, failing: str = "") -> None:
        super().__init__()
        self.rows: list[str] = []
        self.threads: list[int] = []
        self.failing = failing

    def put_in_steps(self, batch: IndexTools) -> Iterator[None]:
        self.rows.append(batch.row)
        for done, _ in enumerate(super().put_in_steps(batch)):
            if batch.row == self.failing and done == 2:
                raise ValueError("a bug")
            yield

    def tidy_in_steps(self) -> Iterator[None]:
        if self.failing == "tidy":
            raise ValueError("a bug")
        return super().tidy_in_steps()

    def search(self, search: SearchTools) -> Answer:
        self.threads.append(threading.get_ident())
        if search.query == self.failing:
            raise ValueError("a bug")
        return super().search(search)


@attrs.define(eq=False)
class FakeReranker:
    """A ranking by meaning that turns the order round, or fails where it is told to."""

    failing: str = ""
    rows: dict[str, int] = attrs.field(factory=dict[str, int])
    ranked: list[tuple[str, int, int, int]] = attrs.field(factory=list[tuple[str, int, int, int]])
    is_running: bool = False

    def put(self, row: str, entries: Sequence[Entry]) -> None:
        if self.failing == "put":
            raise ValueError("a bug")
        self.rows[row] = len(entries)

    async def run(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.failing == "run":
            raise ValueError("a bug")
        self.is_running = True
        try:
            await trio.sleep_forever()
        finally:
            self.is_running = False

    async def rank(
        self, query: str, candidates: Sequence[Candidate], scope: Scope, limit: int
    ) -> Ranking | None:
        await trio.lowlevel.checkpoint()
        if self.failing == "rank":
            raise ValueError("a bug")
        self.ranked.append((query, len(candidates), len(scope.entries), limit))
        return None if query == "keep" else Ranking(tuple(reversed(scope.entries)), True)


async def test_a_search_sees_all_that_came_before_it() -> None:
    async with running() as task:
        found = await task.ask(FILES, CHAT, search("emoji", "files", "chat", key=7))
        assert (found.key, keys(found)[0], found.total) == (7, "chat/add_reaction", 6)


async def test_each_search_has_one_end_in_order() -> None:
    async with running() as task:
        await task.ask(FILES, search("file", "files", key=1))
        found = [await task.ask(*([search("file", "files", key=n)])) for n in (2, 3, 4)]
        assert [each.key for each in found] == [2, 3, 4]
        await wait_all_tasks_blocked()
        assert task.inbox.statistics().current_buffer_used == 0


async def test_of_a_row_that_waits_only_the_newest_is_indexed() -> None:
    index = RecordingIndex()
    async with running(open_index=lambda: index) as task:
        old = row("chat", tool("old_name"))
        found = await task.ask(FILES, old, CHAT, search("old name", "chat"))
        assert index.rows == ["files", "chat"]
        assert found.total == len(list(CHAT.offered))


async def test_of_a_row_that_changes_while_another_is_indexed_only_the_newest_is_kept() -> None:
    index = RecordingIndex()
    async with running(open_index=lambda: index) as task:
        await task.ask(FILES, search("file", "files"))
        task.commands.send_nowait(row("long", *(tool(f"x{number}") for number in range(50))))
        for _ in range(10):
            await trio.lowlevel.checkpoint()
        for number in range(10):
            task.commands.send_nowait(row("chat", tool(f"old_{number}")))
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()
            assert task.commands.statistics().current_buffer_used == 0
        assert (await task.ask(search("old", "chat"))).total == 1
        assert index.rows == ["files", "long", "chat"]


async def test_a_search_that_may_take_long_is_made_in_a_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    index = RecordingIndex()
    async with running(open_index=lambda: index) as task:
        quick = await task.ask(FILES, search("read a file", "files"))
        monkeypatch.setattr("router.search.index.QUICK", 0)
        slow = await task.ask(search("read a file", "files"))
    assert slow.found == quick.found
    here = threading.get_ident()
    assert [thread == here for thread in index.threads] == [True, False]


async def test_others_have_their_turn_twice_for_each_entry() -> None:
    tools = [tool(f"send_{n}", "Send a message.") for n in range(30)]
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with running() as task:
        await task.ask(search("open", "many"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(count_turns)
            await task.ask(row("many", *tools), search("send", "many"))
            nursery.cancel_scope.cancel()
    assert turns >= 2 * len(tools)


async def test_it_ends_when_the_actor_closes_its_end() -> None:
    async with running() as task:
        await task.ask(FILES, search("file", "files"))
    with pytest.raises(trio.EndOfChannel):
        await running_inbox_after_the_end()


async def running_inbox_after_the_end() -> None:
    commands_in, commands = trio.open_memory_channel[Command](1)
    inbox_in, inbox = trio.open_memory_channel[Any](1)
    commands_in.close()
    with inbox:
        await keep_index(commands, inbox_in)
        await inbox.receive()


async def test_it_can_be_cancelled_while_it_indexes() -> None:
    commands_in, commands = trio.open_memory_channel[Command](10)
    inbox_in, inbox = trio.open_memory_channel[Any](10)
    with commands_in, inbox, trio.fail_after(WAIT_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_index, commands, inbox_in)
            commands_in.send_nowait(CHAT)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        with pytest.raises(trio.BrokenResourceError):
            commands_in.send_nowait(CHAT)


async def test_a_row_on_which_the_index_fails_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    index = RecordingIndex(failing="chat")
    async with running(open_index=lambda: index) as task:
        found = await task.ask(FILES, CHAT, search("message file", "files", "chat"))
    assert found.total == len(list(FILES.offered))
    assert caplog.messages == ["what chat offers cannot be searched"]


async def test_searches_go_on_where_tidying_fails(caplog: pytest.LogCaptureFixture) -> None:
    index = RecordingIndex(failing="tidy")
    async with running(open_index=lambda: index) as task:
        await task.ask(FILES, search("file", "files"))
        assert (await task.ask(search("file", "files"))).found
        await wait_all_tasks_blocked()
    assert caplog.messages[0] == "the search index cannot be made quicker"


async def test_a_search_on_which_the_index_fails_is_answered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    index = RecordingIndex(failing="boom")
    async with running(open_index=lambda: index) as task:
        failed = await task.ask(FILES, search("boom", "files", key=3))
        assert (failed.key, failed.found) == (3, ())
        assert failed.problem is not None
        assert failed.problem.code == INTERNAL_ERROR
        assert (await task.ask(search("file", "files"))).found
    assert caplog.messages == ["a search failed"]


async def test_without_full_text_search_each_search_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse() -> ToolIndex:
        raise RpcError(UNAVAILABLE, "Tools cannot be searched: no FTS5")

    async with running(open_index=refuse) as task:
        for key in (1, 2):
            found = await task.ask(FILES, search("file", "files", key=key))
            assert (found.key, found.found) == (key, ())
            assert found.problem is not None
            assert found.problem.code == UNAVAILABLE
    assert caplog.messages == ["Tools cannot be searched: no FTS5"]


async def test_a_bug_in_making_the_index_is_answered_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail() -> ToolIndex:
        raise ValueError("a bug")

    async with running(open_index=fail) as task:
        found = await task.ask(search("file", "files"))
    assert found.problem is not None
    assert found.problem.code == INTERNAL_ERROR
    assert caplog.messages == ["the search index cannot be made"]


def test_a_python_without_sqlite_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *more: Any) -> Any:
        if name == "router.search.index":
            raise ImportError("No module named '_sqlite3'")
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(RpcError, match=r"no sqlite3 \(No module named '_sqlite3'\)\. Use another"):
        open_index()


def test_nothing_slow_is_imported_before_the_first_command() -> None:
    slow = ("sqlite3", "router.search.index", "router.search.words")
    code = (
        "import sys, router.search.index_task;"
        f"print([name for name in {slow} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"


# --- Ranking by meaning --------------------------------------------------------------------------


async def test_a_reranker_is_given_entries_and_candidates_and_decides_the_order() -> None:
    reranker = FakeReranker()
    async with running(reranker=reranker) as task:
        found = await task.ask(FILES, CHAT, search("rename files", "files", limit=2))
        assert reranker.rows == {"files": 3, "chat": 3}
        assert reranker.is_running
        [(query, candidates, in_scope, limit)] = reranker.ranked
        assert (query, in_scope, limit) == ("rename files", 3, 2)
        assert candidates <= 3
        assert keys(found) == ["files/move_file", "files/read_text_file"]
        assert found.is_clear
        await task.ask(row("chat"), search("rename files", "files"))
        assert reranker.rows["chat"] == 0
    assert not reranker.is_running


async def test_whole_names_and_queries_without_words_need_no_reranker() -> None:
    reranker = FakeReranker()
    async with running(reranker=reranker) as task:
        found = await task.ask(FILES, search("move_file", "files"))
        assert found.found[0] == found_tool("files", "move_file")
        await task.ask(search(" what ", "files"))
    assert reranker.ranked == []


async def test_a_reranker_may_keep_the_order_by_words() -> None:
    async with running(reranker=FakeReranker()) as task:
        with_it = await task.ask(row("a", tool("keep_it"), tool("x")), search("keep", "a"))
    async with running() as task:
        assert with_it == await task.ask(row("a", tool("keep_it"), tool("x")), search("keep", "a"))


@pytest.mark.parametrize("failing", ["put", "run", "rank"])
async def test_a_reranker_that_fails_is_used_no_more(
    failing: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    reranker = FakeReranker(failing)
    async with running(reranker=reranker) as task:
        for _ in range(2):
            found = await task.ask(FILES, CHAT, search("rename a file", "files", "chat"))
            assert keys(found)[0] == "files/move_file"
        await wait_all_tasks_blocked()
    assert caplog.messages == ["the ranking by meaning failed: words alone count from now on"]

"""The ranking by meaning with a model that knows a few words."""

from __future__ import annotations

import weakref
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import attrs
import pytest
import trio
import trio.lowlevel
import trio.testing

from router.config.settings import Server, Settings
from router.search.semantic.engine import ModelError
from router.search.semantic.semantic_reranker import SemanticReranker
from router.search.semantic.texts import TextTable
from tests.router.search.semantic.entries import entry, scope_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from router.search.reranking import Entry, Ranking, Scope

COMMIT = entry("commit", "Records changes.")
PUSH = entry("push", "Uploads what was recorded.")
STATUS = entry("status", "Shows what differs.")
ALL = (COMMIT, PUSH, STATUS)


class WordsInCommon:
    """An engine to which meaning is the number of words in common."""

    def __init__(self) -> None:
        self.texts: dict[int, str] = {}
        self.embedded: list[str] = []
        self.broken = ""
        self.may_compare = Event()
        self.may_compare.set()

    def put(self, slots: Sequence[int], texts: Sequence[str]) -> None:
        if self.broken:
            raise ModelError(self.broken)
        self.embedded += texts
        self.texts.update(zip(slots, texts, strict=True))

    def compare(self, query: str, slots: Sequence[int]) -> list[float] | None:
        self.may_compare.wait(10)
        if self.broken:
            raise ModelError(self.broken)
        if not query.isascii():
            return None
        words = set(query.split())
        return [len(words & set(self.texts[slot].strip(".").split())) / 10 for slot in slots]


@asynccontextmanager
async def running(
    load: Callable[[Path | None], WordsInCommon | None],
    setting: str = "",
    table: TextTable | None = None,
) -> AsyncIterator[SemanticReranker]:
    reranker = SemanticReranker(setting, Path("/config"), load, table)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reranker.run)
        yield reranker
        nursery.cancel_scope.cancel()


async def ranked(reranker: SemanticReranker, query: str, scope: Scope) -> list[str] | None:
    """Return the names in the order of the ranking; None if that of the index is kept."""
    ranking: Ranking | None = await reranker.rank(query, (), scope, 2)
    return None if ranking is None else [found.key for found in ranking.found]


async def first_ranking(reranker: SemanticReranker, query: str, scope: Scope) -> list[str]:
    """Return the names once the reranker knows all in scope."""
    with trio.fail_after(5):
        while True:
            names = await ranked(reranker, query, scope)
            if names is not None:
                return names
            await trio.testing.wait_all_tasks_blocked(0.001)


async def test_what_is_meant_comes_first() -> None:
    async with running(lambda _: WordsInCommon()) as reranker:
        reranker.put("git", ALL)
        names = await first_ranking(reranker, "Shows changes what differs", scope_of(*ALL))

    assert names == ["status", "commit"]


async def test_without_a_model_nothing_is_kept_of_what_is_gone() -> None:
    async with running(lambda _: None) as reranker:
        assert await ranked(reranker, "Shows", scope_of(*ALL)) is None
        await trio.testing.wait_all_tasks_blocked()
        kept = weakref.ref(one := Forgotten(ALL))
        reranker.put("git", one)
        del one
        assert kept() is not None
        reranker.put("git", gone := Forgotten())
        left = weakref.ref(gone)
        del gone
        assert (kept(), left()) == (None, None)


class Forgotten(list["Entry"]):
    """Entries of which can be told whether anybody has them."""


async def test_nothing_is_loaded_before_the_first_search() -> None:
    loaded: list[Path | None] = []

    def load(folder: Path | None) -> WordsInCommon:
        loaded.append(folder)
        return WordsInCommon()

    async with running(load) as reranker:
        reranker.put("git", ALL)
        await trio.testing.wait_all_tasks_blocked()
        assert loaded == []
        assert await ranked(reranker, "Shows", scope_of(*ALL)) is None
        await first_ranking(reranker, "Shows", scope_of(*ALL))

    assert loaded == [None]


async def test_index_answers_alone_until_all_in_scope_is_known() -> None:
    async with running(lambda _: WordsInCommon()) as reranker:
        reranker.put("git", (COMMIT,))
        scope = scope_of(*ALL)
        await first_ranking(reranker, "Records", scope_of(COMMIT))
        assert await ranked(reranker, "Shows", scope) is None

        reranker.put("git", ALL)
        assert (await first_ranking(reranker, "Shows", scope))[0] == "status"


async def test_listing_the_same_again_embeds_nothing() -> None:
    engine = WordsInCommon()
    async with running(lambda _: engine) as reranker:
        reranker.put("git", ALL)
        await first_ranking(reranker, "Shows", scope_of(*ALL))
        reranker.put("git", ())
        new = entry("fetch", "Downloads.")
        reranker.put("git", (*ALL, new))
        assert await first_ranking(reranker, "Downloads", scope_of(*ALL, new))

    assert len(engine.embedded) == len(set(engine.embedded)) == 4


async def test_without_a_model_the_index_answers_alone() -> None:
    loads = trio.Event()

    def load(_: Path | None) -> None:
        trio.from_thread.run_sync(loads.set)

    async with running(load) as reranker:
        reranker.put("git", ALL)
        assert await ranked(reranker, "Shows", scope_of(*ALL)) is None
        with trio.fail_after(5):
            await loads.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert await ranked(reranker, "Shows", scope_of(*ALL)) is None


async def test_query_in_a_language_that_the_model_does_not_know_is_left_to_the_index() -> None:
    async with running(lambda _: WordsInCommon()) as reranker:
        reranker.put("git", ALL)
        await first_ranking(reranker, "Shows", scope_of(*ALL))
        assert await ranked(reranker, "提交更改", scope_of(*ALL)) is None


async def test_query_that_takes_too_long_is_left_to_the_index(
    autojump_clock: trio.testing.MockClock,
) -> None:
    del autojump_clock
    engine = WordsInCommon()
    reranker = SemanticReranker("", Path("/config"), lambda _: engine)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reranker.run)
        reranker.put("git", ALL)
        names = None
        while names is None:
            await trio.sleep(1)
            names = await ranked(reranker, "Shows", scope_of(*ALL))
        engine.may_compare.clear()
        began_s = trio.current_time()
        assert await ranked(reranker, "Shows", scope_of(*ALL)) is None
        assert trio.current_time() - began_s == pytest.approx(0.5)
        engine.may_compare.set()
        nursery.cancel_scope.cancel()


async def test_model_that_does_not_load_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    async with running(partial(_fail, "no model.onnx")) as reranker:
        reranker.put("git", ALL)
        assert await ranked(reranker, "Shows", scope_of(*ALL)) is None
        await _until(lambda: bool(caplog.messages))
        reranker.put("git", (COMMIT,))
        await trio.testing.wait_all_tasks_blocked()
        assert await ranked(reranker, "Shows", scope_of(COMMIT)) is None

    assert caplog.messages == ["Tools are searched by words alone: no model.onnx"]


@pytest.mark.parametrize("fails_in", ["put", "compare"])
async def test_model_that_fails_later_is_left_and_said_once(
    fails_in: str, caplog: pytest.LogCaptureFixture
) -> None:
    engine = WordsInCommon()
    async with running(lambda _: engine) as reranker:
        reranker.put("git", ALL)
        await first_ranking(reranker, "Shows", scope_of(*ALL))
        engine.broken = "out of memory"
        if fails_in == "put":
            reranker.put("git", (*ALL, entry("fetch")))
            await _until(lambda: bool(caplog.messages))
        for _ in range(2):
            assert await ranked(reranker, "Shows", scope_of(*ALL)) is None

    assert caplog.messages == ["Tools are searched by words alone: out of memory"]


async def test_another_model_knows_everything_anew() -> None:
    engines: dict[Path | None, WordsInCommon] = {}

    def load(folder: Path | None) -> WordsInCommon:
        engines[folder] = WordsInCommon()
        return engines[folder]

    async with running(load, "models/one") as reranker:
        reranker.put("git", ALL)
        await first_ranking(reranker, "Shows", scope_of(*ALL))
        reranker.apply(_settings("models/one"))
        reranker.apply(_settings("/models/two"))
        await _until(lambda: Path("/models/two") in engines)
        assert (await first_ranking(reranker, "Shows", scope_of(*ALL)))[0] == "status"

    assert list(engines) == [Path("/config/models/one"), Path("/models/two")]
    embedded = [sorted(engine.embedded) for engine in engines.values()]
    assert embedded[0] == embedded[1]
    assert len(embedded[0]) == 3


async def test_broken_model_is_replaced_by_one_that_settings_name(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def load(folder: Path | None) -> WordsInCommon:
        return _fail("it is broken", folder) if folder is None else WordsInCommon()

    async with running(load) as reranker:
        reranker.put("git", ALL)
        assert await ranked(reranker, "Shows", scope_of(*ALL)) is None
        await _until(lambda: bool(caplog.messages))
        new = _settings("good")
        reranker.prepare(new)
        reranker.apply(new)
        assert await first_ranking(reranker, "Shows", scope_of(*ALL))


async def test_more_texts_than_have_room_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    async with running(lambda _: WordsInCommon(), table=TextTable(limit=2)) as reranker:
        reranker.put("git", ALL)
        await first_ranking(reranker, "Shows", scope_of(COMMIT, PUSH))
        reranker.put("git", ALL)
        await first_ranking(reranker, "Shows", scope_of(COMMIT, PUSH))
        assert await ranked(reranker, "Shows", scope_of(*ALL)) is None

    assert caplog.messages == [
        "More than 2 different tools: searches that include the last ones go by words"
    ]


async def test_program_may_stop_while_the_model_loads() -> None:
    begun, may_end = trio.Event(), Event()

    def load(_: Path | None) -> WordsInCommon:
        trio.from_thread.run_sync(begun.set)
        may_end.wait(10)
        return WordsInCommon()

    with trio.fail_after(5):
        async with running(load) as reranker:
            assert await ranked(reranker, "Shows", scope_of()) is None
            await begun.wait()
    may_end.set()


def _fail(reason: str, _: Path | None) -> WordsInCommon:
    raise ModelError(reason)


def _settings(model: str) -> Settings:
    return attrs.evolve(Settings(), server=Server(search_model=model))


async def _until(is_so: Callable[[], bool]) -> None:
    with trio.fail_after(5):
        await trio.lowlevel.checkpoint()
        while not is_so():
            await trio.testing.wait_all_tasks_blocked(0.001)

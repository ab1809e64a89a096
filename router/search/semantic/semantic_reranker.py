"""Ranks by meaning what the index found by words, with a model that worker threads run.

Invariants:

- Nothing is imported or loaded before the first search, which the index answers alone.
- One worker thread at a time has the engine, and each gets little to do. So a search waits for
  some texts at most, and the event loop goes on.
- A search that comes before all in its scope is embedded, or whose query takes too long, keeps
  the ranking of the index. So it does where there is no model, or where the model fails; the log
  says that once, with the way out.
"""

from __future__ import annotations

import logging
import os
from functools import cached_property, partial
from typing import TYPE_CHECKING, Final, TypeVar
from weakref import WeakKeyDictionary

import trio
import trio.lowlevel

from router.search.semantic.engine import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from router.config.settings import Settings
    from router.messages.own_tools.search import Found
    from router.search.reranking import Candidate, Entry, Ranking, Scope
    from router.search.semantic.engine import Engine
    from router.search.semantic.texts import TextTable

T = TypeVar("T")

log = logging.getLogger("mcp_router.search")

BATCH_SIZE: Final = 4
"""Texts that are embedded at a time: 10 to 50 ms, the longest that a search waits for them."""

SLICE_SIZE: Final = 100
"""Entries whose texts are made before others have their turn."""

MAX_QUERY_S: Final = 0.5
"""Seconds after which a search goes on without the model; a query takes milliseconds."""


def _load(folder: Path | None) -> Engine | None:
    from router.search.semantic.loading import load_engine  # For start-up time: few search.

    return load_engine(folder)


class SemanticReranker:
    """A `Reranker` that compares meanings; a part of the router that applies `server.search_model`.

    Attributes:
        setting: `server.search_model`.
    """

    def __init__(
        self,
        setting: str,
        folder: Path,
        load: Callable[[Path | None], Engine | None] = _load,
        table: TextTable | None = None,
    ) -> None:
        """Take what says which model it is.

        Args:
            setting: `server.search_model`: the path of a folder; empty for the model of the extra.
            folder: the paths are relative to it: that of `config.json`.
            load: see `load_engine`.
            table: keeps the texts; for tests.
        """
        self.setting = setting
        self._folder = folder
        self._load = load
        if table is not None:
            self._table = table
        self._engine: Engine | None = None
        self._thread = trio.CapacityLimiter(1)
        self._slots: WeakKeyDictionary[Scope, tuple[int, ...]] = WeakKeyDictionary()
        self._put: dict[str, Sequence[Entry]] = {}
        self._is_wanted = trio.Event()
        self._has_work = trio.Event()
        self._use_of_model = trio.CancelScope()
        self._was_full = False
        self._has_failed = False

    # --- The part that applies settings --------------------------------------------------------

    def prepare(self, new: Settings) -> None:
        """Do nothing: a model that does not load is no reason to refuse settings."""

    def apply(self, new: Settings) -> None:
        """Use another model if the settings name one."""
        if new.server.search_model != self.setting:
            self.setting = new.server.search_model
            self._use_of_model.cancel("another model is wanted")

    # --- The ranking ---------------------------------------------------------------------------

    def put(self, row: str, entries: Sequence[Entry]) -> None:
        """See `Reranker`."""
        if entries or self._engine is not None or row in self._table:
            self._put[row] = entries
            self._has_work.set()
        else:
            # Nobody may ever take it: most routers have no model.
            self._put.pop(row, None)

    async def run(self) -> None:
        """See `Reranker`."""
        while True:
            with trio.CancelScope() as self._use_of_model:
                try:
                    await self._keep_embedding()
                except ModelError as exc:
                    self._give_up(exc)
                    await trio.sleep_forever()
            # Another model is wanted.
            self._engine, self._has_failed = None, False
            self._slots.clear()
            self._table.forget()

    async def rank(
        self, query: str, candidates: Sequence[Candidate], scope: Scope, limit: int
    ) -> Ranking | None:
        """See `Reranker`."""
        await trio.lowlevel.checkpoint()
        self._is_wanted.set()
        engine = self._engine
        slots = None if engine is None else self._slots_of(scope)
        if engine is None or slots is None:
            return None
        work = partial(_rank, engine, query, candidates, scope, slots, limit)
        try:
            with trio.move_on_after(MAX_QUERY_S):
                return await self._in_thread(work)
        except ModelError as exc:
            self._give_up(exc)
        return None

    @cached_property
    def _table(self) -> TextTable:
        from router.search.semantic.texts import TextTable  # For start-up time, as above.

        return TextTable()

    # --- The model -----------------------------------------------------------------------------

    async def _keep_embedding(self) -> None:
        """Load the model once somebody searches, and embed what can be found until cancelled.

        Raises:
            ModelError: the model cannot be used.
        """
        await self._is_wanted.wait()
        engine = await self._in_thread(partial(self._load, self._model_folder()))
        if engine is None:
            await trio.sleep_forever()
        self._engine = engine
        while True:
            await self._take_rows()
            batch = self._table.next_waiting(BATCH_SIZE)
            if not batch:
                await self._has_work.wait()
                self._has_work = trio.Event()
                continue
            await self._in_thread(partial(engine.put, tuple(batch.values()), tuple(batch)))
            self._table.set_known(batch)

    async def _take_rows(self) -> None:
        """Take what was put, in slices of a millisecond."""
        from router.search.semantic.texts import text_of  # For start-up time, as above.

        await trio.lowlevel.checkpoint()
        while self._put:
            row = next(iter(self._put))
            entries = self._put.pop(row)
            texts: dict[Found, str] = {}
            for start in range(0, len(entries), SLICE_SIZE):
                await trio.lowlevel.checkpoint()
                part = entries[start : start + SLICE_SIZE]
                texts.update((entry.found, text_of(entry)) for entry in part)
            self._table.put(row, texts)
        if self._table.is_full and not self._was_full:
            self._was_full = True
            text = "More than %d different tools: searches that include the last ones go by words"
            log.warning(text, self._table.limit)

    def _model_folder(self) -> Path | None:
        """Return the folder of the model; None for the model of the extra."""
        return self._folder / os.path.expanduser(self.setting) if self.setting else None

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._thread)

    def _slots_of(self, scope: Scope) -> tuple[int, ...] | None:
        slots = self._slots.get(scope)
        if slots is None:
            slots = self._table.slots_of(scope.entries)
            if slots is not None:
                self._slots[scope] = slots
        return slots

    def _give_up(self, reason: ModelError) -> None:
        if self._engine is not None or not self._has_failed:
            log.warning("Tools are searched by words alone: %s", reason)
        self._has_failed = True
        self._engine = None


def _rank(
    engine: Engine,
    query: str,
    candidates: Sequence[Candidate],
    scope: Scope,
    slots: Sequence[int],
    limit: int,
) -> Ranking | None:
    """Return the best of a scope; for a worker thread."""
    from router.search.semantic.fusing import fuse  # For start-up time, as above.

    similarities = engine.compare(query, slots)
    if similarities is None:
        return None
    return fuse(candidates, scope.entries, similarities, limit)

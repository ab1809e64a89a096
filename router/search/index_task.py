"""Keeps the index of what servers offer, and searches it, in a task of its own.

Invariants:

- Each `SearchTools` gets exactly one `ToolsFound`, after all that came before it is indexed.
- Nothing that is slow to import is imported before the first command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.messages.search import IndexTools, SearchTools, ToolsFound

if TYPE_CHECKING:
    import trio

    from router.dispatch.actor import Inbound
    from router.search.reranking import Reranker


async def keep_index(
    commands: trio.MemoryReceiveChannel[IndexTools | SearchTools],
    inbox: trio.MemorySendChannel[Inbound],
    reranker: Reranker | None = None,
) -> None:
    """Index and search what the actor asks for, until its end has closed.

    Args:
        commands: brings what the actor asks for.
        inbox: takes a `ToolsFound` for each search.
        reranker: ranks by meaning what was found by words; None for words alone.
    """
    del reranker
    with commands, inbox:
        async for command in commands:
            if isinstance(command, SearchTools):
                await inbox.send(ToolsFound(command.key))

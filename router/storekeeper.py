"""The task that changes `data/`.

Job: take the actor's `SaveInstance` effects, one after the other, and see each to its
`InstanceSaved`. Neighbours: the dispatch actor at both ends, `ondisk` below.

Invariants: each gets exactly one answer, in their order, unless the router ends before; it awaits
its send into the actor's inbox, and the actor never waits for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import trio

    from router.dispatch import Inbound
    from router.messages import SaveInstance
    from router.ondisk import OnDisk


async def keep_store(
    disk: OnDisk,
    saves: trio.MemoryReceiveChannel[SaveInstance],
    inbox: trio.MemorySendChannel[Inbound],
) -> None:
    """Make changes until cancelled, or until nobody can ask for one any more."""
    with saves, inbox:
        async for save in saves:
            await disk.save(save, inbox)

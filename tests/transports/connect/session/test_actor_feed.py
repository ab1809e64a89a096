"""What a session hands to the actor, and what of it counts as said unasked."""

from __future__ import annotations

from typing import Any

import trio

from router.messages.events import Tick
from transports.connect.session.actor_feed import ActorFeed

CALLS = 500


async def test_answers_to_many_calls_at_once_are_not_said_unasked() -> None:
    inbox_in, _ = trio.open_memory_channel[Any](2 * CALLS)
    feed = ActorFeed("a", inbox_in)
    feed.allow_for(CALLS)
    assert all(feed.put_nowait(Tick()) for _ in range(CALLS))
    # Who is asked nothing more has said enough before long.
    assert not all(feed.put_nowait(Tick()) for _ in range(CALLS))

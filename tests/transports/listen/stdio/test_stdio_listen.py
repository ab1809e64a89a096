"""`subscriptions/listen` on stdio: a request that goes on until it is left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
import trio

from router.messages.frames import Notification
from router.messages.revisions import LISTEN_METHOD
from tests.transports.listen.stdio.stdio_client import LINGER_S, Wire, answer, request

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

    from router.messages.events import FromClient

ACKNOWLEDGED: Final = Notification("notifications/subscriptions/acknowledged")
CHANGED: Final = Notification("notifications/tools/list_changed")


async def test_listen_that_was_acknowledged_holds_up_no_end(
    wire: Wire, autojump_clock: MockClock
) -> None:
    began_s = trio.current_time()
    await wire.say(request(1, LISTEN_METHOD), request(2))
    await wire.to_router.aclose()
    listen, other = await wire.asked(), await wire.asked()
    listen.reply_to.send_nowait(ACKNOWLEDGED)
    listen.reply_to.send_nowait(CHANGED)
    await trio.sleep(LINGER_S / 2)
    assert not wire.returned.is_set()
    answer(other)
    await wire.ended()
    assert trio.current_time() - began_s == LINGER_S / 2
    assert [(await wire.hear())["method"] for _ in range(2)] == [
        ACKNOWLEDGED.method,
        CHANGED.method,
    ]
    assert (await wire.hear())["id"] == 2


@pytest.mark.parametrize("begin", [answer, lambda event: event.reply_to.close()])
async def test_listen_is_waited_for_until_it_begins_or_is_refused(
    wire: Wire, autojump_clock: MockClock, begin: Callable[[FromClient], None]
) -> None:
    began_s = trio.current_time()
    await wire.say(request(1, LISTEN_METHOD))
    await wire.to_router.aclose()
    listen = await wire.asked()
    await trio.sleep(LINGER_S / 2)
    assert not wire.returned.is_set()
    begin(listen)
    await wire.ended()
    assert trio.current_time() - began_s == LINGER_S / 2


async def test_listen_shares_the_outbox_with_other_requests_until_it_is_answered(
    wire: Wire,
) -> None:
    await wire.say(request(1, LISTEN_METHOD), request(2))
    listen, other = await wire.asked(), await wire.asked()
    listen.reply_to.send_nowait(ACKNOWLEDGED)
    answer(other)
    listen.reply_to.send_nowait(CHANGED)
    answer(listen)
    listen.reply_to.close()
    heard = [await wire.hear() for _ in range(4)]
    assert [one.get("id") for one in heard] == [None, 2, None, 1]
    await wire.say(request(3))
    await wire.to_router.aclose()
    answer(await wire.asked())
    await wire.ended()
    assert (await wire.hear())["id"] == 3

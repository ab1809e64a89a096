"""The actor's inbox, as a listener fills it: what waits, what is queued, and how it ends."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from router.messages.errors import HttpRefusal
from router.messages.events import ClientClosed, ClientOpened
from tests.transports.listen.endpoint_client import answer_of
from tests.transports.listen.fake_actor import FakeActor, admit
from tests.transports.listen.http.http_client import CALL, post
from transports.listen.http.actor_inbox import BUSY_S, LAST_EVENTS_S, ActorInbox
from transports.listen.http.http_endpoint import HttpEndpoint


def closed(*clients: str) -> list[ClientClosed]:
    return [ClientClosed(client) for client in clients]


async def clients_of(actor: FakeActor, count: int) -> list[str]:
    """Return the clients of the next events."""
    return [(await actor.next(ClientClosed)).client for _ in range(count)]


@pytest.fixture
def small_actor() -> FakeActor:
    """Return an actor whose inbox holds one event."""
    return FakeActor(1)


@pytest.fixture
def actor_inbox(small_actor: FakeActor) -> ActorInbox:
    return ActorInbox(small_actor.inbox)


# --- Events that wait ------------------------------------------------------------------------


async def test_event_that_fits_is_sent_without_a_checkpoint(
    small_actor: FakeActor, actor_inbox: ActorInbox
) -> None:
    with trio.testing.assert_no_checkpoints():
        await actor_inbox.send(ClientClosed("x"))
    assert await clients_of(small_actor, 1) == ["x"]


async def test_event_waits_for_its_place(
    small_actor: FakeActor, actor_inbox: ActorInbox, nursery: trio.Nursery
) -> None:
    await actor_inbox.send(ClientClosed("x"))
    nursery.start_soon(actor_inbox.send, ClientClosed("y"))
    assert await clients_of(small_actor, 2) == ["x", "y"]


async def test_event_that_finds_no_place_in_time_is_refused_with_503(
    small_actor: FakeActor, actor_inbox: ActorInbox, autojump_clock: trio.testing.MockClock
) -> None:
    await actor_inbox.send(ClientClosed("x"))
    with pytest.raises(HttpRefusal) as refused:
        await actor_inbox.send(ClientClosed("y"))
    assert (refused.value.status, trio.current_time()) == (503, BUSY_S)
    assert await clients_of(small_actor, 1) == ["x"]
    assert small_actor.is_quiet()


# --- Events that cannot wait -----------------------------------------------------------------


async def test_events_sent_soon_keep_their_order(
    small_actor: FakeActor, actor_inbox: ActorInbox, nursery: trio.Nursery
) -> None:
    first, second, third = closed("x", "y", "z")
    actor_inbox.send_soon(first)
    actor_inbox.send_soon(second)
    assert await clients_of(small_actor, 1) == ["x"]
    actor_inbox.send_soon(third)  # fits now, but another event is queued before this
    assert small_actor.is_quiet()
    nursery.start_soon(actor_inbox.run)
    assert await clients_of(small_actor, 2) == ["y", "z"]


async def test_events_are_queued_again_after_the_queue_was_sent(
    small_actor: FakeActor, actor_inbox: ActorInbox, nursery: trio.Nursery
) -> None:
    nursery.start_soon(actor_inbox.run)
    for _ in range(2):
        for event in closed("x", "y"):
            actor_inbox.send_soon(event)
        assert await clients_of(small_actor, 2) == ["x", "y"]
        await trio.testing.wait_all_tasks_blocked()


# --- The end ---------------------------------------------------------------------------------


async def test_queued_events_are_sent_although_the_listener_ends(
    small_actor: FakeActor, actor_inbox: ActorInbox, autojump_clock: trio.testing.MockClock
) -> None:
    for event in closed("x", "y", "z"):
        actor_inbox.send_soon(event)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(actor_inbox.run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await trio.sleep(LAST_EVENTS_S / 2)
            assert await clients_of(small_actor, 3) == ["x", "y", "z"]


async def test_actor_that_takes_nothing_cannot_hold_up_the_end(
    actor_inbox: ActorInbox, autojump_clock: trio.testing.MockClock
) -> None:
    for event in closed("x", "y"):
        actor_inbox.send_soon(event)
    began_s = trio.current_time()
    with trio.move_on_after(0):
        await actor_inbox.run()
    assert trio.current_time() - began_s == LAST_EVENTS_S


async def test_events_for_an_actor_that_is_gone_are_dropped(
    small_actor: FakeActor, actor_inbox: ActorInbox, autojump_clock: trio.testing.MockClock
) -> None:
    for event in closed("x", "y"):
        actor_inbox.send_soon(event)
    began_s = trio.current_time()
    with trio.move_on_after(LAST_EVENTS_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(actor_inbox.run)
            await trio.testing.wait_all_tasks_blocked()
            small_actor.die()
            await trio.testing.wait_all_tasks_blocked()
            actor_inbox.send_soon(ClientClosed("z"))
    assert trio.current_time() - began_s == LAST_EVENTS_S  # with nothing left to send


# --- As the endpoint uses it -----------------------------------------------------------------


async def test_actor_that_is_gone_is_503(endpoint: HttpEndpoint, actor: FakeActor) -> None:
    actor.die()
    assert (await answer_of(endpoint, post(CALL))).status == 503


async def test_request_waits_while_the_actor_is_busy_and_can_be_cancelled(
    autojump_clock: trio.testing.MockClock,
) -> None:
    actor = FakeActor(1)
    endpoint = HttpEndpoint(actor.inbox, admit)
    with trio.move_on_after(5) as scope:
        await endpoint.respond(post(CALL))
    assert scope.cancelled_caught
    async with trio.open_nursery() as nursery:
        await nursery.start(endpoint.run)
        await actor.next(ClientOpened)
        await actor.next(ClientClosed)
        nursery.cancel_scope.cancel()

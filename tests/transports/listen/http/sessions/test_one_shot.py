"""Clients that exist for one request: they end with it, and nothing outlives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.messages.events import ClientClosed, ClientOpened, FromClient
from router.messages.frames import ErrorResponse, Request
from tests.transports.listen.endpoint_client import BOTH, detail, outcome_of, pending_of
from tests.transports.listen.fake_actor import (
    CHANGED,
    PROGRESS,
    QUESTION,
    FakeActor,
    admit,
    put,
    response,
)
from tests.transports.listen.http.http_client import CALL, lone_call, post
from transports.listen.http.actor_inbox import ActorInbox
from transports.listen.http.places import no_such_view
from transports.listen.http.posts.post_response import PostResponse
from transports.listen.http.posts.unwatched import Unwatched
from transports.listen.http.sessions.one_shot import OneShot
from transports.listen.serving.exchange import Answer, parse_accept

if TYPE_CHECKING:
    from transports.listen.http.http_endpoint import HttpEndpoint


def response_to(client: OneShot) -> PostResponse:
    """Return the response to a request of this client, with the id 7."""
    return PostResponse(client, [Request(7, "tools/call")], parse_accept(None), Unwatched())


def test_client_is_known_while_its_request_is_open(actor: FakeActor) -> None:
    known: set[OneShot] = set()
    client = OneShot("x", admit({}), ActorInbox(actor.inbox), known)
    assert not known
    pending = response_to(client)
    assert known == {client}
    client.finish(pending)
    assert not known


async def test_end_of_a_client_whose_request_is_over_does_nothing(actor: FakeActor) -> None:
    client = OneShot("x", admit({}), ActorInbox(actor.inbox), set())
    client.close()
    pending = response_to(client)
    client.finish(pending)
    assert (await actor.next(ClientClosed)).client == "x"
    client.close()
    client.refuse(no_such_view())
    assert actor.is_quiet()
    pending.send_nowait(response(7))  # it has not ended


async def test_abandoned_lone_request_is_closed_and_its_answer_dropped(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    pending, asked = await lone_call(endpoint, actor, post(CALL, **BOTH))
    pending.abandon()
    await actor.next(ClientClosed)
    put(asked.reply_to, PROGRESS, QUESTION, response(7))
    assert isinstance((await actor.next(FromClient)).frame, ErrorResponse)


async def test_lone_client_that_the_actor_closes_is_told_to_come_back(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    pending = await pending_of(endpoint, post(CALL))
    opened = await actor.next(ClientOpened)
    opened.outbox.send_nowait(CHANGED)
    opened.outbox.close()
    answer = await outcome_of(pending, Answer)
    assert (answer.status, detail(answer)) == (503, "The router is stopping")


async def test_lone_request_is_answered_as_one_that_is_not_let_in(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    pending = await pending_of(endpoint, post(CALL))
    opened = await actor.next(ClientOpened)
    await actor.next(FromClient)
    endpoint.end_revoked(lambda _: False)
    answer = await outcome_of(pending, Answer)
    assert answer.status == 401
    assert dict(answer.headers)[b"www-authenticate"] == b"Bearer"
    assert detail(answer).startswith("This token is not valid any more")
    assert (await actor.next(ClientClosed)).client == opened.client

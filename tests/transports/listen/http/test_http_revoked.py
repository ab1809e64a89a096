"""Streamable HTTP when somebody is not known any more: what is open ends, and no other does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from router.messages.commands import Principal
from router.messages.errors import HttpRefusal
from router.messages.events import ClientClosed, ClientOpened, FromClient
from router.messages.revisions import STATELESS_REVISION
from tests.transports.listen.endpoint_client import (
    BOTH,
    answer_of,
    chunk,
    data_of,
    events_of,
    message,
    outcome_of,
    pending_of,
)
from tests.transports.listen.fake_actor import PROGRESS, FakeActor, put, response
from tests.transports.listen.http.http_client import CALL, Session, get, lone_call, post
from transports.listen.http.http_endpoint import HttpEndpoint
from transports.listen.serving.exchange import Answer, EventStream, HttpRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

A = {"authorization": "a"}
B = {"authorization": "b"}


def knows_b(principal: Principal) -> bool:
    return principal.name == "b"


async def test_sessions_end_with_their_streams_and_calls(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    session = await Session.open(endpoint, actor, "2025-06-18", **A)
    stream = await events_of(endpoint, get(session, **A))
    pending, _ = await session.call(**A)
    endpoint.end_revoked(knows_b)
    assert await chunk(stream) is None
    assert (await outcome_of(pending, Answer)).status == 404
    assert (await actor.next(ClientClosed)).client == session.id
    assert repr(endpoint) == "<HttpEndpoint sessions=0 one_shots=0>"


async def test_sessions_and_calls_of_others_go_on(endpoint: HttpEndpoint, actor: FakeActor) -> None:
    session = await Session.open(endpoint, actor, **B)
    pending, asked = await session.call(**B)
    lone = await pending_of(endpoint, post(CALL, **BOTH, **B))
    await actor.next(ClientOpened)
    endpoint.end_revoked(knows_b)
    put(asked.reply_to, response(7))
    put((await actor.next(FromClient)).reply_to, response(7))
    for one in (pending, lone):
        assert (await outcome_of(one, Answer)).status == 200


async def test_subscription_ends(endpoint: HttpEndpoint, actor: FakeActor) -> None:
    headers = {**BOTH, **A, "mcp_protocol_version": STATELESS_REVISION}
    listen = message("subscriptions/listen", 7)
    pending, asked = await lone_call(
        endpoint, actor, post(listen, **headers, mcp_method="subscriptions/listen")
    )
    put(asked.reply_to, PROGRESS)
    events = await outcome_of(pending, EventStream)
    assert data_of(await chunk(events))
    endpoint.end_revoked(knows_b)
    assert await chunk(events) is None
    events.close()
    await actor.next(ClientClosed)


@pytest.mark.parametrize("body", [CALL, message("initialize", 0)], ids=["call", "initialize"])
async def test_slow_sender_is_admitted_again_after_its_body(actor: FakeActor, body: object) -> None:
    """Otherwise a slow body could open a session that no change of rules ends."""
    known = {"a"}

    def admit_known(headers: Mapping[str, str], _address: str, _path: str) -> Principal:
        if headers["authorization"] not in known:
            raise HttpRefusal(401, "Who are you?")
        return Principal(headers["authorization"])

    endpoint = HttpEndpoint(actor.inbox, admit_known)
    asked, sent = post(body, **A), trio.Event()

    async def read_body() -> bytes:
        await sent.wait()
        return await asked.read_body()

    slow = HttpRequest(asked.method, asked.path, asked.headers, read_body, asked.query)
    answers: list[Answer] = []

    async def ask() -> None:
        answers.append(await answer_of(endpoint, slow))

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await wait_all_tasks_blocked()
            known.clear()
            endpoint.end_revoked(lambda _: False)
            sent.set()
    assert answers[0].status == 401
    assert actor.is_quiet()

"""Sessions of streamable HTTP: how they begin and end, and what is said in them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio

from router.messages.events import ClientClosed, FromClient
from router.messages.frames import Notification, Response
from router.messages.revisions import HANDSHAKE_REVISIONS
from tests.transports.listen.endpoint_client import (
    answer_of,
    chunk,
    data_of,
    error,
    events_of,
    message,
    outcome_of,
    pending_of,
    request,
)
from tests.transports.listen.fake_actor import CHANGED, PROGRESS, FakeActor, admit, put, response
from tests.transports.listen.http.http_client import CALL, Session, get, post
from transports.json_rpc import MAX_BATCH_MESSAGES
from transports.listen.http.http_endpoint import HttpEndpoint
from transports.listen.http.sessions import http_sessions
from transports.listen.http.sessions.session_table import SessionLimits
from transports.listen.serving.exchange import Answer

# --- Opening and ending sessions -------------------------------------------------------------


@pytest.mark.parametrize("revision", HANDSHAKE_REVISIONS)
async def test_initialize_opens_a_session_of_its_principal(
    endpoint: HttpEndpoint, actor: FakeActor, revision: str
) -> None:
    session = await Session.open(endpoint, actor, revision, authorization="a")
    assert len(session.id) == 32
    assert set(session.id) <= set("0123456789abcdef")
    pending, asked = await session.call(authorization="a")
    assert asked.client == session.id
    put(asked.reply_to, response(7))
    assert json.loads((await outcome_of(pending, Answer)).body)["id"] == 7
    assert actor.is_quiet()


async def test_initialize_within_a_session_is_refused(
    endpoint: HttpEndpoint, session: Session
) -> None:
    answer = await answer_of(endpoint, post(message("initialize", 1), session))
    assert (answer.status, error(answer)["code"]) == (400, -32600)


async def test_delete_ends_the_session_and_what_waits_in_it(
    endpoint: HttpEndpoint, actor: FakeActor, session: Session
) -> None:
    pending, asked = await session.call()
    events = await events_of(endpoint, get(session))
    ended = request("DELETE", "/mcp", mcp_session_id=session.id)
    assert (await answer_of(endpoint, ended)).status == 204
    await actor.next(ClientClosed)
    assert await chunk(events) is None
    events.close()
    assert (await outcome_of(pending, Answer)).status == 404
    assert (await answer_of(endpoint, ended)).status == 404
    with pytest.raises(trio.BrokenResourceError):
        put(asked.reply_to, response(7))
    asked.reply_to.close()


async def test_actor_ends_the_session(endpoint: HttpEndpoint, session: Session) -> None:
    events = await events_of(endpoint, get(session))
    session.outbox.send_nowait(CHANGED)
    session.outbox.close()
    assert data_of(await chunk(events))[0]["method"] == CHANGED.method
    assert await chunk(events) is None
    assert (await answer_of(endpoint, post(CALL, session))).status == 404
    with pytest.raises(trio.BrokenResourceError):
        session.outbox.send_nowait(CHANGED)


async def test_session_that_has_ended_holds_nothing(session: Session) -> None:
    put(session.outbox, PROGRESS)
    events, asked = await session.streaming_call()
    await chunk(events)
    events.close()
    put(asked.reply_to, response(7))
    kept = [one.drop.__self__ for one in session.outbox.holdings()]
    assert len(kept) == 2
    session.outbox.close()
    assert [stream.held_bytes for stream in kept] == [0, 0]


async def test_session_that_ends_while_a_body_is_read_is_404(
    endpoint: HttpEndpoint, session: Session
) -> None:

    async def read_body() -> bytes:
        await trio.lowlevel.checkpoint()
        session.outbox.close()
        return json.dumps(CALL).encode()

    asked = post(CALL, session)
    asked = type(asked)(asked.method, asked.path, asked.headers, read_body)
    assert (await answer_of(endpoint, asked)).status == 404


async def test_idle_session_expires_and_a_used_one_does_not(
    actor: FakeActor, autojump_clock: trio.testing.MockClock
) -> None:
    endpoint = HttpEndpoint(actor.inbox, admit, limits=SessionLimits(idle_s=100))
    async with trio.open_nursery() as nursery:
        await nursery.start(endpoint.run)
        listening = await Session.open(endpoint, actor)
        events = await events_of(endpoint, get(listening))
        calling = await Session.open(endpoint, actor)
        call, asked = await calling.streaming_call()
        call.close()
        idle = await Session.open(endpoint, actor)
        await trio.sleep(250)
        assert (await actor.next(ClientClosed)).client == idle.id
        put(asked.reply_to, response(7))
        events.close()
        left_s = trio.current_time()
        closed = {(await actor.next(ClientClosed)).client for _ in range(2)}
        assert closed == {listening.id, calling.id}
        assert trio.current_time() - left_s == 100
        nursery.cancel_scope.cancel()


async def test_too_many_open_requests_of_a_session_are_503(
    endpoint: HttpEndpoint, monkeypatch: pytest.MonkeyPatch, session: Session
) -> None:
    monkeypatch.setattr(http_sessions, "MAX_STREAMS", 2)
    pending, _ = await session.call()
    assert (await answer_of(endpoint, post(CALL, session))).status == 503
    pending.abandon()
    await session.call()


async def test_end_ends_everything(endpoint: HttpEndpoint, session: Session) -> None:
    events = await events_of(endpoint, get(session))
    pending, _ = await session.call()
    lone = await pending_of(endpoint, post(CALL))
    endpoint.end()
    assert await chunk(events) is None
    assert (await outcome_of(pending, Answer)).status == 404
    assert (await outcome_of(lone, Answer)).status == 503
    assert (await answer_of(endpoint, post(CALL))).status == 503


# --- Messages of a session -------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [message("notifications/initialized"), {"jsonrpc": "2.0", "id": 3, "result": {}}],
    ids=["notification", "response"],
)
async def test_message_that_needs_no_answer_is_202(
    endpoint: HttpEndpoint, actor: FakeActor, body: dict[str, Any], session: Session
) -> None:
    answer = await answer_of(endpoint, post(body, session))
    assert (answer.status, answer.body) == (202, b"")
    told = await actor.next(FromClient)
    assert told.client == session.id
    assert isinstance(told.frame, (Notification, Response))


async def test_cancelled_request_is_answered_so_that_its_response_ends(session: Session) -> None:
    pending, asked = await session.call()
    asked.reply_to.close()
    answer = await outcome_of(pending, Answer)
    assert (answer.status, error(answer)["code"]) == (200, -32800)


async def test_disconnect_is_not_a_cancel(actor: FakeActor, session: Session) -> None:
    pending, asked = await session.call()
    pending.abandon()
    assert actor.is_quiet()
    put(asked.reply_to, PROGRESS, response(7))
    await session.call()


async def test_batch_without_requests_is_202(endpoint: HttpEndpoint, actor: FakeActor) -> None:
    session = await Session.open(endpoint, actor, "2025-03-26")
    batch = [message("notifications/a"), message("notifications/b")]
    assert (await answer_of(endpoint, post(batch, session))).status == 202
    assert [(await actor.next(FromClient)).frame.method for _ in batch] == [  # type: ignore[union-attr]
        "notifications/a",
        "notifications/b",
    ]


@pytest.mark.parametrize(
    "batch",
    [[message("initialize", 1)], [{}], [message("ping", 1)] * (MAX_BATCH_MESSAGES + 1)],
    ids=["initialize", "no message", "too many"],
)
async def test_batch_that_must_not_be_is_refused_whole(
    endpoint: HttpEndpoint, actor: FakeActor, batch: list[Any]
) -> None:
    session = await Session.open(endpoint, actor, "2025-03-26")
    answer = await answer_of(endpoint, post(batch, session))
    assert (answer.status, error(answer)["code"]) == (400, -32600)
    assert actor.is_quiet()


async def test_batch_in_a_session_of_another_revision_is_refused(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    session = await Session.open(endpoint, actor, "2025-06-18")
    answer = await answer_of(endpoint, post([message("ping", 1)], session))
    assert (answer.status, error(answer)["code"]) == (400, -32600)


# --- While the router drains -----------------------------------------------------------------


async def test_nothing_new_begins_while_the_router_drains_and_sessions_go_on(
    actor: FakeActor,
) -> None:
    draining = [False]
    endpoint = HttpEndpoint(actor.inbox, admit, is_draining=lambda: draining[0])
    session = await Session.open(endpoint, actor)
    pending, asked = await session.call()
    draining[0] = True
    for body in (message("initialize", 0), message("ping", 1)):
        refused = await answer_of(endpoint, post(body))
        assert refused.status == 503
        assert dict(refused.headers)[b"retry-after"]
        assert b"The router is stopping" in refused.body
    assert actor.is_quiet()
    put(asked.reply_to, response(7))
    assert (await outcome_of(pending, Answer)).status == 200
    await session.call(message("ping", 8))

"""Streamable HTTP, as a conversation between a client, the endpoint and the actor."""

from __future__ import annotations

import json

import pytest
import trio

from router.messages.events import ClientClosed, ClientOpened, FromClient
from router.messages.frames import ErrorResponse
from router.messages.revisions import HANDSHAKE_REVISIONS, REVISIONS
from tests.transports.listen.endpoint_client import (
    BOTH,
    EVENTS,
    answer_of,
    chunk,
    data_of,
    detail,
    error,
    message,
    outcome_of,
    pending_of,
    request,
)
from tests.transports.listen.fake_actor import (
    CHANGED,
    PROGRESS,
    QUESTION,
    FakeActor,
    admit,
    failure,
    put,
    response,
)
from tests.transports.listen.http.http_client import CALL, Session, lone_call, post
from transports.listen.http.http_endpoint import HttpEndpoint
from transports.listen.serving.exchange import Answer, EventStream
from transports.listen.serving.server_sent_events import KEEP_ALIVE, KEEP_ALIVE_S

# --- Who and what is let in ------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PUT"])
async def test_refusal_of_admission_is_answered_as_it_stands(
    endpoint: HttpEndpoint, method: str
) -> None:
    answer = await answer_of(endpoint, request(method, "/mcp", authorization="nobody"))
    assert answer.status == 401
    assert detail(answer) == "Who are you?"
    assert (b"www-authenticate", b"Bearer") in answer.headers
    assert (b"x-content-type-options", b"nosniff") in answer.headers


async def test_other_paths_are_404(endpoint: HttpEndpoint) -> None:
    assert (await answer_of(endpoint, request("POST", "/nothing"))).status == 404


@pytest.mark.parametrize("method", ["PUT", "HEAD", "OPTIONS", "PATCH"])
async def test_other_methods_are_405_and_told_which_there_are(
    endpoint: HttpEndpoint, method: str
) -> None:
    answer = await answer_of(endpoint, request(method, "/mcp"))
    assert answer.status == 405
    assert (b"allow", b"GET, POST, DELETE") in answer.headers


@pytest.mark.parametrize("kind", ["text/plain", "", "application/jsonp"])
async def test_post_of_anything_but_json_is_415(endpoint: HttpEndpoint, kind: str) -> None:
    answer = await answer_of(endpoint, request("POST", "/mcp", CALL, content_type=kind))
    assert answer.status == 415


async def test_charset_beside_the_content_type_is_fine(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    asked = post(CALL, content_type="Application/JSON; charset=utf-8")
    await pending_of(endpoint, asked)


async def test_accept_that_admits_nothing_there_is_406(endpoint: HttpEndpoint) -> None:
    assert (await answer_of(endpoint, post(CALL, accept="text/html, image/*"))).status == 406


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"jsonrpc": "2.0", "id": 1, "meth', -32700),
        (b"\xff", -32700),
        (b"", -32700),
        (b"[1,", -32700),
        (b"[]", -32600),
        (b"42", -32600),
        (b'{"jsonrpc": "2.0", "id": 1}', -32600),
        (b'[{"jsonrpc": "2.0", "id": 1, "method": "ping"}]', -32600),
    ],
)
async def test_invalid_message_is_400_with_its_json_rpc_error(
    endpoint: HttpEndpoint, actor: FakeActor, body: bytes, code: int
) -> None:
    answer = await answer_of(endpoint, post(body))
    assert (answer.status, error(answer)["code"]) == (400, code)
    assert actor.is_quiet()


# --- Lone requests ---------------------------------------------------------------------------


async def test_lone_request_is_opened_asked_answered_and_closed(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    pending = await pending_of(endpoint, post(CALL))
    opened = await actor.next(ClientOpened)
    assert opened.one_shot
    asked = await actor.answer({"x": 1})
    assert asked.client == opened.client
    answer = await outcome_of(pending, Answer)
    assert json.loads(answer.body) == {"jsonrpc": "2.0", "id": 7, "result": {"x": 1}}
    assert answer.headers[0] == (b"content-type", b"application/json")
    assert (await actor.next(ClientClosed)).client == opened.client
    assert repr(endpoint) == "<HttpEndpoint sessions=0 one_shots=0>"


async def test_lone_notification_is_accepted_and_forgotten(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    answer = await answer_of(endpoint, post(message("notifications/cancelled")))
    assert (answer.status, answer.body) == (202, b"")
    assert actor.is_quiet()


async def test_error_answer_is_200(endpoint: HttpEndpoint, actor: FakeActor) -> None:
    pending, asked = await lone_call(endpoint, actor, post(CALL))
    put(asked.reply_to, failure(7, -32601))
    assert (await outcome_of(pending, Answer)).status == 200


async def test_unsupported_revision_from_the_core_is_400(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    pending, asked = await lone_call(endpoint, actor, post(message("server/discover", 7)))
    put(asked.reply_to, failure(7, -32022))
    assert (await outcome_of(pending, Answer)).status == 400


async def test_json_client_gets_no_notifications_and_refuses_questions(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    pending, asked = await lone_call(endpoint, actor, post(CALL, accept="*/*"))
    put(asked.reply_to, PROGRESS, QUESTION, response(7))
    refused = await actor.next(FromClient)
    assert isinstance(refused.frame, ErrorResponse)
    assert (refused.client, refused.frame.id) == (asked.client, QUESTION.id)
    assert json.loads((await outcome_of(pending, Answer)).body)["id"] == 7


async def test_progress_before_the_answer_makes_it_an_event_stream(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    pending, asked = await lone_call(endpoint, actor, post(CALL, **BOTH))
    put(asked.reply_to, PROGRESS)
    events = await outcome_of(pending, EventStream)
    assert events.headers[0] == (b"content-type", b"text/event-stream")
    assert events.opening == b""
    sent = await chunk(events)
    assert sent == b'event: message\ndata: {"jsonrpc":"2.0","method":"notifications/progress"' + (
        b',"params":{"progress":1}}\n\n'
    )
    put(asked.reply_to, PROGRESS, response(7))
    assert [sorted(one) for one in data_of(await chunk(events))] == [
        ["jsonrpc", "method", "params"],
        ["id", "jsonrpc", "result"],
    ]
    assert await chunk(events) is None
    assert actor.is_quiet()
    events.close()
    await actor.next(ClientClosed)


async def test_client_that_takes_only_events_gets_them(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    pending = await pending_of(endpoint, post(CALL, **EVENTS))
    await actor.next(ClientOpened)
    await actor.answer()
    events = await outcome_of(pending, EventStream)
    assert data_of(await chunk(events))[0]["id"] == 7


async def test_silence_commits_to_an_event_stream_only_who_takes_one(
    endpoint: HttpEndpoint, actor: FakeActor, autojump_clock: trio.testing.MockClock
) -> None:
    plain = await pending_of(endpoint, post(CALL))
    assert plain.commit() is None
    streamed = await pending_of(endpoint, post(CALL, **BOTH))
    events = streamed.commit()
    assert events is not None
    began_s = trio.current_time()
    assert await chunk(events) == KEEP_ALIVE
    assert trio.current_time() - began_s == KEEP_ALIVE_S


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


# --- The revision header ---------------------------------------------------------------------


async def test_unsupported_revision_header_is_400_naming_the_supported_ones(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    asked = post(message("server/discover", 7), mcp_protocol_version="2099-01-01")
    answer = await answer_of(endpoint, asked)
    assert (answer.status, json.loads(answer.body)["id"]) == (400, 7)
    assert error(answer)["code"] == -32022
    assert error(answer)["data"] == {
        "supported": list(REVISIONS),
        "requested": "2099-01-01",
    }
    assert actor.is_quiet()


async def test_initialize_may_come_with_any_revision_header(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    await Session.open(endpoint, actor, mcp_protocol_version="2026-07-28")


@pytest.mark.parametrize("revision", HANDSHAKE_REVISIONS)
async def test_supported_revision_header_is_fine(revision: str, session: Session) -> None:
    await session.call(mcp_protocol_version=revision)

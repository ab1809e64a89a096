"""Responses to a POST: one body, an array, or an event stream."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from msgspec import Raw

from router.messages.events import ClientClosed, ClientOpened, FromClient
from router.messages.frames import ErrorResponse, Notification, Request
from tests.transports.listen.endpoint_client import (
    BOTH,
    EVENTS,
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
from tests.transports.listen.fake_actor import (
    PROGRESS,
    QUESTION,
    FakeActor,
    admit,
    failure,
    put,
    response,
)
from tests.transports.listen.http.http_client import CALL, Session, get, lone_call, post
from transports.listen.http.actor_inbox import ActorInbox
from transports.listen.http.posts.post_response import PostResponse
from transports.listen.http.posts.unwatched import Unwatched
from transports.listen.http.sessions.one_shot import OneShot
from transports.listen.serving.exchange import Answer, EventStream, parse_accept
from transports.listen.serving.server_sent_events import KEEP_ALIVE, KEEP_ALIVE_S

if TYPE_CHECKING:
    from router.messages.revisions import Era
    from transports.listen.http.http_endpoint import HttpEndpoint


def pending_call(actor: FakeActor, accept: str, era: Era = "handshake") -> PostResponse:
    """Return the response to a request with the id 7."""
    client = OneShot("client", admit({}), ActorInbox(actor.inbox), set(), era)
    messages = [Request(7, "tools/call")]
    return PostResponse(client, messages, parse_accept(accept), Unwatched())


# --- One body or an event stream -------------------------------------------------------------


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


async def test_outcome_can_be_waited_for_again_after_a_cancellation(
    actor: FakeActor, autojump_clock: trio.testing.MockClock
) -> None:
    pending = pending_call(actor, BOTH["accept"])
    with trio.move_on_after(1) as scope:
        await pending.outcome()
    assert scope.cancelled_caught
    put(pending.reply_to(Request(7, "tools/call")), response(7))
    assert json.loads((await outcome_of(pending, Answer)).body)["id"] == 7


# --- Those who want to be told ---------------------------------------------------------------


async def test_decided_response_is_told_once(actor: FakeActor) -> None:
    pending = pending_call(actor, BOTH["accept"])
    told: list[object] = []
    assert pending.notify(lambda: told.append(pending.decided()))
    assert told == []
    put(pending, response(7))
    (answer,) = told
    assert isinstance(answer, Answer)
    assert json.loads(answer.body)["id"] == 7
    with pytest.raises(trio.BrokenResourceError):
        put(pending, response(7))
    assert len(told) == 1


async def test_progress_decides_for_an_event_stream_and_is_told(actor: FakeActor) -> None:
    pending = pending_call(actor, BOTH["accept"])
    told: list[object] = []
    pending.notify(lambda: told.append(pending.decided()))
    put(pending, PROGRESS, response(7))
    (events,) = told
    assert isinstance(events, EventStream)
    assert len(data_of(await chunk(events))) == 2


async def test_event_stream_that_has_ended_can_be_taken_whole(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    session = await Session.open(endpoint, actor)
    pending, asked = await session.call(accept="text/event-stream")
    put(asked.reply_to, response(7))
    events = await outcome_of(pending, EventStream)
    assert events.take_whole(1) is None
    whole = events.take_whole(1000)
    assert whole is not None
    assert whole.startswith(b"id: ")
    assert [one["id"] for one in data_of(whole)] == [7]
    again = await events_of(endpoint, get(session, last_event_id=whole[4:7].decode()))
    assert [one["id"] for one in data_of(await chunk(again))] == [7]


async def test_event_stream_that_goes_on_cannot_be_taken_whole(actor: FakeActor) -> None:
    pending = pending_call(actor, BOTH["accept"])
    put(pending, PROGRESS)
    events = await outcome_of(pending, EventStream)
    assert events.take_whole(1000) is None
    put(pending, response(7))
    assert len(data_of(events.take_whole(1000))) == 2


async def test_progress_that_the_client_does_not_take_is_not_told(actor: FakeActor) -> None:
    pending = pending_call(actor, "application/json")
    told: list[object] = []
    pending.notify(lambda: told.append(pending.decided()))
    put(pending, PROGRESS)
    assert told == []
    put(pending, response(7))
    assert isinstance(told[0], Answer)


async def test_response_that_is_decided_already_is_told_at_once(actor: FakeActor) -> None:
    pending = pending_call(actor, BOTH["accept"])
    pending.close()
    told: list[object] = []
    pending.notify(lambda: told.append(pending.decided()))
    assert isinstance(told[0], Answer)


async def test_response_that_takes_long_is_told_undecided_and_can_still_be_waited_for(
    actor: FakeActor,
) -> None:
    pending = pending_call(actor, BOTH["accept"])
    told: list[object] = []
    pending.notify(lambda: told.append(pending.decided()))
    pending.interrupt()
    assert told == [None]
    assert await pending.prompt_outcome() is None
    put(pending, response(7))
    assert told == [None]
    assert isinstance(await pending.outcome(), Answer)


async def test_abandoned_response_is_not_told(endpoint: HttpEndpoint, actor: FakeActor) -> None:
    session = await Session.open(endpoint, actor)
    pending, asked = await session.call()
    told: list[Any] = []
    pending.notify(lambda: told.append(pending.decided()))
    pending.abandon()
    put(asked.reply_to, response(7))
    assert told == []


async def test_answer_that_was_told_is_not_held_any_more(actor: FakeActor) -> None:
    pending = pending_call(actor, BOTH["accept"])
    told: list[object] = []
    pending.notify(lambda: told.append(pending.decided()))
    put(pending, response(7, {"text": "x" * 1000}))
    assert pending.held_bytes == 0


@pytest.mark.parametrize("how", ["progress", "silence"])
async def test_end_of_a_session_is_told_for_each_of_its_requests(
    endpoint: HttpEndpoint, actor: FakeActor, how: str
) -> None:
    session = await Session.open(endpoint, actor)
    told: list[Any] = []
    for _ in range(3):
        pending, asked = await session.call(accept="application/json")
        pending.notify(lambda pending=pending: told.append(pending.decided()))
        if how == "progress":
            put(asked.reply_to, PROGRESS)
    ended = await answer_of(endpoint, request("DELETE", "/mcp", mcp_session_id=session.id))
    assert ended.status == 204
    assert [answer.status for answer in told] == [404] * 3
    await actor.next(ClientClosed)


async def test_batch_does_not_tell(endpoint: HttpEndpoint, actor: FakeActor) -> None:
    session = await Session.open(endpoint, actor, "2025-03-26")
    pending, _ = await session.call([CALL])
    assert not pending.notify(lambda: None)


# --- The status of an error ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("era", "code", "status"),
    [
        ("stateless", -32700, 400),
        ("stateless", -32600, 400),
        ("stateless", -32602, 400),
        ("stateless", -32020, 400),
        ("stateless", -32021, 400),
        ("stateless", -32022, 400),
        ("stateless", -32601, 404),
        ("stateless", -32603, 200),
        ("stateless", -32013, 200),
        ("stateless", 0, 200),
        ("handshake", -32020, 400),
        ("handshake", -32022, 400),
        ("handshake", -32601, 200),
        ("handshake", -32602, 200),
    ],
)
async def test_status_of_an_error_is_that_of_its_code_in_its_era(
    actor: FakeActor, era: Era, code: int, status: int
) -> None:
    pending = pending_call(actor, "application/json", era)
    put(pending.reply_to(Request(7, "tools/call")), failure(7, code))
    answer = await outcome_of(pending, Answer)
    assert (answer.status, error(answer)["code"]) == (status, code)


LIMITED = Raw(b'{"code":-32015,"message":"no","data":{"limit":"x","retry_in_s":1.2}}')
FULL = Raw(b'{"code":-32015,"message":"no","data":{"max_in_flight":3}}')
OLD_PYTHON_SDK = "python-httpx/0.28.1"


async def test_call_that_its_token_may_not_make_now_is_429_with_the_time(actor: FakeActor) -> None:
    pending = pending_call(actor, "application/json")
    put(pending.reply_to(Request(7, "tools/call")), ErrorResponse(7, LIMITED))
    answer = await outcome_of(pending, Answer)
    assert (answer.status, error(answer)["code"]) == (429, -32015)
    assert dict(answer.headers)[b"retry-after"] == b"2"


async def test_server_that_takes_no_more_calls_is_no_matter_of_http(actor: FakeActor) -> None:
    pending = pending_call(actor, "application/json")
    put(pending.reply_to(Request(7, "tools/call")), ErrorResponse(7, FULL))
    answer = await outcome_of(pending, Answer)
    assert (answer.status, b"retry-after" in dict(answer.headers)) == (200, False)


@pytest.mark.parametrize(("agent", "status"), [("node", 429), (OLD_PYTHON_SDK, 200)])
async def test_session_of_an_sdk_that_would_end_it_is_answered_with_200(
    endpoint: HttpEndpoint, actor: FakeActor, agent: str, status: int
) -> None:
    session = await Session.open(endpoint, actor)
    pending, asked = await session.call(CALL, user_agent=agent)
    put(asked.reply_to, ErrorResponse(7, LIMITED))
    answer = await outcome_of(pending, Answer)
    assert (answer.status, error(answer)["data"]["retry_in_s"]) == (status, 1.2)


async def test_lone_request_of_that_sdk_s_http_library_is_429(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    pending, asked = await lone_call(endpoint, actor, post(CALL, user_agent=OLD_PYTHON_SDK))
    put(asked.reply_to, ErrorResponse(7, LIMITED))
    assert (await outcome_of(pending, Answer)).status == 429


async def test_error_on_an_event_stream_is_200(actor: FakeActor) -> None:
    pending = pending_call(actor, BOTH["accept"], "stateless")
    put(pending.reply_to(Request(7, "tools/call")), PROGRESS, failure(7, -32602))
    events = await outcome_of(pending, EventStream)
    assert data_of(await chunk(events))[1]["error"]["code"] == -32602
    assert await chunk(events) is None


# --- Batches ---------------------------------------------------------------------------------


async def test_batch_is_answered_with_one_array(endpoint: HttpEndpoint, actor: FakeActor) -> None:
    session = await Session.open(endpoint, actor, "2025-03-26")
    batch = [message("ping", 1), message("notifications/progress"), message("ping", 2)]
    pending, first = await session.call(batch)
    assert isinstance((await actor.next(FromClient)).frame, Notification)
    second = await actor.next(FromClient)
    put(second.reply_to, response(2))
    first.reply_to.close()
    answers = json.loads((await outcome_of(pending, Answer)).body)
    assert [answer["id"] for answer in answers] == [2, 1]


async def test_batch_with_progress_is_answered_on_one_stream(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    session = await Session.open(endpoint, actor, "2025-03-26")
    pending, first = await session.call([message("ping", 1), message("ping", 2)])
    second = await actor.next(FromClient)
    put(second.reply_to, response(2))
    put(first.reply_to, PROGRESS, response(1))
    events = await outcome_of(pending, EventStream)
    assert [one.get("id") for one in data_of(await chunk(events))] == [2, None, 1]
    assert await chunk(events) is None


# --- The answer to initialize ----------------------------------------------------------------


async def test_refused_initialize_opens_no_session(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    pending, asked = await lone_call(endpoint, actor, post(message("initialize", 0)))
    put(asked.reply_to, failure(0, -32602))
    answer = await outcome_of(pending, Answer)
    assert answer.status == 200
    assert b"mcp-session-id" not in dict(answer.headers)
    await actor.next(ClientClosed)
    assert "sessions=0" in repr(endpoint)


@pytest.mark.parametrize("how", ["cancelled", "abandoned"])
async def test_initialize_without_an_end_leaves_no_session(
    endpoint: HttpEndpoint, actor: FakeActor, how: str
) -> None:
    pending, asked = await lone_call(endpoint, actor, post(message("initialize", 0)))
    if how == "cancelled":
        asked.reply_to.close()
        assert error(await outcome_of(pending, Answer))["code"] == -32800
    else:
        pending.abandon()
    await actor.next(ClientClosed)
    assert "sessions=0" in repr(endpoint)


@pytest.mark.parametrize("how", ["refused", "cancelled"])
async def test_refused_initialize_that_is_told_at_once_opens_no_session_either(
    endpoint: HttpEndpoint, actor: FakeActor, how: str
) -> None:
    pending, asked = await lone_call(endpoint, actor, post(message("initialize", 0)))
    told: list[Any] = []
    pending.notify(lambda: told.append(pending.decided()))
    if how == "cancelled":
        asked.reply_to.close()
    else:
        put(asked.reply_to, failure(0, -32602))
    (answer,) = told
    assert "error" in json.loads(answer.body)
    assert b"mcp-session-id" not in dict(answer.headers)
    await actor.next(ClientClosed)


async def test_event_stream_with_the_result_of_initialize_can_be_resumed_when_told_at_once(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    initialize = message("initialize", 0, protocolVersion="2025-11-25")
    pending, asked = await lone_call(endpoint, actor, post(initialize, **EVENTS))
    told: list[Any] = []
    pending.notify(lambda: told.append(pending.decided()))
    put(asked.reply_to, response(0, {"protocolVersion": "2025-11-25"}))
    assert told[0].opening.startswith(b"id: 1-0\n")


async def test_message_before_the_answer_to_initialize_decides_nothing(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    initialize = message("initialize", 0, protocolVersion="2025-11-25")
    pending, asked = await lone_call(endpoint, actor, post(initialize, **BOTH))
    put(asked.reply_to, PROGRESS)
    events = await outcome_of(pending, EventStream)
    assert actor.is_quiet()
    put(asked.reply_to, failure(0, -32602))
    assert [one.get("id") for one in data_of(await chunk(events))] == [None, 0]
    await actor.next(ClientClosed)

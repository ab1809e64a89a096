"""MCP 2026-07-28 over HTTP, as a conversation between a client, the endpoint and the actor."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio
from msgspec import Raw

from router.messages.events import ClientClosed, ClientOpened, FromClient
from router.messages.frames import Notification
from router.messages.revisions import REVISIONS, STATELESS_REVISION
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
from tests.transports.listen.fake_actor import CHANGED, PROGRESS, FakeActor, failure, put, response
from tests.transports.listen.http.http_client import CALL, Session, lone_call, post
from transports.listen.http.posts.routing_headers import REVISION_KEY
from transports.listen.serving.exchange import Answer, EventStream
from transports.listen.serving.server_sent_events import KEEP_ALIVE, KEEP_ALIVE_S

if TYPE_CHECKING:
    from transports.listen.http.http_endpoint import HttpEndpoint
    from transports.listen.serving.exchange import HttpRequest, PendingResponse

MODERN: Final = {"mcp_protocol_version": STATELESS_REVISION}
ACKNOWLEDGED: Final = Notification("notifications/subscriptions/acknowledged")
LATER: Final = "2099-01-01"


def body(method: str = "tools/call", revision: Any = STATELESS_REVISION) -> dict[str, Any]:
    """A request with an envelope."""
    return message(method, 7, name="echo", _meta={REVISION_KEY: revision})


def asked(method: str = "tools/call", **headers: str) -> HttpRequest:
    """A request as 2026-07-28 wants it."""
    routing = {**MODERN, "mcp_method": method, "mcp_name": "echo"}
    return post(body(method), **{**BOTH, **routing, **headers})


async def call(
    endpoint: HttpEndpoint, actor: FakeActor, method: str = "tools/call", **headers: str
) -> tuple[PendingResponse, FromClient]:
    """A request, as the client and as the actor see it."""
    return await lone_call(endpoint, actor, asked(method, **headers))


# --- Requests --------------------------------------------------------------------------------


async def test_request_is_a_client_of_its_own_of_the_stateless_era(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    pending = await pending_of(endpoint, asked(authorization="a"))
    opened = await actor.next(ClientOpened)
    assert (opened.principal.name, opened.one_shot, opened.era) == ("a", True, "stateless")
    assert (await actor.answer({"x": 1})).client == opened.client
    answer = await outcome_of(pending, Answer)
    assert (answer.status, json.loads(answer.body)["result"]) == (200, {"x": 1})
    assert b"mcp-session-id" not in dict(answer.headers)
    assert (await actor.next(ClientClosed)).client == opened.client


async def test_params_that_were_compared_with_headers_are_handed_on_as_they_were_read(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    _, reached = await call(endpoint, actor)
    assert reached.params is not None
    assert set(reached.params.members) == {"name", "_meta"}
    assert reached.params.meta == {REVISION_KEY: Raw(b'"2026-07-28"')}


async def test_headers_that_repeat_arguments_are_handed_on_with_the_params(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    headers = {"mcp_param_region": "=?base64?ZXU=?=", "mcp_param_sure": "=?base64?ZXU?="}
    _, reached = await call(endpoint, actor, **headers)
    assert reached.params is not None
    assert reached.params.param_headers == {"region": "eu", "sure": None}
    _, reached = await call(endpoint, actor, "prompts/get", **headers)
    assert reached.params is not None
    assert reached.params.param_headers is None


async def test_params_of_a_request_without_a_session_that_nobody_had_to_read_are_not_read(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    await pending_of(endpoint, post(CALL, **BOTH))
    await actor.next(ClientOpened)
    assert (await actor.next(FromClient)).params is None


async def test_request_without_envelope_is_for_the_core(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    pending = await pending_of(endpoint, post(CALL, **MODERN))
    assert (await actor.next(ClientOpened)).era == "stateless"
    put((await actor.next(FromClient)).reply_to, failure(7, -32602))
    assert (await outcome_of(pending, Answer)).status == 400


@pytest.mark.parametrize("session_id", ["unknown", "own", "of somebody else"])
async def test_session_header_is_ignored(
    endpoint: HttpEndpoint, actor: FakeActor, session_id: str, session: Session
) -> None:
    theirs = await Session.open(endpoint, actor, authorization="b")
    named = {"own": session.id, "of somebody else": theirs.id}.get(session_id, session_id)
    pending, reached = await call(endpoint, actor, mcp_session_id=named, last_event_id="0-0")
    assert reached.client not in {session.id, theirs.id}
    put(reached.reply_to, response(7))
    assert b"mcp-session-id" not in dict((await outcome_of(pending, Answer)).headers)


async def test_handshake_request_whose_arguments_look_like_an_envelope_is_not_stateless(
    endpoint: HttpEndpoint, actor: FakeActor, session: Session
) -> None:
    envelope = {"_meta": {REVISION_KEY: STATELESS_REVISION}}
    await session.call(message("tools/call", 7, name="echo", arguments=envelope))
    await pending_of(endpoint, post(CALL))
    assert (await actor.next(ClientOpened)).era == "handshake"


# --- Headers and revisions -------------------------------------------------------------------


@pytest.mark.parametrize("header", ["mcp-protocol-version", "mcp-method", "mcp-name"])
async def test_request_whose_headers_do_not_repeat_it_is_400_with_its_id(
    endpoint: HttpEndpoint, actor: FakeActor, header: str
) -> None:
    wrong = asked()
    assert isinstance(wrong.headers, dict)
    del wrong.headers[header]
    answer = await answer_of(endpoint, wrong)
    assert (answer.status, json.loads(answer.body)["id"]) == (400, 7)
    assert error(answer)["code"] == -32020
    assert header in error(answer)["message"].lower()
    assert actor.is_quiet()


@pytest.mark.parametrize("revision", [STATELESS_REVISION, LATER, None])
async def test_envelope_under_a_handshake_header_is_a_mismatch(
    endpoint: HttpEndpoint, actor: FakeActor, revision: str | None
) -> None:
    sent = post(body(revision=revision), mcp_protocol_version="2025-11-25")
    answer = await answer_of(endpoint, sent)
    assert (answer.status, error(answer)["code"]) == (400, -32020)
    assert actor.is_quiet()


async def test_envelope_within_a_session_is_for_the_core_to_refuse(session: Session) -> None:
    pending, reached = await session.call(body())
    assert reached.client == session.id
    put(reached.reply_to, failure(7, -32020))
    assert (await outcome_of(pending, Answer)).status == 400


async def test_revision_that_is_not_spoken_is_400_naming_all_that_are(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    sent = {"mcp_protocol_version": LATER, "mcp_method": "tools/list"}
    answer = await answer_of(endpoint, post(body("tools/list", LATER), **sent))
    assert (answer.status, json.loads(answer.body)["id"]) == (400, 7)
    assert error(answer)["code"] == -32022
    assert error(answer)["data"] == {"supported": list(REVISIONS), "requested": LATER}
    assert actor.is_quiet()


async def test_initialize_with_all_of_the_stateless_revision_is_for_the_core(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    pending = await pending_of(endpoint, asked("initialize"))
    assert (await actor.next(ClientOpened)).era == "stateless"
    put((await actor.next(FromClient)).reply_to, failure(7, -32601))
    assert (await outcome_of(pending, Answer)).status == 404
    assert "sessions=0" in repr(endpoint)


async def test_initialize_that_only_carries_the_header_opens_a_session(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    session = await Session.open(endpoint, actor, mcp_session_id="unknown", **MODERN)
    await session.call()


# --- What is no request ----------------------------------------------------------------------


@pytest.mark.parametrize("headers", [{}, MODERN, {"mcp_protocol_version": "2025-11-25"}])
async def test_notification_is_accepted_and_dropped(
    endpoint: HttpEndpoint, actor: FakeActor, headers: dict[str, str]
) -> None:
    cancelled = body("notifications/cancelled")
    del cancelled["id"]
    answer = await answer_of(endpoint, post(cancelled, **headers))
    assert (answer.status, answer.body) == (202, b"")
    assert actor.is_quiet()


async def test_notification_under_the_header_reaches_no_session(
    endpoint: HttpEndpoint, actor: FakeActor, session: Session
) -> None:
    for meta in ({}, {REVISION_KEY: STATELESS_REVISION}):
        sent = post(message("notifications/cancelled", _meta=meta), session, **MODERN)
        assert (await answer_of(endpoint, sent)).status == 202
    assert actor.is_quiet()


async def test_notification_of_a_revision_that_is_not_spoken_is_told_so(
    endpoint: HttpEndpoint,
) -> None:
    cancelled = body("notifications/cancelled", LATER)
    del cancelled["id"]
    answer = await answer_of(endpoint, post(cancelled, mcp_protocol_version=LATER))
    assert (answer.status, error(answer)["code"]) == (400, -32022)


@pytest.mark.parametrize(
    "sent",
    [
        {"jsonrpc": "2.0", "id": 1, "result": {}},
        {"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": ""}},
        [body()],
        [],
        {},
    ],
)
async def test_message_that_is_neither_request_nor_notification_is_400(
    endpoint: HttpEndpoint, actor: FakeActor, sent: Any
) -> None:
    session = await Session.open(endpoint, actor, "2025-03-26")
    for one in (post(sent, **MODERN), post(sent, session, **MODERN)):
        answer = await answer_of(endpoint, one)
        assert (answer.status, error(answer)["code"]) == (400, -32600)
    assert actor.is_quiet()


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
async def test_other_methods_are_405_and_leave_sessions_alone(
    endpoint: HttpEndpoint, method: str, session: Session
) -> None:
    named = {**EVENTS, **MODERN, "mcp_session_id": session.id, "last_event_id": "0-0"}
    answer = await answer_of(endpoint, request(method, "/mcp", **named))
    assert answer.status == 405
    assert (b"allow", b"POST") in answer.headers
    assert "sessions=1" in repr(endpoint)


# --- Leaving ---------------------------------------------------------------------------------


async def test_client_that_leaves_cancels_its_call(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    pending, reached = await call(endpoint, actor)
    pending.abandon()
    assert (await actor.next(ClientClosed)).client == reached.client
    pending, reached = await call(endpoint, actor)
    put(reached.reply_to, PROGRESS)
    (await outcome_of(pending, EventStream)).close()
    assert (await actor.next(ClientClosed)).client == reached.client
    assert "one_shots=0" in repr(endpoint)


# --- subscriptions/listen --------------------------------------------------------------------


async def listening(
    endpoint: HttpEndpoint, actor: FakeActor, **headers: str
) -> tuple[EventStream, FromClient]:
    """A listen that was acknowledged, and the acknowledgement read."""
    pending, reached = await call(endpoint, actor, "subscriptions/listen", **headers)
    put(reached.reply_to, ACKNOWLEDGED)
    events = await outcome_of(pending, EventStream)
    assert data_of(await chunk(events))[0]["method"] == ACKNOWLEDGED.method
    return events, reached


@pytest.mark.parametrize("accept", [BOTH["accept"], "text/event-stream", "*/*"])
async def test_listen_is_a_stream_until_it_is_answered(
    endpoint: HttpEndpoint, actor: FakeActor, accept: str
) -> None:
    events, reached = await listening(endpoint, actor, accept=accept)
    put(reached.reply_to, CHANGED)
    assert data_of(await chunk(events))[0]["method"] == CHANGED.method
    put(reached.reply_to, response(7))
    assert data_of(await chunk(events))[0]["id"] == 7
    assert await chunk(events) is None


async def test_listen_of_a_client_that_takes_no_events_is_406(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    sent = asked("subscriptions/listen", accept="application/json")
    answer = await answer_of(endpoint, sent)
    assert (answer.status, detail(answer)) == (406, "Accept must admit text/event-stream")
    assert actor.is_quiet()


async def test_listen_that_is_refused_is_one_body_with_its_status(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    pending, reached = await call(endpoint, actor, "subscriptions/listen", accept="*/*")
    put(reached.reply_to, failure(7, -32602))
    assert (await outcome_of(pending, Answer)).status == 400


async def test_silent_listen_is_kept_alive(
    endpoint: HttpEndpoint, actor: FakeActor, autojump_clock: trio.testing.MockClock
) -> None:
    events, reached = await listening(endpoint, actor)
    began_s = trio.current_time()
    assert await chunk(events) == KEEP_ALIVE
    assert trio.current_time() - began_s == KEEP_ALIVE_S
    put(reached.reply_to, CHANGED)
    assert len(data_of(await chunk(events))) == 1


async def test_listen_ends_when_its_client_leaves(endpoint: HttpEndpoint, actor: FakeActor) -> None:
    events, reached = await listening(endpoint, actor)
    events.close()
    assert (await actor.next(ClientClosed)).client == reached.client
    assert "one_shots=0" in repr(endpoint)


async def test_answer_of_a_listen_is_read_although_the_endpoint_ends(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    events, reached = await listening(endpoint, actor)
    put(reached.reply_to, response(7))
    endpoint.end()
    assert data_of(await chunk(events))[0]["id"] == 7
    assert await chunk(events) is None


async def test_listen_without_an_answer_ends_with_the_endpoint(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    events, reached = await listening(endpoint, actor)
    pending, _ = await call(endpoint, actor, "subscriptions/listen")
    endpoint.end()
    assert await chunk(events) is None
    with pytest.raises(trio.BrokenResourceError):
        put(reached.reply_to, response(7))
    assert (await outcome_of(pending, Answer)).status == 503

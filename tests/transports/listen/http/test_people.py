"""People whose tokens are refreshed, get more scopes and expire: their sessions and streams."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import trio
from msgspec.structs import replace

from router.messages.commands import FOREVER, Principal, TokenLifetime
from router.messages.events import ClientClosed, ClientOpened, FromClient
from router.messages.revisions import STATELESS_REVISION
from tests.transports.listen.endpoint_client import (
    BOTH,
    JSON,
    answer_of,
    chunk,
    data_of,
    events_of,
    message,
    outcome_of,
    pending_of,
    request,
)
from tests.transports.listen.fake_actor import PROGRESS, FakeActor, put, response
from tests.transports.listen.http.http_client import CALL, Session, get, lone_call, post
from transports.listen.http.http_endpoint import HttpEndpoint
from transports.listen.http.sse_endpoint import SseEndpoint
from transports.listen.serving.exchange import Answer, EventStream, KnownHead
from transports.listen.serving.server_sent_events import KEEP_ALIVE_S

if TYPE_CHECKING:
    from collections.abc import Mapping

ISSUER = "https://idp.example.org"
TOKENS = {
    "first": Principal(f"{ISSUER} mira", frozenset({"call"})),
    "refreshed": Principal(f"{ISSUER} mira", frozenset({"call"})),
    "more": Principal(f"{ISSUER} mira", frozenset({"call", "admin"})),
    "elsewhere": Principal(f"{ISSUER} mira", frozenset({"call"}), frozenset({"git"})),
    "other": Principal(f"{ISSUER} noor", frozenset({"call"})),
    "static": Principal("ci", frozenset({"call"})),
}
FIRST: dict[str, Any] = {"authorization": "first"}
MORE: dict[str, Any] = {"authorization": "more"}
EXPIRES_S = 600.0
CHECK_AGAIN_S = 300.0


def admit(headers: Mapping[str, str], _address: str, _path: str) -> Principal:
    return TOKENS[headers["authorization"]]


def lifetime_of(headers: Mapping[str, str]) -> TokenLifetime:
    is_static = headers["authorization"] == "static"
    return FOREVER if is_static else TokenLifetime(CHECK_AGAIN_S, EXPIRES_S)


@pytest.fixture
def endpoint(actor: FakeActor) -> HttpEndpoint:
    rules = object()
    return HttpEndpoint(actor.inbox, admit, rules=lambda: rules, lifetime_of=lifetime_of)


@pytest.fixture
def sse(actor: FakeActor) -> SseEndpoint:
    return SseEndpoint(actor.inbox, admit, lifetime_of=lifetime_of)


# --- Sessions --------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["refreshed", "more"])
async def test_session_stays_with_another_token_of_its_person(
    endpoint: HttpEndpoint, actor: FakeActor, token: str
) -> None:
    session = await Session.open(endpoint, actor, **FIRST)
    for sent in ("first", token, "first"):
        _, asked = await session.call(authorization=sent)
        assert asked.client == session.id
        assert asked.principal == TOKENS[sent]


async def test_batch_and_its_answer_say_who_sent_them(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    session = await Session.open(endpoint, actor, "2025-03-26", **FIRST)
    notice = message("notifications/x")
    assert (await answer_of(endpoint, post([notice], session, **MORE))).status == 202
    await pending_of(endpoint, post([CALL], session, **BOTH, **FIRST))
    sent = [await actor.next(FromClient) for _ in range(2)]
    assert [one.principal for one in sent] == [TOKENS["more"], TOKENS["first"]]


@pytest.mark.parametrize("token", ["other", "static"])
async def test_session_of_a_person_is_unknown_to_everybody_else(
    endpoint: HttpEndpoint, actor: FakeActor, token: str
) -> None:
    session = await Session.open(endpoint, actor, **FIRST)
    theirs = await answer_of(endpoint, post(CALL, session, **BOTH, authorization=token))
    session.id = "0" * 32
    unknown = await answer_of(endpoint, post(CALL, session, **BOTH, authorization=token))
    assert (theirs.status, theirs.body) == (404, unknown.body)


async def test_session_ends_when_its_person_sees_other_instances(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    session = await Session.open(endpoint, actor, **FIRST)
    asked = post(CALL, session, **BOTH, authorization="elsewhere")
    assert (await answer_of(endpoint, asked)).status == 404
    assert (await actor.next(ClientClosed)).client == session.id


async def test_nothing_is_said_of_the_sender_with_a_token_of_the_file(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    session = await Session.open(endpoint, actor, authorization="static")
    _, asked = await session.call(authorization="static")
    assert asked.principal is None


async def test_known_head_is_admitted_again_in_time(
    endpoint: HttpEndpoint, actor: FakeActor, autojump_clock: Any
) -> None:
    session = await Session.open(endpoint, actor, **FIRST)
    known = KnownHead()
    await pending_of(endpoint, replace(post(CALL, session, **BOTH, **FIRST), known_head=known))
    await actor.next(FromClient)
    assert known.take is not None
    body = json.dumps(CALL).encode()
    assert known.take(known, body, "") is not None
    assert (await actor.next(FromClient)).principal is TOKENS["first"]
    await trio.sleep(CHECK_AGAIN_S)
    take = known.take
    assert take(known, body, "") is None
    assert known.take is None


# --- Expiry ------------------------------------------------------------------------------------


async def test_stream_ends_when_its_token_expires_and_the_session_goes_on(
    endpoint: HttpEndpoint, actor: FakeActor, autojump_clock: Any
) -> None:
    session = await Session.open(endpoint, actor, "2025-06-18", **FIRST)
    events = await events_of(endpoint, get(session, **FIRST))
    began_s = trio.current_time()
    comments = 0
    while await chunk(events) is not None:
        comments += 1
    assert trio.current_time() - began_s == pytest.approx(EXPIRES_S - began_s)
    assert comments == (EXPIRES_S - began_s) // KEEP_ALIVE_S - (EXPIRES_S % KEEP_ALIVE_S == 0)
    assert await chunk(events) is None
    events.close()
    _, asked = await session.call(authorization="refreshed")
    assert asked.client == session.id


async def test_call_in_flight_comes_to_its_end(
    endpoint: HttpEndpoint, actor: FakeActor, autojump_clock: Any
) -> None:
    session = await Session.open(endpoint, actor, "2025-06-18", **FIRST)
    pending, asked = await session.call(**FIRST)
    put(asked.reply_to, PROGRESS)
    events = await outcome_of(pending, EventStream)
    assert await chunk(events)
    await trio.sleep(EXPIRES_S + 1)
    put(asked.reply_to, response(7, {"x": 1}))
    assert data_of(await chunk(events))[0]["result"] == {"x": 1}


async def test_subscription_without_a_session_ends_with_its_token(
    endpoint: HttpEndpoint, actor: FakeActor, autojump_clock: Any
) -> None:
    headers = {**BOTH, **FIRST, "mcp_protocol_version": STATELESS_REVISION}
    listen = post(message("subscriptions/listen", 7), **headers, mcp_method="subscriptions/listen")
    pending, asked = await lone_call(endpoint, actor, listen)
    put(asked.reply_to, PROGRESS)
    events = await outcome_of(pending, EventStream)
    while await chunk(events) is not None:
        pass
    assert trio.current_time() == pytest.approx(EXPIRES_S)
    events.close()
    await actor.next(ClientClosed)


async def test_sse_session_ends_with_the_token_that_opened_it(
    sse: SseEndpoint, actor: FakeActor, autojump_clock: Any
) -> None:
    events = await events_of(sse, request("GET", "/sse", **FIRST))
    opened = await actor.next(ClientOpened)
    query = f"session_id={opened.client}"
    for sent in ("more", "first"):
        known = KnownHead()
        asked = request("POST", "/messages", CALL, query, **JSON, authorization=sent)
        assert (await answer_of(sse, replace(asked, known_head=known))).status == 202
        assert (await actor.next(FromClient)).principal == TOKENS[sent]
        assert known.take is None
    while await chunk(events) is not None:
        pass
    events.close()
    await actor.next(ClientClosed)
    assert trio.current_time() == pytest.approx(EXPIRES_S)


async def test_answer_to_a_call_of_a_person_is_an_answer(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    session = await Session.open(endpoint, actor, **FIRST)
    pending, asked = await session.call(**MORE)
    put(asked.reply_to, response(7))
    assert (await outcome_of(pending, Answer)).status == 200

"""Headers of clients that some instance forwards: they come to the actor with each request."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from router.messages.events import ClientOpened, FromClient
from router.messages.revisions import STATELESS_REVISION
from tests.transports.listen.endpoint_client import (
    BOTH,
    JSON,
    answer_of,
    events_of,
    message,
    pending_of,
    request,
)
from tests.transports.listen.fake_actor import admit
from tests.transports.listen.http.http_client import CALL, Session, lone_call, post
from tests.transports.listen.http.test_places import FakePlaces
from transports.listen.http.http_endpoint import HttpEndpoint
from transports.listen.http.posts.post_head import forwarded_of
from transports.listen.http.sse_endpoint import SseEndpoint
from transports.listen.serving.exchange import Answer, KnownHead

if TYPE_CHECKING:
    from tests.transports.listen.fake_actor import FakeActor

TENANT: Any = {"x_tenant": "t1", "x_other": "o1"}


@pytest.fixture
def places() -> FakePlaces:
    places = FakePlaces()
    places.forwarded_names = frozenset({"x-tenant", "x-absent"})
    return places


@pytest.fixture
def http(actor: FakeActor, places: FakePlaces) -> HttpEndpoint:
    return HttpEndpoint(actor.inbox, admit, places)


def forwarded(event: FromClient) -> dict[str, str] | None:
    return None if event.params is None else event.params.forwarded


@pytest.mark.parametrize("value", ["é", "日本"])
def test_a_value_that_could_not_be_sent_as_it_came_is_left_out(value: str) -> None:
    assert forwarded_of({"x-tenant": value}, ("x-tenant",)) is None


async def test_request_of_a_session_brings_the_named_headers_alone(
    http: HttpEndpoint, actor: FakeActor
) -> None:
    session = await Session.open(http, actor, authorization="alice")
    _, asked = await session.call(**TENANT, authorization="alice")
    assert forwarded(asked) == {"x-tenant": "t1"}
    assert asked.params is not None
    assert json.loads(bytes(asked.params.raw)) == CALL["params"]


async def test_each_request_of_a_session_brings_its_own(
    http: HttpEndpoint, actor: FakeActor
) -> None:
    session = await Session.open(http, actor)
    found = [
        forwarded((await session.call(message("ping", n), x_tenant=f"t{n}"))[1]) for n in (1, 2)
    ]
    assert found == [{"x-tenant": "t1"}, {"x-tenant": "t2"}]
    assert forwarded((await session.call(message("ping", 3)))[1]) is None


async def test_request_without_a_session_brings_them(http: HttpEndpoint, actor: FakeActor) -> None:
    _, asked = await lone_call(http, actor, post(CALL, **TENANT))
    assert forwarded(asked) == {"x-tenant": "t1"}


async def test_request_of_the_stateless_revision_brings_them(
    http: HttpEndpoint, actor: FakeActor
) -> None:
    named = {"mcp_protocol_version": STATELESS_REVISION, "mcp_method": "tools/call"}
    meta = {
        "io.modelcontextprotocol/protocolVersion": STATELESS_REVISION,
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    call = message("tools/call", 7, name="echo", _meta=meta)
    sent = post(call, **TENANT, **named, mcp_name="echo", **BOTH)
    _, asked = await lone_call(http, actor, sent)
    assert forwarded(asked) == {"x-tenant": "t1"}


async def test_requests_of_a_batch_bring_them(http: HttpEndpoint, actor: FakeActor) -> None:
    session = await Session.open(http, actor, "2025-03-26")
    batch = [message("ping", 1), message("ping", 2)]
    await pending_of(http, post(batch, session, **TENANT, **BOTH))
    events = [await actor.next(FromClient) for _ in batch]
    assert [forwarded(event) for event in events] == [{"x-tenant": "t1"}] * 2


async def test_notification_brings_none(http: HttpEndpoint, actor: FakeActor) -> None:
    session = await Session.open(http, actor)
    notice = {"jsonrpc": "2.0", "method": "notifications/roots/list_changed"}
    await answer_of(http, post(notice, session, **TENANT))
    assert (await actor.next(FromClient)).params is None


async def test_without_a_name_nothing_is_read(
    http: HttpEndpoint, actor: FakeActor, places: FakePlaces
) -> None:
    places.forwarded_names = frozenset()
    session = await Session.open(http, actor)
    _, asked = await session.call(**TENANT)
    assert asked.params is None


async def test_posts_of_http_sse_bring_them(actor: FakeActor, places: FakePlaces) -> None:
    sse = SseEndpoint(actor.inbox, admit, places)
    await events_of(sse, request("GET", "/sse"))
    opened = await actor.next(ClientOpened)
    query, known = f"session_id={opened.client}", KnownHead()
    sent = replace(
        request("POST", "/messages", CALL, query, **{**JSON, **TENANT}), known_head=known
    )
    for tenant in ("t1", "t2"):
        headers = {**sent.headers, "x-tenant": tenant}
        assert isinstance(await sse.respond(replace(sent, headers=headers)), Answer)
        assert forwarded(await actor.next(FromClient)) == {"x-tenant": tenant}
    assert known.take is None

"""HTTP+SSE, as a conversation between a client, the endpoint and the actor."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import trio

from router.messages.commands import Principal
from router.messages.events import ClientClosed, ClientOpened, FromClient
from tests.transports.listen.endpoint_client import (
    JSON,
    answer_of,
    chunk,
    data_of,
    detail,
    error,
    events_of,
    message,
    request,
)
from tests.transports.listen.fake_actor import (
    CHANGED,
    PROGRESS,
    QUESTION,
    FakeActor,
    admit,
    put,
    response,
)
from transports.listen.http import frame_stream
from transports.listen.http.sessions.session_table import SessionLimits
from transports.listen.http.sse_endpoint import SseEndpoint
from transports.listen.serving.exchange import HttpRequest
from transports.listen.serving.server_sent_events import KEEP_ALIVE

if TYPE_CHECKING:
    from transports.listen.serving.exchange import EventStream

CALL = message("tools/call", 7, name="echo")


@pytest.fixture
def endpoint(actor: FakeActor) -> SseEndpoint:
    return SseEndpoint(actor.inbox, admit)


def post(body: Any, session_id: str, /, **headers: str) -> HttpRequest:
    query = f"session_id={session_id}"
    return request("POST", "/messages", body, query, **{**JSON, **headers})


async def opened(
    endpoint: SseEndpoint, actor: FakeActor, **headers: str
) -> tuple[EventStream, ClientOpened]:
    events = await events_of(endpoint, request("GET", "/sse", **headers))
    return events, await actor.next(ClientOpened)


# --- The stream ------------------------------------------------------------------------------


async def test_stream_says_where_to_post_first(endpoint: SseEndpoint, actor: FakeActor) -> None:
    events, client = await opened(endpoint, actor)
    assert not client.one_shot
    assert re.fullmatch("[0-9a-f]{32}", client.client)
    target = f"event: endpoint\ndata: /messages?session_id={client.client}\n\n"
    assert events.opening == target.encode()
    assert (b"content-type", b"text/event-stream") in events.headers
    assert (b"x-content-type-options", b"nosniff") in events.headers


async def test_mount_path_is_part_of_the_post_address(
    endpoint: SseEndpoint, actor: FakeActor
) -> None:
    asked = request("GET", "/sse")
    mounted = HttpRequest("GET", "/sse", asked.headers, asked.read_body, root_path="/router")
    events = await events_of(endpoint, mounted)
    assert b"data: /router/messages?session_id=" in events.opening


async def test_everything_goes_out_on_the_stream_in_order(
    endpoint: SseEndpoint, actor: FakeActor
) -> None:
    events, client = await opened(endpoint, actor)
    answer = await answer_of(endpoint, post(CALL, client.client))
    assert (answer.status, answer.body) == (202, b"Accepted")
    asked = await actor.next(FromClient)
    assert asked.client == client.client
    assert asked.reply_to is client.outbox
    put(asked.reply_to, PROGRESS, QUESTION)
    put(client.outbox, CHANGED)
    put(asked.reply_to, response(7, {"x": 1}))
    sent = await chunk(events)
    assert [one.get("method", one.get("result")) for one in data_of(sent)] == [
        "notifications/progress",
        "roots/list",
        "notifications/tools/list_changed",
        {"x": 1},
    ]
    assert sent is not None
    assert sent.startswith(b'event: message\ndata: {"jsonrpc":"2.0",')
    assert b"id: " not in sent


async def test_silence_is_broken_by_comments(
    endpoint: SseEndpoint, actor: FakeActor, autojump_clock: trio.testing.MockClock
) -> None:
    events, client = await opened(endpoint, actor)
    assert await chunk(events) == KEEP_ALIVE
    put(client.outbox, CHANGED)
    assert len(data_of(await chunk(events))) == 1


async def test_end_of_the_stream_is_the_end_of_the_session(
    endpoint: SseEndpoint, actor: FakeActor
) -> None:
    events, client = await opened(endpoint, actor)
    events.close()
    assert (await actor.next(ClientClosed)).client == client.client
    assert (await answer_of(endpoint, post(CALL, client.client))).status == 404
    assert repr(endpoint) == "<SseEndpoint sessions=0>"


async def test_session_ends_once_its_owner_may_do_something_else(actor: FakeActor) -> None:
    rules = {"a": Principal("a")}
    endpoint = SseEndpoint(actor.inbox, lambda *_: rules["a"])
    events, client = await opened(endpoint, actor)
    assert client.principal == Principal("a")
    rules["a"] = Principal("a", frozenset({"call"}))
    assert (await answer_of(endpoint, post(CALL, client.client))).status == 404
    assert (await actor.next(ClientClosed)).client == client.client
    assert await chunk(events) is None


async def test_stream_ends_as_soon_as_its_owner_is_not_known_any_more(
    endpoint: SseEndpoint, actor: FakeActor
) -> None:
    theirs, client = await opened(endpoint, actor, authorization="a")
    others, _ = await opened(endpoint, actor, authorization="b")
    endpoint.end_revoked(lambda principal: principal.name == "b")
    assert await chunk(theirs) is None
    assert (await actor.next(ClientClosed)).client == client.client
    assert repr(endpoint) == "<SseEndpoint sessions=1>"
    others.close()


async def test_frames_put_before_the_actor_ends_the_session_are_still_sent(
    endpoint: SseEndpoint, actor: FakeActor
) -> None:
    events, client = await opened(endpoint, actor)
    put(client.outbox, CHANGED)
    client.outbox.close()
    assert events.opening
    assert len(data_of(await chunk(events))) == 1
    assert await chunk(events) is None
    with pytest.raises(trio.BrokenResourceError):
        put(client.outbox, CHANGED)


async def test_reader_that_is_too_slow_is_would_block(
    endpoint: SseEndpoint, actor: FakeActor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_stream, "UNREAD_FRAMES", 2)
    _, client = await opened(endpoint, actor)
    put(client.outbox, PROGRESS, PROGRESS)
    with pytest.raises(trio.WouldBlock):
        put(client.outbox, PROGRESS)


async def test_end_ends_all_streams_and_later_ones_are_503(
    endpoint: SseEndpoint, actor: FakeActor
) -> None:
    events, _ = await opened(endpoint, actor)
    endpoint.end()
    assert await chunk(events) is None
    events.close()
    assert (await answer_of(endpoint, request("GET", "/sse"))).status == 503


async def test_too_many_sessions_are_503(actor: FakeActor) -> None:
    endpoint = SseEndpoint(actor.inbox, admit, limits=SessionLimits(per_principal=1))
    events, _ = await opened(endpoint, actor, authorization="a")
    asked = request("GET", "/sse", authorization="a")
    assert (await answer_of(endpoint, asked)).status == 503
    await opened(endpoint, actor, authorization="b")
    events.close()
    await actor.next(ClientClosed)
    await opened(endpoint, actor, authorization="a")


async def test_stream_that_is_cancelled_while_it_opens_leaves_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    actor = FakeActor(1)
    endpoint = SseEndpoint(actor.inbox, admit)
    await events_of(endpoint, request("GET", "/sse"))
    with trio.move_on_after(5) as scope:
        await endpoint.respond(request("GET", "/sse"))
    assert scope.cancelled_caught
    assert repr(endpoint) == "<SseEndpoint sessions=1>"
    async with trio.open_nursery() as nursery:
        await nursery.start(endpoint.run)
        await actor.next(ClientOpened)
        await actor.next(ClientClosed)
        nursery.cancel_scope.cancel()


async def test_farewells_that_had_to_wait_are_sent_when_it_stops(
    autojump_clock: trio.testing.MockClock,
) -> None:
    actor = FakeActor(1)
    endpoint = SseEndpoint(actor.inbox, admit)
    async with trio.open_nursery() as outer:
        async with trio.open_nursery() as nursery:
            await nursery.start(endpoint.run)
            await events_of(endpoint, request("GET", "/sse"))
            endpoint.end()
            outer.start_soon(actor.next, ClientOpened)
            nursery.cancel_scope.cancel()
        await actor.next(ClientClosed)


async def test_actor_that_takes_no_farewell_does_not_hold_up_the_stop(
    autojump_clock: trio.testing.MockClock,
) -> None:
    endpoint = SseEndpoint(FakeActor(1).inbox, admit)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            await nursery.start(endpoint.run)
            await events_of(endpoint, request("GET", "/sse"))
            endpoint.end()
            nursery.cancel_scope.cancel()


# --- Messages --------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/sse", "/messages"])
async def test_refusal_of_admission_is_answered(endpoint: SseEndpoint, path: str) -> None:
    answer = await answer_of(endpoint, request("GET", path, authorization="nobody"))
    assert (answer.status, detail(answer)) == (401, "Who are you?")


async def test_session_of_somebody_else_is_as_unknown_as_any(
    endpoint: SseEndpoint, actor: FakeActor
) -> None:
    _, client = await opened(endpoint, actor, authorization="a")
    theirs = await answer_of(endpoint, post(CALL, client.client, authorization="b"))
    unknown = await answer_of(endpoint, post(CALL, "0" * 32, authorization="b"))
    assert theirs == unknown
    assert theirs.status == 404
    assert actor.is_quiet()


async def test_post_without_session_id_is_400(endpoint: SseEndpoint) -> None:
    assert (await answer_of(endpoint, request("POST", "/messages", CALL, **JSON))).status == 400


@pytest.mark.parametrize(
    ("body", "code"), [(b"nonsense", -32700), (b"42", -32600), (b"[{}]", -32600)]
)
async def test_invalid_message_is_400(
    endpoint: SseEndpoint, actor: FakeActor, body: bytes, code: int
) -> None:
    _, client = await opened(endpoint, actor)
    answer = await answer_of(endpoint, post(body, client.client))
    assert (answer.status, error(answer)["code"]) == (400, code)
    assert actor.is_quiet()


async def test_batch_is_taken_once_its_revision_is_agreed(
    endpoint: SseEndpoint, actor: FakeActor
) -> None:
    _, client = await opened(endpoint, actor)
    batch = [message("ping", 1), message("ping", 2)]
    assert (await answer_of(endpoint, post(batch, client.client))).status == 400
    await answer_of(endpoint, post(message("initialize", 0), client.client))
    asked = await actor.next(FromClient)
    put(asked.reply_to, response(9, {"protocolVersion": "2024-11-05"}))
    put(asked.reply_to, response(0, {"protocolVersion": "2025-03-26"}))
    assert (await answer_of(endpoint, post(batch, client.client))).status == 202
    assert [(await actor.next(FromClient)).frame.id for _ in batch] == [1, 2]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/sse", 405),
        ("HEAD", "/sse", 405),
        ("GET", "/messages", 405),
        ("OPTIONS", "/messages", 405),
        ("GET", "/", 404),
        ("POST", "/mcp", 404),
    ],
)
async def test_other_methods_and_paths_are_refused(
    endpoint: SseEndpoint, method: str, path: str, status: int
) -> None:
    assert (await answer_of(endpoint, request(method, path))).status == status


async def test_post_of_anything_but_json_is_415(endpoint: SseEndpoint, actor: FakeActor) -> None:
    _, client = await opened(endpoint, actor)
    answer = await answer_of(endpoint, post(CALL, client.client, content_type="text/plain"))
    assert answer.status == 415


async def test_session_that_ends_while_a_body_is_read_is_404(
    endpoint: SseEndpoint, actor: FakeActor
) -> None:
    events, client = await opened(endpoint, actor)

    async def read_body() -> bytes:
        await trio.lowlevel.checkpoint()
        events.close()
        return b"{}"

    asked = post(CALL, client.client)
    ending = HttpRequest("POST", asked.path, asked.headers, read_body, asked.query)
    assert (await answer_of(endpoint, ending)).status == 404


async def test_actor_that_is_gone_is_503(endpoint: SseEndpoint, actor: FakeActor) -> None:
    _, client = await opened(endpoint, actor)
    actor.die()
    assert (await answer_of(endpoint, post(CALL, client.client))).status == 503
    assert (await answer_of(endpoint, request("GET", "/sse"))).status == 503


async def test_no_stream_opens_while_the_router_drains(actor: FakeActor) -> None:
    endpoint = SseEndpoint(actor.inbox, admit, is_draining=lambda: True)
    refused = await answer_of(endpoint, request("GET", "/sse"))
    assert refused.status == 503
    assert dict(refused.headers)[b"retry-after"]
    assert actor.is_quiet()

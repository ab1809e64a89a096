"""Event streams of streamable HTTP sessions: ids, resumption, and the stream of a GET."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from router.messages.events import FromClient
from router.messages.frames import ErrorResponse
from tests.transports.listen.endpoint_client import (
    EVENTS,
    answer_of,
    chunk,
    data_of,
    events_of,
    ids_of,
    request,
)
from tests.transports.listen.fake_actor import (
    CHANGED,
    PROGRESS,
    QUESTION,
    FakeActor,
    put,
    response,
)
from tests.transports.listen.http.http_client import Session, get
from transports.listen.http import frame_stream
from transports.listen.http.sessions import http_sessions

if TYPE_CHECKING:
    from transports.listen.http.http_endpoint import HttpEndpoint

# --- Streams of a session --------------------------------------------------------------------


async def test_stream_of_the_latest_revision_is_primed(session: Session) -> None:
    events, _ = await session.streaming_call()
    assert events.opening == b"id: 2-0\nretry: 1000\ndata: \n\n"
    assert ids_of(await chunk(events)) == ["2-1"]


async def test_stream_of_an_older_revision_is_not_primed(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    session = await Session.open(endpoint, actor, "2025-06-18")
    events, _ = await session.streaming_call()
    assert events.opening == b""
    assert ids_of(await chunk(events)) == ["2-1"]


async def test_call_is_resumed_after_the_last_event(
    endpoint: HttpEndpoint, actor: FakeActor, session: Session
) -> None:
    events, asked = await session.streaming_call()
    await chunk(events)
    put(asked.reply_to, PROGRESS)
    lost = ids_of(await chunk(events))
    events.close()
    assert actor.is_quiet()
    put(asked.reply_to, PROGRESS)
    resumed = await events_of(endpoint, get(session, last_event_id="2-1"))
    assert resumed.opening == b""
    assert ids_of(await chunk(resumed)) == [*lost, "2-3"]
    put(asked.reply_to, response(7))
    assert data_of(await chunk(resumed))[0]["id"] == 7
    assert await chunk(resumed) is None
    resumed.close()


async def test_answer_that_came_meanwhile_is_resumed(
    endpoint: HttpEndpoint, session: Session
) -> None:
    events, asked = await session.streaming_call()
    events.close()
    put(asked.reply_to, response(7))
    for _ in range(2):
        resumed = await events_of(endpoint, get(session, last_event_id="2-0"))
        assert ids_of(await chunk(resumed)) == ["2-1", "2-2"]
        assert await chunk(resumed) is None
        resumed.close()


async def test_resuming_takes_over_from_a_connection_that_seems_open(
    endpoint: HttpEndpoint, session: Session
) -> None:
    first = await events_of(endpoint, get(session))
    second = await events_of(endpoint, get(session, last_event_id="0-0"))
    session.outbox.send_nowait(CHANGED)
    assert await chunk(first) is None
    first.close()
    assert ids_of(await chunk(second)) == ["0-1"]


async def test_only_the_newest_ended_streams_are_kept(
    endpoint: HttpEndpoint, session: Session
) -> None:
    for _ in range(http_sessions.KEPT_STREAMS + 2):
        events, asked = await session.streaming_call()
        put(asked.reply_to, response(7))
        events.close()
    await session.streaming_call()
    kept = await events_of(endpoint, get(session, last_event_id="4-0"))
    assert ids_of(await chunk(kept)) == ["4-1", "4-2"]
    fresh = await events_of(endpoint, get(session, last_event_id="3-0"))
    assert fresh.opening.startswith(b"id: 0-0\n")


async def test_forgotten_question_is_refused(
    endpoint: HttpEndpoint, actor: FakeActor, monkeypatch: pytest.MonkeyPatch, session: Session
) -> None:
    monkeypatch.setattr(frame_stream, "KEPT_FRAMES", 3)
    events, asked = await session.streaming_call()
    events.close()
    put(asked.reply_to, QUESTION, PROGRESS, PROGRESS, PROGRESS)
    refused = await actor.next(FromClient)
    assert isinstance(refused.frame, ErrorResponse)
    assert refused.frame.id == QUESTION.id
    resumed = await events_of(endpoint, get(session, last_event_id="2-0"))
    assert ids_of(await chunk(resumed)) == ["2-3", "2-4", "2-5"]


async def test_get_stream_carries_what_belongs_to_no_request(
    endpoint: HttpEndpoint, session: Session
) -> None:
    session.outbox.send_nowait(CHANGED)
    session.outbox.send_nowait(CHANGED)
    events = await events_of(endpoint, get(session))
    assert events.opening.startswith(b"id: 0-0\n")
    assert ids_of(await chunk(events)) == ["0-1"]
    session.outbox.send_nowait(CHANGED)
    assert ids_of(await chunk(events)) == ["0-2"]


async def test_second_get_stream_is_409_until_the_first_is_gone(
    endpoint: HttpEndpoint, session: Session
) -> None:
    first = await events_of(endpoint, get(session))
    assert (await answer_of(endpoint, get(session))).status == 409
    assert (await answer_of(endpoint, get(session, last_event_id="x"))).status == 409
    first.close()
    await events_of(endpoint, get(session))


async def test_get_that_takes_no_events_is_406_and_without_session_400(
    endpoint: HttpEndpoint, session: Session
) -> None:
    assert (await answer_of(endpoint, get(session, accept="application/json"))).status == 406
    assert (await answer_of(endpoint, request("GET", "/mcp", **EVENTS))).status == 400
    assert (await answer_of(endpoint, request("DELETE", "/mcp"))).status == 400


async def test_reader_that_is_too_slow_is_would_block(
    endpoint: HttpEndpoint, monkeypatch: pytest.MonkeyPatch, session: Session
) -> None:
    monkeypatch.setattr(frame_stream, "UNREAD_FRAMES", 2)
    for _ in range(3):
        session.outbox.send_nowait(PROGRESS)
    await events_of(endpoint, get(session))
    with pytest.raises(trio.WouldBlock):
        session.outbox.send_nowait(PROGRESS)

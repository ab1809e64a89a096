"""The session table: finding, counting, limiting and expiring sessions."""

from __future__ import annotations

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from router.messages.commands import Principal
from router.messages.errors import HttpRefusal
from router.messages.events import ClientClosed, ClientOpened
from tests.transports.listen.endpoint_client import (
    JSON,
    answer_of,
    message,
    outcome_of,
    pending_of,
    request,
)
from tests.transports.listen.fake_actor import FakeActor, admit, put, response
from tests.transports.listen.http.http_client import CALL, Session, post
from transports.listen.http.http_endpoint import HttpEndpoint
from transports.listen.http.sessions.session_table import SessionLimits, SessionTable
from transports.listen.serving.exchange import Answer


@attrs.define(eq=False)
class BareSession:
    """A session that leaves its table when it ends, and is in use when the test says so."""

    id: str
    table: SessionTable[BareSession]
    principal: Principal = attrs.field(factory=lambda: Principal("a"))
    view: str | None = None
    used_at_s: float = 0.0
    in_use: bool = False

    def is_busy(self) -> bool:
        return self.in_use

    def end(self) -> None:
        self.table.remove(self)


def table_of(*ids: str) -> tuple[SessionTable[BareSession], list[BareSession]]:
    """Return a table of sessions that were opened at 0 s, 1 s, ... and may be idle for 10 s."""
    table = SessionTable[BareSession](SessionLimits(idle_s=10.0))
    sessions = [BareSession(one, table, used_at_s=float(at)) for at, one in enumerate(ids)]
    for session in sessions:
        table.add(session)
    return table, sessions


# --- Idle sessions ---------------------------------------------------------------------------


def test_session_expires_when_its_idle_time_is_over() -> None:
    table, (first, second, _) = table_of("x", "y", "z")
    assert table.expired(9.9) == []
    assert table.expired(11.0) == [first, second]


def test_session_that_is_used_expires_after_all_others() -> None:
    table, (first, second, _) = table_of("x", "y", "z")
    table.touch(first, 5.0)
    assert table.expired(11.0) == [second]
    assert list(table)[-1] is first


def test_next_expiry_is_that_of_the_least_recently_used_session() -> None:
    table, (first, _) = table_of("x", "y")
    assert table.next_expiry_s(3.0) == 10.0
    table.touch(first, 3.0)
    assert table.next_expiry_s(3.0) == 11.0


def test_next_expiry_of_an_empty_table_is_that_of_a_session_opened_now() -> None:
    table, _ = table_of()
    assert table.next_expiry_s(3.0) == 13.0


# --- Ends ------------------------------------------------------------------------------------


def test_session_that_is_removed_twice_is_counted_down_once() -> None:
    table = SessionTable[BareSession](SessionLimits(per_principal=2))
    first, second, third = (BareSession(one, table, in_use=True) for one in "xyz")
    table.add(first)
    table.add(second)
    table.remove(first)
    table.remove(first)
    table.add(third)
    with pytest.raises(HttpRefusal):
        table.make_room(first.principal)


def test_sessions_may_end_while_all_are_visited() -> None:
    table, sessions = table_of("x", "y", "z")
    for session in table:
        session.end()
    assert len(sessions) == 3
    assert len(table) == 0


def test_sessions_at_places_that_are_gone_end_and_those_at_the_default_place_stay() -> None:
    table, (default, work, home) = table_of("x", "y", "z")
    work.view, home.view = "work", "home"
    table.end_vanished(lambda view, principal: (view, principal.name) == ("home", "a"))
    assert list(table) == [default, home]
    home.principal = Principal("b")
    table.end_vanished(lambda view, principal: (view, principal.name) == ("home", "a"))
    assert list(table) == [default]


# --- Room ------------------------------------------------------------------------------------

A, B, C = Principal("a"), Principal("b"), Principal("c")


def full_table(
    *owners: Principal, per_principal: int = 99
) -> tuple[SessionTable[BareSession], list[BareSession]]:
    """Return a table that is full with a session of each of these, the longest idle first."""
    limits = SessionLimits(total=len(owners), per_principal=per_principal)
    table = SessionTable[BareSession](limits)
    sessions = [BareSession(str(at), table, owner) for at, owner in enumerate(owners)]
    for session in sessions:
        table.add(session)
    return table, sessions


def test_nobody_has_to_go_while_there_is_room() -> None:
    table, sessions = table_of("x", "y", "z")
    table.make_room(A)
    assert list(table) == sessions


def test_longest_idle_session_of_who_has_all_of_its_own_makes_room() -> None:
    table, (others, first, second) = full_table(B, A, A, per_principal=2)
    table.make_room(A)
    assert list(table) == [others, second]
    assert first not in table


def test_session_in_use_makes_no_room() -> None:
    table, (stream, call, idle) = full_table(A, A, A, per_principal=3)
    stream.in_use = call.in_use = True
    table.make_room(A)
    assert list(table) == [stream, call]
    assert idle not in table


def test_new_session_is_refused_once_all_others_are_in_use() -> None:
    table, sessions = full_table(A, A, per_principal=2)
    for session in sessions:
        session.in_use = True
    with pytest.raises(HttpRefusal, match="Too many sessions") as refused:
        table.make_room(A)
    assert refused.value.status == 503
    assert list(table) == sessions


def test_who_has_the_most_sessions_makes_room_for_all() -> None:
    table, (of_b, first, second) = full_table(B, A, A)
    table.make_room(C)
    assert list(table) == [of_b, second]
    assert first not in table


def test_who_has_as_many_as_anybody_else_makes_room_for_itself() -> None:
    table, (of_b, of_a) = full_table(B, A)
    table.make_room(A)
    assert list(table) == [of_b]
    assert of_a not in table


# --- As the endpoint uses it -----------------------------------------------------------------


async def test_session_with_a_call_stays_and_an_idle_one_makes_room(
    actor: FakeActor, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint = HttpEndpoint(actor.inbox, admit, limits=SessionLimits(total=9, per_principal=2))
    async with trio.open_nursery() as nursery:
        await nursery.start(endpoint.run)
        calling = await Session.open(endpoint, actor, authorization="a")
        pending, asked = await calling.call(authorization="a")
        idle = await Session.open(endpoint, actor, authorization="a")
        sent = post(message("initialize", 0, protocolVersion="2025-11-25"), authorization="a")
        new = await pending_of(endpoint, sent)
        assert (await actor.next(ClientClosed)).client == idle.id
        await actor.next(ClientOpened)
        await actor.answer({"protocolVersion": "2025-11-25"})
        assert (await outcome_of(new, Answer)).status == 200
        gone = await answer_of(endpoint, post(CALL, idle, authorization="a"))
        assert (gone.status, b"initialize again" in gone.body) == (404, True)
        put(asked.reply_to, response(7))
        assert (await outcome_of(pending, Answer)).status == 200
        await wait_all_tasks_blocked()
        assert caplog.text.count("make room for new ones (so far 1 since") == 1
        nursery.cancel_scope.cancel()


async def test_too_many_sessions_in_use_are_503_until_one_is_idle(actor: FakeActor) -> None:
    endpoint = HttpEndpoint(actor.inbox, admit, limits=SessionLimits(total=3, per_principal=2))
    initialize = message("initialize", 0)
    first = await Session.open(endpoint, actor, authorization="a")
    pending, asked = await first.call(authorization="a")
    await (await Session.open(endpoint, actor, authorization="a")).call(authorization="a")
    refused = await answer_of(endpoint, post(initialize, authorization="a"))
    assert refused.status == 503
    assert dict(refused.headers)[b"retry-after"]
    await (await Session.open(endpoint, actor, authorization="b")).call(authorization="b")
    assert (await answer_of(endpoint, post(initialize, authorization="b"))).status == 503
    put(asked.reply_to, response(7))
    await outcome_of(pending, Answer)
    await pending_of(endpoint, post(initialize, authorization="a"))
    assert (await actor.next(ClientClosed)).client == first.id


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_session_of_somebody_else_is_as_unknown_as_any(
    endpoint: HttpEndpoint, actor: FakeActor, method: str
) -> None:
    session = await Session.open(endpoint, actor, authorization="a")
    theirs = await answer_of(
        endpoint,
        request(method, "/mcp", CALL, mcp_session_id=session.id, authorization="b", **JSON),
    )
    unknown = await answer_of(
        endpoint, request(method, "/mcp", CALL, mcp_session_id="0" * 32, authorization="b", **JSON)
    )
    assert theirs == unknown
    assert theirs.status == 404
    assert actor.is_quiet()


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_session_ends_once_its_owner_may_do_something_else(
    actor: FakeActor, method: str
) -> None:
    """The client initializes again, and has the permissions of now."""
    rules = {"a": Principal("a")}
    endpoint = HttpEndpoint(actor.inbox, lambda *_: rules["a"])
    session = await Session.open(endpoint, actor)
    rules["a"] = Principal("a")
    pending, asked = await session.call()
    put(asked.reply_to, response(7))
    await outcome_of(pending, Answer)
    rules["a"] = Principal("a", frozenset({"call"}))
    wanted = request(method, "/mcp", CALL, mcp_session_id=session.id, **JSON)
    assert (await answer_of(endpoint, wanted)).status == 404
    assert (await actor.next(ClientClosed)).client == session.id
    assert "sessions=0" in repr(endpoint)

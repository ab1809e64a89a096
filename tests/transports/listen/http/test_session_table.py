"""The session table: finding, counting, limiting and expiring sessions."""

from __future__ import annotations

import attrs
import pytest

from router.messages.commands import Principal
from router.messages.errors import HttpRefusal
from router.messages.events import ClientClosed
from tests.transports.listen.endpoint_client import JSON, answer_of, message, outcome_of, request
from tests.transports.listen.fake_actor import FakeActor, admit, put, response
from tests.transports.listen.http.http_client import CALL, Session, post
from transports.listen.http.http_endpoint import HttpEndpoint
from transports.listen.http.session_table import SessionLimits, SessionTable
from transports.listen.serving.exchange import Answer


@attrs.define(eq=False)
class BareSession:
    """A session that does nothing but leave its table when it ends."""

    id: str
    table: SessionTable[BareSession]
    principal: Principal = attrs.field(factory=lambda: Principal("a"))
    view: str | None = None
    used_at_s: float = 0.0

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
    first, second = BareSession("x", table), BareSession("y", table)
    table.add(first)
    table.add(second)
    table.remove(first)
    table.remove(first)
    table.add(BareSession("z", table))
    with pytest.raises(HttpRefusal):
        table.check_capacity(first.principal)


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


# --- As the endpoint uses it -----------------------------------------------------------------


async def test_too_many_sessions_are_503_until_one_ends(actor: FakeActor) -> None:
    limits = SessionLimits(total=3, per_principal=2)
    endpoint = HttpEndpoint(actor.inbox, admit, limits=limits)
    first = await Session.open(endpoint, actor, authorization="a")
    await Session.open(endpoint, actor, authorization="a")
    initialize = message("initialize", 0)
    refused = await answer_of(endpoint, post(initialize, authorization="a"))
    assert refused.status == 503
    assert dict(refused.headers)[b"retry-after"]
    await Session.open(endpoint, actor, authorization="b")
    assert (await answer_of(endpoint, post(initialize, authorization="b"))).status == 503
    first.outbox.close()
    await actor.next(ClientClosed)
    await Session.open(endpoint, actor, authorization="a")


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
    endpoint = HttpEndpoint(actor.inbox, lambda _: rules["a"])
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

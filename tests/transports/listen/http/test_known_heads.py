"""A head that comes again: it is admitted once, and what it named may have changed since."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing
from msgspec.structs import replace

from router.messages.commands import Principal
from router.messages.errors import HttpRefusal
from router.messages.events import ClientClosed, ClientOpened, FromClient
from tests.transports.listen.endpoint_client import BOTH, JSON, answer_of, events_of, request
from tests.transports.listen.http.http_client import CALL, Session, post
from transports.listen.http.http_endpoint import HttpEndpoint
from transports.listen.http.sessions.session_table import SessionLimits
from transports.listen.http.sse_endpoint import SseEndpoint
from transports.listen.serving.exchange import JSON_TYPE, Answer, KnownHead, PendingResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.transports.listen.fake_actor import FakeActor
    from transports.listen.serving.exchange import Endpoint, HttpRequest

CALL_BYTES = json.dumps(CALL).encode()
NOTICE = b'{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}'


class Rules:
    """Rules of admission that may change; they count how often they are asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.current = object()
        self.refused_addresses: set[str] = set()

    def admit(self, _headers: Mapping[str, str], address: str, _path: str) -> Principal:
        self.asked += 1
        if address in self.refused_addresses:
            raise HttpRefusal(403, "Not from there")
        return Principal("a")

    def change(self) -> None:
        self.current = object()


@pytest.fixture
def rules() -> Rules:
    return Rules()


@pytest.fixture
def limits() -> SessionLimits:
    return SessionLimits()


@pytest.fixture
def endpoint(rules: Rules, actor: FakeActor, limits: SessionLimits) -> HttpEndpoint:
    return HttpEndpoint(actor.inbox, rules.admit, rules=lambda: rules.current, limits=limits)


@pytest.fixture
async def asked(endpoint: HttpEndpoint, actor: FakeActor) -> HttpRequest:
    """Return a call of a session, on a connection that knows its head from the call before."""
    session = await Session.open(endpoint, actor)
    known = replace(post(CALL, session, **BOTH), known_head=KnownHead())
    await status_of(endpoint, actor, known)
    return known


async def status_of(endpoint: Endpoint, actor: FakeActor, asked: HttpRequest) -> int:
    response = await endpoint.respond(asked)
    if isinstance(response, PendingResponse):
        await actor.answer()
        response = await response.outcome()
    assert isinstance(response, Answer)
    return response.status


def keeps_nothing(asked: HttpRequest) -> bool:
    known = asked.known_head
    return known is not None and not any(getattr(known, name) for name in known.__slots__)


async def test_same_head_is_admitted_once(
    endpoint: HttpEndpoint, actor: FakeActor, rules: Rules, asked: HttpRequest
) -> None:
    asked_before = rules.asked
    assert [await status_of(endpoint, actor, asked) for _ in range(3)] == [200] * 3
    assert rules.asked == asked_before


async def test_other_rules_admit_anew(
    endpoint: HttpEndpoint, actor: FakeActor, rules: Rules, asked: HttpRequest
) -> None:
    rules.refused_addresses.add(asked.address)
    assert await status_of(endpoint, actor, asked) == 200
    rules.change()
    assert await status_of(endpoint, actor, asked) == 403


async def test_another_address_is_admitted_by_itself(
    endpoint: HttpEndpoint, actor: FakeActor, rules: Rules, asked: HttpRequest
) -> None:
    rules.refused_addresses.add("192.0.2.1")
    assert await status_of(endpoint, actor, replace(asked, address="192.0.2.1")) == 403
    assert await status_of(endpoint, actor, asked) == 200


async def test_refused_head_is_never_known(
    endpoint: HttpEndpoint, actor: FakeActor, rules: Rules, asked: HttpRequest
) -> None:
    rules.refused_addresses.add(asked.address)
    refused = replace(asked, known_head=KnownHead())
    asked_before = rules.asked
    assert [await status_of(endpoint, actor, refused) for _ in range(2)] == [403] * 2
    assert rules.asked == asked_before + 2


async def test_session_that_has_ended_is_404(
    endpoint: HttpEndpoint, actor: FakeActor, asked: HttpRequest
) -> None:
    gone = request("DELETE", "/mcp", mcp_session_id=asked.headers["mcp-session-id"])
    assert (await answer_of(endpoint, gone)).status == 204
    await actor.next(ClientClosed)
    assert await status_of(endpoint, actor, asked) == 404
    assert keeps_nothing(asked)


async def test_endpoint_that_has_ended_is_503(
    endpoint: HttpEndpoint, actor: FakeActor, asked: HttpRequest
) -> None:
    endpoint.end()
    await actor.next(ClientClosed)
    assert await status_of(endpoint, actor, asked) == 503


def take(asked: HttpRequest, body: bytes) -> Answer | PendingResponse | None:
    """Return the response to a further request with the same head, if it can be had at once."""
    known = asked.known_head
    assert known is not None
    return None if known.take is None else known.take(known, body, asked.address)


async def test_message_with_a_known_head_is_taken_at_once(
    actor: FakeActor, rules: Rules, asked: HttpRequest
) -> None:
    asked_before = rules.asked
    response = take(asked, CALL_BYTES)
    assert isinstance(response, PendingResponse)
    await actor.answer()
    assert (await response.outcome()).headers[0] == JSON_TYPE
    notice = take(asked, NOTICE)
    assert isinstance(notice, Answer)
    assert notice.status == 202
    await actor.next(FromClient)
    assert rules.asked == asked_before


async def test_wrong_message_with_a_known_head_is_refused_at_once(
    actor: FakeActor, asked: HttpRequest
) -> None:
    for body in (b"{", b'{"jsonrpc":"2.0","id":1,"method":"initialize"}'):
        refused = take(asked, body)
        assert isinstance(refused, Answer)
        assert refused.status == 400
    assert actor.is_quiet()


async def test_what_needs_a_look_at_the_head_or_a_wait_is_not_taken_at_once(
    endpoint: HttpEndpoint, actor: FakeActor, rules: Rules, asked: HttpRequest
) -> None:
    assert take(asked, b" [" + CALL_BYTES + b"]") is None
    assert take(replace(asked, address="192.0.2.1"), CALL_BYTES) is None
    stateless = replace(post(CALL, **BOTH), known_head=KnownHead())
    response = await endpoint.respond(stateless)
    assert isinstance(response, PendingResponse)
    assert take(stateless, CALL_BYTES) is None
    rules.change()
    assert take(asked, CALL_BYTES) is None


async def test_call_that_the_actor_has_no_room_for_leaves_nothing_behind(
    endpoint: HttpEndpoint, actor: FakeActor, asked: HttpRequest
) -> None:
    while take(asked, NOTICE) is not None:
        pass
    assert take(asked, CALL_BYTES) is None
    assert not any(session.is_busy() for session in endpoint._sessions)
    actor.die()
    for body in (CALL_BYTES, NOTICE):
        stopping = take(asked, body)
        assert isinstance(stopping, Answer)
        assert stopping.status == 503
    assert not any(session.is_busy() for session in endpoint._sessions)


@pytest.mark.parametrize("limits", [SessionLimits(idle_s=100.0)])
async def test_known_head_keeps_its_session_in_use(
    autojump_clock: trio.testing.MockClock,
    endpoint: HttpEndpoint,
    actor: FakeActor,
    asked: HttpRequest,
    nursery: trio.Nursery,
) -> None:
    await nursery.start(endpoint.run)
    for _ in range(3):
        await trio.sleep(60)
        assert await status_of(endpoint, actor, asked) == 200


async def test_request_without_a_session_is_a_client_of_its_own_each_time(
    endpoint: HttpEndpoint, actor: FakeActor, rules: Rules
) -> None:
    asked = replace(post(CALL, **BOTH), known_head=KnownHead())
    clients: set[str] = set()
    for _ in range(2):
        response = await endpoint.respond(asked)
        assert isinstance(response, PendingResponse)
        clients.add((await actor.next(ClientOpened)).client)
        await actor.answer()
        await response.outcome()
        await actor.next(ClientClosed)
    assert (len(clients), rules.asked) == (2, 1)


async def test_posts_of_an_sse_session_are_admitted_once_until_the_rules_change(
    actor: FakeActor, rules: Rules
) -> None:
    endpoint = SseEndpoint(actor.inbox, rules.admit, rules=lambda: rules.current)
    events = await events_of(endpoint, request("GET", "/sse"))
    session_id = (await actor.next(ClientOpened)).client
    said = request("POST", "/messages", NOTICE, f"session_id={session_id}", **JSON)
    asked = replace(said, known_head=KnownHead())
    asked_before = rules.asked
    for _ in range(2):
        assert (await answer_of(endpoint, asked)).status == 202
        await actor.next(FromClient)
    assert take(asked, NOTICE) == await answer_of(endpoint, asked)
    for _ in range(2):
        await actor.next(FromClient)
    assert take(asked, b'{"jsonrpc":"2.0","id":1,"method":"initialize"}') is None
    assert take(asked, b"[]") is None
    wrong = take(asked, b"{")
    assert isinstance(wrong, Answer)
    assert wrong.status == 400
    assert rules.asked == asked_before + 1
    rules.change()
    assert take(asked, NOTICE) is None
    assert (await answer_of(endpoint, asked)).status == 202
    assert rules.asked == asked_before + 2
    events.close()
    assert (await answer_of(endpoint, asked)).status == 404
    assert keeps_nothing(asked)

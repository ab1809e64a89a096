"""A head that comes again: it is admitted once, and what it named may have changed since."""

from __future__ import annotations

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
from transports.listen.serving.exchange import Answer, KnownHead, PendingResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.transports.listen.fake_actor import FakeActor
    from transports.listen.serving.exchange import Endpoint, HttpRequest

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
    assert rules.asked == asked_before + 1
    rules.change()
    assert (await answer_of(endpoint, asked)).status == 202
    assert rules.asked == asked_before + 2
    events.close()
    assert (await answer_of(endpoint, asked)).status == 404
    assert keeps_nothing(asked)

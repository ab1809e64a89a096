"""Transparent views: what belongs to one era, or to the router's own session, is not forwarded."""

from __future__ import annotations

from typing import Any

import pytest

from router.core.protocol.bridging import CAPABILITIES_KEY
from router.core.text.raw_json import raw_of
from router.messages.catalog import Catalog, Item
from router.messages.events import CatalogChanged, ClientOpened, FromClient
from router.messages.frames import Request
from router.messages.params import Params
from router.messages.revisions import REVISION_KEY
from tests.router.core.conversation import Conversation, spec
from tests.router.core.fake_peers import (
    EVERYTHING,
    FakeClient,
    FakeUpstream,
    Mailbox,
    SentRequest,
    StatelessClient,
)

HANDSHAKE_ONLY = [
    "initialize",
    "ping",
    "logging/setLevel",
    "resources/subscribe",
    "resources/unsubscribe",
]
STATELESS_ONLY = ["server/discover", "subscriptions/listen"]


def _session_at(talk: Conversation, place: str) -> FakeClient:
    """Open a client session in the view of this name."""
    client = FakeClient(talk, "in-view")
    talk.happens(ClientOpened(client.id, client.outbox, EVERYTHING, view=place))
    return client


def _stateless_at(talk: Conversation, place: str) -> StatelessClient:
    """Open a connection for requests of 2026-07-28 in the view of this name."""
    client = StatelessClient(talk, "in-view", one_channel=True, is_connection=True)
    talk.happens(ClientOpened(client.id, client.outbox, EVERYTHING, era="either", view=place))
    return client


def _asks_over_http(
    talk: Conversation,
    place: str | None,
    method: str,
    params: dict[str, Any],
    headers: dict[str, str | None] | None = None,
) -> SentRequest:
    """Send a request of 2026-07-28 over HTTP; `headers` are those that repeat arguments."""
    sent = SentRequest(1, Mailbox())
    client = f"request-{next(talk.ids)}"
    talk.happens(
        ClientOpened(client, Mailbox(), EVERYTHING, one_shot=True, era="stateless", view=place)
    )
    raw = raw_of({**params, "_meta": {REVISION_KEY: "2026-07-28", CAPABILITIES_KEY: {}}})
    frame = Request(1, method, raw)
    talk.happens(FromClient(client, frame, sent.mailbox, Params(raw, param_headers=headers)))
    return sent


@pytest.fixture
def talk() -> Conversation:
    talk = Conversation()
    talk.configured(spec("a"))
    talk.starting("a")
    return talk


@pytest.fixture(params=["2025-11-25", "2026-07-28"])
def upstream(request: pytest.FixtureRequest, talk: Conversation) -> FakeUpstream:
    """The upstream `a`, in either era."""
    return talk.up("a", "echo", revision=request.param)


# --- Methods ---------------------------------------------------------------------------------


@pytest.mark.parametrize("method", HANDSHAKE_ONLY)
def test_methods_that_2026_07_28_lacks_are_not_forwarded(
    talk: Conversation, upstream: FakeUpstream, method: str
) -> None:
    asked = _asks_over_http(talk, "a", method, {"uri": "x", "level": "debug"})
    assert asked.error == {"code": -32601, "message": f"Method not found: {method}"}
    assert upstream.sees() == []


@pytest.mark.parametrize("method", STATELESS_ONLY)
def test_methods_that_the_handshake_revisions_lack_are_not_forwarded(
    talk: Conversation, upstream: FakeUpstream, method: str
) -> None:
    asked = _session_at(talk, "a").asks(method, {"notifications": {}})
    assert asked.error == {"code": -32601, "message": f"Method not found: {method}"}
    assert upstream.sees() == []


def test_a_method_that_nobody_here_knows_is_forwarded(
    talk: Conversation, upstream: FakeUpstream
) -> None:
    _session_at(talk, "a").asks("acme/fly", {"to": "moon"})
    assert upstream.sees_one()["method"] == "acme/fly"


# --- What the server is ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"name": "n", "version": "1", "x": 2}, {"name": "n", "version": "1", "x": 2}),
        ({"title": "T"}, {"name": "a", "version": "unknown", "title": "T"}),
        ({"name": "n"}, {"name": "n", "version": "unknown"}),
        ({}, {"name": "a", "version": "unknown"}),
        ("n", {"name": "a", "version": "unknown"}),
    ],
)
def test_a_server_that_does_not_say_who_it_is_has_a_name_all_the_same(
    talk: Conversation, said: Any, told: dict[str, Any]
) -> None:
    """The SDK's client refuses an `initialize` result without name and version."""
    talk.up("a", revision="2026-07-28", server_info=said)
    assert _session_at(talk, "a").initializes().result["serverInfo"] == told


# --- Arguments that headers repeat -----------------------------------------------------------

REGION = {
    "name": "region",
    "inputSchema": {
        "type": "object",
        "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},
    },
}


@pytest.fixture
def marked(talk: Conversation, upstream: FakeUpstream) -> FakeUpstream:
    """The upstream, with a tool that asks for a header."""
    catalog = Catalog(tools=(Item("region", raw_of(REGION)),))
    talk.happens(CatalogChanged(upstream.session, catalog))
    upstream.sees()
    return upstream


def _calls(
    talk: Conversation, place: str | None, name: str, headers: dict[str, str | None] | None
) -> SentRequest:
    """Call a tool with the region `eu`."""
    params = {"name": name, "arguments": {"region": "eu"}}
    return _asks_over_http(talk, place, "tools/call", params, headers)


@pytest.mark.parametrize("headers", [{}, {"region": "us"}, {"region": None}])
def test_a_header_that_does_not_repeat_its_argument_is_refused(
    talk: Conversation, marked: FakeUpstream, headers: dict[str, str | None]
) -> None:
    assert _calls(talk, "a", "region", headers).error["code"] == -32020
    assert marked.sees() == []


@pytest.mark.parametrize("headers", [{"region": "eu"}, {"region": "eu", "other": "x"}, None])
def test_a_call_whose_headers_repeat_its_arguments_is_forwarded(
    talk: Conversation, marked: FakeUpstream, headers: dict[str, str | None] | None
) -> None:
    """Also one that came without headers, over stdio."""
    _calls(talk, "a", "region", headers)
    assert marked.sees_one()["params"]["arguments"] == {"region": "eu"}


def test_headers_are_compared_with_the_tools_of_the_last_listing(
    talk: Conversation, marked: FakeUpstream
) -> None:
    _calls(talk, "a", "region", {"region": "eu"})
    plain = Catalog(tools=(Item("region", raw_of({"name": "region"})),))
    talk.happens(CatalogChanged(marked.session, plain))
    assert _calls(talk, "a", "region", {}).is_waiting


def test_other_views_ask_for_no_header_and_compare_none(
    talk: Conversation, marked: FakeUpstream
) -> None:
    _calls(talk, None, "a__region", {})
    assert marked.sees_one()["params"]["arguments"] == {"region": "eu"}


def test_schemas_keep_what_they_say_of_headers(talk: Conversation, marked: FakeUpstream) -> None:
    asked = _stateless_at(talk, "a").asks("tools/list")
    (seen,) = marked.sees()
    result = {"tools": [REGION]}
    if marked.is_stateless:
        result |= {"resultType": "complete"}
    marked.answers(seen, result)
    assert asked.result["tools"] == [REGION]

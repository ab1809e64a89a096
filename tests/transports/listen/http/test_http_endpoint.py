"""Streamable HTTP, as a conversation between a client, the endpoint and the actor."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from router.messages.events import ClientClosed, ClientOpened
from router.messages.revisions import HANDSHAKE_REVISIONS, REVISIONS
from tests.transports.listen.endpoint_client import (
    answer_of,
    detail,
    error,
    message,
    outcome_of,
    pending_of,
    request,
)
from tests.transports.listen.http.http_client import CALL, Session, post
from transports.listen.serving.exchange import Answer

if TYPE_CHECKING:
    from tests.transports.listen.fake_actor import FakeActor
    from transports.listen.http.http_endpoint import HttpEndpoint

# --- Who and what is let in ------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PUT"])
async def test_refusal_of_admission_is_answered_as_it_stands(
    endpoint: HttpEndpoint, method: str
) -> None:
    answer = await answer_of(endpoint, request(method, "/mcp", authorization="nobody"))
    assert answer.status == 401
    assert detail(answer) == "Who are you?"
    assert (b"www-authenticate", b"Bearer") in answer.headers
    assert (b"x-content-type-options", b"nosniff") in answer.headers


async def test_other_paths_are_404(endpoint: HttpEndpoint) -> None:
    assert (await answer_of(endpoint, request("POST", "/nothing"))).status == 404


@pytest.mark.parametrize("method", ["PUT", "HEAD", "OPTIONS", "PATCH"])
async def test_other_methods_are_405_and_told_which_there_are(
    endpoint: HttpEndpoint, method: str
) -> None:
    answer = await answer_of(endpoint, request(method, "/mcp"))
    assert answer.status == 405
    assert (b"allow", b"GET, POST, DELETE") in answer.headers


@pytest.mark.parametrize("kind", ["text/plain", "", "application/jsonp"])
async def test_post_of_anything_but_json_is_415(endpoint: HttpEndpoint, kind: str) -> None:
    answer = await answer_of(endpoint, request("POST", "/mcp", CALL, content_type=kind))
    assert answer.status == 415


async def test_charset_beside_the_content_type_is_fine(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    asked = post(CALL, content_type="Application/JSON; charset=utf-8")
    await pending_of(endpoint, asked)


async def test_accept_that_admits_nothing_there_is_406(endpoint: HttpEndpoint) -> None:
    assert (await answer_of(endpoint, post(CALL, accept="text/html, image/*"))).status == 406


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"jsonrpc": "2.0", "id": 1, "meth', -32700),
        (b"\xff", -32700),
        (b"", -32700),
        (b"[1,", -32700),
        (b"[]", -32600),
        (b"42", -32600),
        (b'{"jsonrpc": "2.0", "id": 1}', -32600),
        (b'[{"jsonrpc": "2.0", "id": 1, "method": "ping"}]', -32600),
    ],
)
async def test_invalid_message_is_400_with_its_json_rpc_error(
    endpoint: HttpEndpoint, actor: FakeActor, body: bytes, code: int
) -> None:
    answer = await answer_of(endpoint, post(body))
    assert (answer.status, error(answer)["code"]) == (400, code)
    assert actor.is_quiet()


# --- Lone requests ---------------------------------------------------------------------------


async def test_lone_request_is_opened_asked_answered_and_closed(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    pending = await pending_of(endpoint, post(CALL))
    opened = await actor.next(ClientOpened)
    assert opened.one_shot
    asked = await actor.answer({"x": 1})
    assert asked.client == opened.client
    answer = await outcome_of(pending, Answer)
    assert json.loads(answer.body) == {"jsonrpc": "2.0", "id": 7, "result": {"x": 1}}
    assert answer.headers[0] == (b"content-type", b"application/json")
    assert (await actor.next(ClientClosed)).client == opened.client
    assert repr(endpoint) == "<HttpEndpoint sessions=0 one_shots=0>"


async def test_lone_notification_is_accepted_and_forgotten(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    answer = await answer_of(endpoint, post(message("notifications/cancelled")))
    assert (answer.status, answer.body) == (202, b"")
    assert actor.is_quiet()


# --- The revision header ---------------------------------------------------------------------


async def test_unsupported_revision_header_is_400_naming_the_supported_ones(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    asked = post(message("server/discover", 7), mcp_protocol_version="2099-01-01")
    answer = await answer_of(endpoint, asked)
    assert (answer.status, json.loads(answer.body)["id"]) == (400, 7)
    assert error(answer)["code"] == -32022
    assert error(answer)["data"] == {
        "supported": list(REVISIONS),
        "requested": "2099-01-01",
    }
    assert actor.is_quiet()


async def test_initialize_may_come_with_any_revision_header(
    endpoint: HttpEndpoint, actor: FakeActor
) -> None:
    await Session.open(endpoint, actor, mcp_protocol_version="2026-07-28")


@pytest.mark.parametrize("revision", HANDSHAKE_REVISIONS)
async def test_supported_revision_header_is_fine(revision: str, session: Session) -> None:
    await session.call(mcp_protocol_version=revision)

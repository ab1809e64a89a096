"""The methods of the handshake revisions, and methods that a client does not have."""

from typing import Any

import pytest

from router.core.peers.methods import method_of
from router.core.state.clients import Client, ClientRequest
from router.messages.errors import RpcError
from router.messages.params import Params
from tests.router.core.conversation import EVERYTHING, Conversation, FakeClient, Mailbox


@pytest.mark.parametrize(
    ("asked", "agreed"),
    [
        ("2024-11-05", "2024-11-05"),
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
    ],
)
def test_initialize_agrees_on_a_revision(asked: str, agreed: str) -> None:
    result = Conversation().client().initializes(asked).result
    assert result["protocolVersion"] == agreed
    assert result["serverInfo"] == {"name": "mcp_router", "version": "9.9"}
    assert result["capabilities"] == {"tools": {"listChanged": True}, "logging": {}}
    assert "mcp.router.list" in result["instructions"]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (None, "params.protocolVersion is missing"),
        ({"protocolVersion": 5}, "params.protocolVersion must be a string"),
        (
            {"protocolVersion": "2025-11-25", "capabilities": []},
            "params.capabilities must be an object",
        ),
    ],
)
def test_an_initialize_that_makes_no_sense_is_refused(params: Any, message: str) -> None:
    error = Conversation().client().asks("initialize", params).error
    assert error == {"code": -32602, "message": message}


def test_capabilities_may_be_left_out_or_null() -> None:
    alice = Conversation().client()
    assert alice.asks("initialize", {"protocolVersion": "2025-11-25", "capabilities": None}).result
    assert alice.asks("initialize", {"protocolVersion": "2025-11-25"}).result


def test_ping_is_answered_here() -> None:
    assert Conversation().client().asks("ping", {"_meta": {"x": 1}}, id="p").result == {}


def test_an_unknown_method_is_refused() -> None:
    error = Conversation().client().asks("tools/fly").error
    assert error == {"code": -32601, "message": "Method not found: tools/fly"}


def test_a_probe_without_an_envelope_is_an_unknown_method() -> None:
    assert Conversation().client().asks("server/discover", {}).error["code"] == -32601


@pytest.mark.parametrize("method", ["ping", "logging/setLevel", "initialize", "prompts/list"])
def test_methods_that_2026_07_28_lacks_are_unknown_in_it(method: str) -> None:
    assert Conversation().stateless_client().asks(method).error["code"] == -32601


def test_a_connection_of_either_era_has_the_methods_of_both() -> None:
    connection = Conversation().stateless_connection()
    assert connection.asks("server/discover").result["resultType"] == "complete"
    # Without an envelope its request belongs to the handshake revisions.
    plain = FakeClient(connection.talk, connection.id)
    assert plain.asks("ping").result == {}
    assert plain.asks("server/discover").error["code"] == -32601


def test_a_stand_in_for_a_command_has_no_method_of_clients() -> None:
    client = Client("c", Mailbox(), EVERYTHING, one_shot=True, era="own")
    request = ClientRequest(client, 1, "initialize", Params(), client.outbox)
    with pytest.raises(RpcError, match="Method not found: initialize"):
        method_of(Conversation().state, request)

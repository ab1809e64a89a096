"""Messages of clients: which requests are admitted, and what notifications and answers do."""

from typing import Any

import pytest

from router.messages.commands import Principal
from router.messages.events import FromClient
from router.messages.frames import Request
from router.messages.params import Params
from tests.router.core.conversation import Conversation, Mailbox, SentRequest, raw, ready, spec

ENVELOPE = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}


# --- Requests without a session --------------------------------------------------------------


@pytest.mark.parametrize("method", ["server/discover", "tools/list", "tools/call", "ping"])
def test_a_stateless_request_is_told_which_revisions_are_spoken(method: str) -> None:
    params = {"name": "mcp.router.list", "_meta": ENVELOPE}
    error = Conversation().client().asks(method, params).error
    assert error["code"] == -32022
    assert error["data"] == {
        "supported": ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"],
        "requested": "2026-07-28",
    }


def test_initialize_is_answered_whatever_its_meta_says() -> None:
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "_meta": ENVELOPE}
    assert Conversation().client().asks("initialize", params).result


def test_a_handshake_revision_in_the_envelope_is_no_reason_to_refuse() -> None:
    meta = {"io.modelcontextprotocol/protocolVersion": "2025-11-25"}
    assert Conversation().client().asks("ping", {"_meta": meta}).result == {}


@pytest.mark.parametrize("meta", [[], "x", 5])
def test_a_meta_that_is_no_object_is_refused(meta: Any) -> None:
    error = Conversation().client().asks("ping", {"_meta": meta}).error
    assert error == {"code": -32602, "message": "params._meta must be an object"}


# --- Request ids -----------------------------------------------------------------------------


def test_a_request_id_in_flight_is_not_taken_twice() -> None:
    _, alice, upstream = ready()
    first = alice.routes("echo", id=7)
    again = alice.asks("ping", id=7)
    assert again.error == {"code": -32600, "message": "Request id 7 is already in use"}
    upstream.answers(upstream.sees_one(), {"n": 1})
    assert first.result == {"n": 1}
    assert alice.asks("ping", id=7).result == {}


def test_a_request_id_of_a_parked_call_is_not_taken_twice() -> None:
    talk = Conversation()
    talk.configured(spec("a"))
    alice = talk.client()
    parked = alice.routes("echo", id="x")
    assert alice.asks("ping", id="x").error["code"] == -32600
    assert parked.is_waiting


def test_a_string_id_and_a_number_are_two_ids() -> None:
    _, alice, upstream = ready()
    number, string = alice.routes("echo", id=1), alice.routes("echo", id="1")
    one, two = upstream.sees()
    upstream.answers(two, "for the string")
    upstream.answers(one, "for the number")
    assert (number.result, string.result) == ("for the number", "for the string")


def test_huge_and_odd_ids_come_back_as_they_were() -> None:
    _, alice, upstream = ready()
    for request_id in (2**63, -1, 0, "", "é\n", 10**30):
        call = alice.routes("echo", id=request_id)
        upstream.answers(upstream.sees_one(), {})
        assert call.result == {}


# --- Params ----------------------------------------------------------------------------------


def test_params_that_the_listener_has_read_are_not_decoded_again() -> None:
    talk, alice, _ = ready()
    params = Params(raw({"name": "mcp.router.list"}))
    assert params.members
    asked = SentRequest(7, Mailbox())
    unread = Request(7, "tools/call", raw({"name": "never looked at"}))
    talk.happens(FromClient(alice.id, unread, asked.mailbox, params))
    assert asked.text[0]["name"] == "a"


# --- Senders whose permissions change --------------------------------------------------------


def test_message_is_handled_with_the_permissions_of_its_sender() -> None:
    talk, _, _ = ready("a", allow_instance_management=True)
    name = "https://idp.example.org mira"
    little = Principal(name, frozenset({"call"}))
    much = Principal(name, frozenset({"call", "admin"}))
    mira = talk.client(principal=little)
    for principal, is_error in ((None, True), (much, False), (None, False), (little, True)):
        asked = SentRequest(7, Mailbox())
        params = raw({"name": "mcp.router.disable", "arguments": {"instance_name": "a"}})
        frame = Request(7, "tools/call", params)
        talk.happens(FromClient(mira.id, frame, asked.mailbox, None, principal))
        assert asked.is_waiting is not is_error
        if not is_error:
            talk.change_saved(spec("a", is_active=False))


# --- Notifications and answers ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("notifications/initialized", None),
        ("notifications/roots/list_changed", {}),
        ("notifications/cancelled", None),
        ("notifications/cancelled", {"requestId": True}),
        ("notifications/cancelled", {"requestId": 99}),
        ("notifications/progress", {}),
        ("notifications/progress", {"progressToken": 1, "progress": 1}),
        ("notifications/whatever", {"x": 1}),
    ],
)
def test_a_notification_that_means_nothing_here_is_dropped(method: str, params: Any) -> None:
    _, alice, upstream = ready()
    alice.says(method, params)
    assert (alice.outbox.take(), upstream.sees()) == ([], [])


def test_a_notification_whose_params_nest_too_deeply_is_dropped() -> None:
    _, alice, upstream = ready()
    alice.says("notifications/cancelled", b'{"requestId":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    assert upstream.sees() == []


def test_an_answer_to_no_question_is_dropped() -> None:
    _, alice, upstream = ready()
    alice.answers({"id": 1}, {})
    alice.refuses({"id": None}, {"code": 1})
    assert upstream.sees() == []

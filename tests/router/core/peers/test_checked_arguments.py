"""Calls whose arguments are checked before they are forwarded, and calls whose are not."""

from typing import Any

import pytest

from router.messages.catalog import Catalog, Item
from router.messages.commands import CallTool
from router.messages.core_settings import CoreSettings
from router.messages.errors import INVALID_PARAMS
from router.messages.events import CatalogChanged, CoreSettingsChanged
from tests.router.core.conversation import (
    Conversation,
    FakeClient,
    FakeUpstream,
    SentRequest,
    raw,
    ready,
    spec,
)

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}
REFUSED = (
    'arguments: "city" is a required property; arguments.days: the value is not of type "integer"'
)


def talking(
    schema: Any = SCHEMA, *, checked: bool = True
) -> tuple[Conversation, FakeClient, FakeUpstream]:
    """Begin a conversation with a client that selected `a`, whose only tool `t` has a schema."""
    talk, alice, upstream = ready(check_arguments=checked)
    lists(talk, upstream, schema)
    alice.uses()
    return talk, alice, upstream


def lists(talk: Conversation, upstream: FakeUpstream, schema: Any) -> None:
    tool = Item("t", raw({"name": "t", "inputSchema": schema}))
    talk.happens(CatalogChanged(upstream.session, Catalog(tools=(tool,))))


def routed(client: FakeClient, given: Any) -> SentRequest:
    called = {"instance_name": "a", "tool_name": "t", "arguments": given}
    return client.calls("mcp.router.call", called)


# --- Checked ---------------------------------------------------------------------------------


def test_what_does_not_fit_is_a_tool_result_in_every_way_of_calling_and_is_not_sent() -> None:
    talk, alice, upstream = talking()
    wrong = {"days": "1"}
    assert routed(alice, wrong).tool_error == ("VALIDATION_ERROR", REFUSED)
    assert alice.calls("t", wrong).tool_error == ("VALIDATION_ERROR", REFUSED)
    modern = talk.stateless_client()
    assert routed(modern, wrong).tool_error == ("VALIDATION_ERROR", REFUSED)
    assert upstream.sees() == []


def test_rest_gets_an_error_for_its_status() -> None:
    talk, _, upstream = talking()
    error = talk.admin_asks(CallTool("a", "t", raw({"days": "1"}))).error
    assert (error.code, error.message) == (INVALID_PARAMS, REFUSED)
    assert upstream.sees() == []


def test_a_call_that_waits_for_its_instance_is_checked_once_that_is_ready() -> None:
    talk, alice, _ = talking()
    talk.down("a")
    call = alice.calls("t", raw(b'{"city":"a","city":"b"}'))
    assert call.is_waiting
    upstream = talk.up("a", "t")
    assert call.tool_error[0] == "VALIDATION_ERROR"
    assert upstream.sees() == []


def test_arguments_that_fit_are_forwarded_byte_for_byte() -> None:
    _, alice, upstream = talking()
    exactly = b'{"city": "SELECT * FROM t; -- <script>alert(1)</script>", "n":1.0e2 }'
    alice.calls("t", raw(exactly))
    assert exactly in bytes(upstream.inbox.waiting[0].params)


def test_a_key_that_is_there_twice_is_refused() -> None:
    _, alice, upstream = talking()
    code, message = alice.calls("t", raw(b'{"city":"a","city":"b"}')).tool_error
    assert code == "VALIDATION_ERROR"
    assert message == 'arguments: the key "city" is there twice in one object'
    assert upstream.sees() == []


def test_listing_anew_brings_new_schemas() -> None:
    talk, alice, upstream = talking()
    assert not routed(alice, {"days": "1"}).is_waiting
    lists(talk, upstream, {})
    assert routed(alice, {"days": "1"}).is_waiting


# --- Not checked -----------------------------------------------------------------------------


@pytest.mark.parametrize("given", [b'{"days": "1"}', b'{"days":1,"days": 2}'])
def test_unless_checks_are_on_the_server_judges_the_arguments(given: bytes) -> None:
    _, alice, upstream = talking(checked=False)
    assert routed(alice, raw(given)).is_waiting
    assert alice.calls("t", raw(given)).is_waiting
    for frame in upstream.inbox.waiting:
        assert given in bytes(frame.params)


def test_schemas_are_not_even_read_until_a_call_is_checked() -> None:
    talk, alice, _ = talking(checked=False)
    alice.calls("t", {})
    assert talk.state.instances.by_name["a"].schemas is None
    talk.happens(CoreSettingsChanged(CoreSettings("1", check_arguments=True)))
    alice.calls("t", {})
    assert talk.state.instances.by_name["a"].schemas is not None


# --- Switched while the router runs ----------------------------------------------------------


def test_checks_are_switched_on_and_off_for_the_calls_that_follow() -> None:
    talk, alice, _ = talking(checked=False)
    for is_on in (True, False):
        talk.happens(CoreSettingsChanged(CoreSettings("1", check_arguments=is_on)))
        assert routed(alice, {}).is_waiting is not is_on


@pytest.mark.parametrize("checked", [True, False])
def test_an_instance_overrides_the_setting_without_a_restart(*, checked: bool) -> None:
    talk, alice, _ = talking(checked=checked)
    talk.configured(spec("a", check_arguments=not checked))
    assert routed(alice, {}).is_waiting is checked
    talk.configured(spec("a"))
    assert routed(alice, {}).is_waiting is not checked
    assert talk.stopped == []

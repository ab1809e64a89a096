"""Resources, prompts, details and the news of calls, for those who command the router itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from router.messages.commands import (
    CallTool,
    GetPrompt,
    ListPrompts,
    ListResources,
    Principal,
    ReadResource,
    ShowDetails,
    ShowPrompts,
    ShowResources,
)
from router.messages.errors import NOT_ALLOWED, RESOURCE_NOT_FOUND, RpcError
from router.messages.frames import NO_RAW, Notification
from router.messages.instances.exposure import Exposure, NameFilter
from router.messages.observability.records import CallRecord
from tests.router.core.conversation import Conversation, ready, spec, value_of
from tests.router.core.fake_peers import raw

if TYPE_CHECKING:
    from tests.router.core.fake_peers import FakeUpstream

NO_SECRETS = Exposure(
    prompts=NameFilter(deny=("secret",)), resources=NameFilter(deny=("secret:*",))
)


def with_lists(exposure: Exposure | None = None) -> tuple[Conversation, FakeUpstream]:
    """Return a conversation whose instance `a` has resources and prompts."""
    talk = Conversation(records=frozenset({"audit"}))
    upstream = talk.with_instance(
        "a",
        "echo",
        exposure=exposure,
        prompts=("ask", "secret"),
        resources=("file:///x", "secret:y"),
        templates=("file:///{name}",),
        capabilities={"prompts": {}, "resources": {}},
        instructions="Read first",
        server_info={"name": "server-a", "version": "3"},
    )
    return talk, upstream


def notifies(upstream: FakeUpstream, method: str, params: Any) -> None:
    upstream.sends(Notification(method, raw(params)))


# --- Lists -----------------------------------------------------------------------------------


def test_resources_and_prompts_are_shown_as_the_server_has_them_and_the_filter_lets_them() -> None:
    talk, _ = with_lists(NO_SECRETS)
    shown = talk.admin_asks(ShowResources("a")).answer
    assert [value_of(one)["uri"] for one in shown["resources"]] == ["file:///x"]
    assert [value_of(one)["uriTemplate"] for one in shown["templates"]] == ["file:///{name}"]
    assert talk.admin_asks(ListResources()).answer == {"a": shown}
    prompts = talk.admin_asks(ShowPrompts("a")).answer
    assert [value_of(one)["name"] for one in prompts] == ["ask"]
    assert talk.admin_asks(ListPrompts()).answer == {"a": prompts}


def test_details_tell_what_the_server_says_and_how_much_is_hidden() -> None:
    talk, _ = with_lists(NO_SECRETS)
    details = talk.admin_asks(ShowDetails("a")).answer
    assert (details["name"], details["state"], details["in_flight"]) == ("a", "ready", 0)
    assert value_of(details["server"]) == {"name": "server-a", "version": "3"}
    assert value_of(details["capabilities"]) == {"prompts": {}, "resources": {}}
    assert (details["protocol"], details["instructions"]) == ("2025-11-25", "Read first")
    assert details["counts"] == {"tools": 1, "prompts": 1, "resources": 1, "templates": 1}
    assert details["hidden"] == {"tools": 0, "prompts": 1, "resources": 1, "templates": 0}


def test_details_of_a_server_that_was_never_up_have_no_server() -> None:
    talk = Conversation()
    talk.configured(spec("a"))
    details = talk.admin_asks(ShowDetails("a")).answer
    assert (details["server"], details["protocol"], details["capabilities"]) == (None, None, None)
    assert set(details["counts"].values()) == {0}


# --- Requests --------------------------------------------------------------------------------


def test_a_resource_is_read_by_its_servers_own_uri() -> None:
    talk, upstream = with_lists()
    asked = talk.admin_asks(ReadResource("a", "file:///anything"))
    request = upstream.sees_one()
    assert (request["method"], request["params"]) == (
        "resources/read",
        {"uri": "file:///anything"},
    )
    upstream.answers(request, {"contents": [{"uri": "file:///anything", "text": "x"}]})
    assert value_of(asked.answer)["contents"][0]["text"] == "x"


def test_a_prompt_is_asked_for_with_its_arguments() -> None:
    talk, upstream = with_lists()
    asked = talk.admin_asks(GetPrompt("a", "ask", raw({"text": "t"})))
    request = upstream.sees_one()
    assert request["method"] == "prompts/get"
    assert request["params"] == {"name": "ask", "arguments": {"text": "t"}}
    upstream.answers(request, {"messages": []})
    assert value_of(asked.answer) == {"messages": []}


@pytest.mark.parametrize(
    ("what", "says"),
    [
        (ReadResource("a", "secret:y"), "Resource not found"),
        (GetPrompt("a", "secret", NO_RAW), "Prompt 'secret' not found in instance 'a'"),
        (GetPrompt("a", "aks", NO_RAW), "Did you mean 'ask'"),
    ],
)
def test_what_a_filter_leaves_out_or_nobody_has_is_not_found(what: Any, says: str) -> None:
    talk, upstream = with_lists(NO_SECRETS)
    error = talk.admin_asks(what).error
    assert error.code == RESOURCE_NOT_FOUND
    assert says in error.message
    assert upstream.sees() == []


def test_a_request_waits_for_its_instance_and_ends_with_its_asker() -> None:
    talk = Conversation()
    talk.configured(spec("a"))
    talk.starting("a")
    asked = talk.admin_asks(GetPrompt("a", "ask", NO_RAW))
    assert asked.is_waiting
    upstream = talk.up("a", prompts=("ask",))
    sent = upstream.sees_one()
    asked.abandons()
    cancelled = upstream.sees_one()
    assert cancelled["method"] == "notifications/cancelled"
    assert cancelled["params"]["requestId"] == sent["id"]
    assert talk.state.clients == {}


def test_requests_leave_records_and_so_do_those_that_are_refused() -> None:
    talk, upstream = with_lists()
    talk.admin_asks(ReadResource("a", "file:///x"))
    upstream.answers(upstream.sees_one(), {"contents": []})
    talk.admin_asks(GetPrompt("a", "ask", raw({"a": 1})), Principal("r", frozenset({"read"})))
    talk.admin_asks(ReadResource("a", "file:///z"), Principal("r", frozenset({"read"})))
    found = [
        (one.principal, one.method, one.target, one.outcome, one.code)
        for one in talk.records
        if isinstance(one, CallRecord)
    ]
    assert found == [
        ("all", "resources/read", "file:///x", "ok", 0),
        ("r", "prompts/get", "ask", "error", NOT_ALLOWED),
        ("r", "resources/read", "file:///z", "error", NOT_ALLOWED),
    ]


# --- News of calls ---------------------------------------------------------------------------


def test_progress_and_logs_of_a_call_come_before_its_answer_where_they_are_wanted() -> None:
    talk, _, upstream = ready()
    asked = talk.admin_asks(CallTool("a", "echo", NO_RAW, wants_news=True))
    request = upstream.sees_one()
    token = request["params"]["_meta"]["progressToken"]
    notifies(upstream, "notifications/progress", {"progressToken": token, "progress": 1})
    notifies(upstream, "notifications/message", {"level": "warning", "data": "hm"})
    upstream.answers(request, {"content": []})
    progress, message, answer = asked.mailbox.waiting
    assert isinstance(progress, Notification)
    assert value_of(progress.params)["progress"] == 1
    assert (message.method, value_of(message.params)["data"]) == ("notifications/message", "hm")
    assert value_of(answer) == {"content": []}


def test_a_call_that_wants_no_news_gets_its_answer_alone() -> None:
    talk, _, upstream = ready()
    asked = talk.admin_asks(CallTool("a", "echo", NO_RAW))
    request = upstream.sees_one()
    assert "_meta" not in request["params"]
    notifies(upstream, "notifications/message", {"level": "error", "data": "hm"})
    upstream.answers(request, {"content": []})
    assert value_of(asked.answer) == {"content": []}


def test_the_error_of_a_call_comes_after_its_news() -> None:
    talk, _, upstream = ready()
    asked = talk.admin_asks(CallTool("a", "echo", NO_RAW, wants_news=True))
    token = upstream.sees_one()["params"]["_meta"]["progressToken"]
    notifies(upstream, "notifications/progress", {"progressToken": token, "progress": 1})
    talk.time_passes(400)
    assert [type(one) for one in asked.mailbox.waiting] == [Notification, RpcError]

"""Upstreams without sessions: what they are told of a client, and the input that they ask for."""

from typing import Any

import pytest

from router.core.calls.input_rounds import MAX_ROUNDS
from router.core.protocol.bridging import (
    CAPABILITIES_KEY,
    CLIENT_INFO_KEY,
    LOG_LEVEL_KEY,
    REVISION_KEY,
)
from router.messages.catalog import Catalog, Item
from router.messages.commands import CallTool
from router.messages.events import CatalogChanged
from tests.router.core.conversation import (
    T_S,
    Conversation,
    FakeClient,
    FakeUpstream,
    SentRequest,
    raw,
)

ELICIT, ROOTS, SAMPLE = "elicitation/create", "roots/list", "sampling/createMessage"
FORM = {"mode": "form", "message": "Your name?", "requestedSchema": {"type": "object"}}
URL = {"mode": "url", "message": "Go", "url": "https://a.test"}
ABLE: dict[str, Any] = {"roots": {}, "sampling": {}, "elicitation": {"form": {}, "url": {}}}
COMPLETE = {"resultType": "complete", "content": [], "ttlMs": 5, "cacheScope": "public"}


def talking(
    revision: str = "2025-11-25", **declares: Any
) -> tuple[Conversation, FakeClient, FakeUpstream]:
    talk = Conversation()
    upstream = talk.with_stateless_upstream()
    client = talk.client()
    info = {"name": "me", "version": "1"}
    params = {"protocolVersion": revision, "capabilities": declares or ABLE, "clientInfo": info}
    client.asks("initialize", params)
    return talk, client, upstream


def wants(
    upstream: FakeUpstream, sent: dict[str, Any], state: str | None = "s", **asked: Any
) -> None:
    """The upstream needs input: `method` and `params` by key."""
    result: dict[str, Any] = {"resultType": "input_required"}
    if asked:
        result["inputRequests"] = {
            key: {"method": method, "params": params} for key, (method, params) in asked.items()
        }
    upstream.answers(sent, result | ({} if state is None else {"requestState": state}))


def questions_of(call: SentRequest) -> list[dict[str, Any]]:
    return [one for one in call.mailbox.take() if "method" in one]


# --- What it is told -------------------------------------------------------------------------


def test_each_request_says_what_the_handshake_said() -> None:
    _, client, upstream = talking(roots={}, tasks={"list": {}})
    client.asks("logging/setLevel", {"level": "warning"})
    assert upstream.sees() == []  # there is no `logging/setLevel` for it
    client.routes("echo", _meta={"progressToken": 1, "traceparent": "t"})
    sent = upstream.sees_one()
    assert sent["params"]["_meta"] == {
        "progressToken": sent["id"],
        "traceparent": "t",
        REVISION_KEY: "2026-07-28",
        CAPABILITIES_KEY: {"roots": {}},
        CLIENT_INFO_KEY: {"name": "me", "version": "1"},
        LOG_LEVEL_KEY: "warning",
    }


def test_a_client_without_a_session_speaks_for_itself() -> None:
    talk, _, upstream = talking()
    client = talk.stateless_client(roots={"x": 1})
    client.meta = {CLIENT_INFO_KEY: {"name": "you", "version": "2"}}
    client.routes("echo")
    meta = upstream.sees_one()["params"]["_meta"]
    assert meta[CLIENT_INFO_KEY]["name"] == "you"
    assert meta[CAPABILITIES_KEY] == {"roots": {"x": 1}}
    assert LOG_LEVEL_KEY not in meta


def test_a_call_over_rest_can_be_asked_nothing() -> None:
    talk, _, upstream = talking()
    asked = talk.admin_asks(CallTool("a", "echo", raw({})))
    sent = upstream.sees_one()
    assert sent["params"]["_meta"] == {REVISION_KEY: "2026-07-28", CAPABILITIES_KEY: {}}
    wants(upstream, sent, one=(ROOTS, {}))
    assert "does not support roots/list" in asked.error.message


# --- What it answers -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("revision", "structured"),
    [("2025-03-26", {}), ("2025-11-25", {"structuredContent": {"result": [1]}})],
)
def test_a_session_gets_results_of_its_own_revision(revision: str, structured: Any) -> None:
    _, client, upstream = talking(revision)
    call = client.routes("echo")
    upstream.answers(upstream.sees_one(), COMPLETE | {"structuredContent": [1], "odd": 1})
    assert call.result == {"content": [], "odd": 1} | structured


def test_an_object_stays_structured_as_it_is() -> None:
    _, client, upstream = talking()
    call = client.routes("echo")
    upstream.answers(upstream.sees_one(), {"content": [], "structuredContent": {"x": 1}})
    assert call.result == {"content": [], "structuredContent": {"x": 1}}


def test_a_result_that_nests_too_deeply_is_an_error() -> None:
    _, client, upstream = talking()
    call = client.routes("echo")
    upstream.answers(upstream.sees_one(), b'{"content":' * 3000 + b"1" + b"}" * 3000)
    assert call.tool_error[1] == "the result of the server must be an object"


@pytest.mark.parametrize("result", [b"5", b"null"])
def test_what_is_no_object_passes_as_it_is(result: bytes) -> None:
    _, client, upstream = talking()
    call = client.routes("echo")
    upstream.answers(upstream.sees_one(), result)
    assert call.result_bytes == result


@pytest.mark.parametrize("kind", ["task", 5])
def test_a_result_of_a_kind_that_sessions_know_not_is_an_error(kind: Any) -> None:
    _, client, upstream = talking()
    call = client.routes("echo")
    upstream.answers(upstream.sees_one(), {"resultType": kind})
    assert call.tool_error[0] == "INTERNAL_ERROR"


def test_a_client_without_a_session_gets_results_and_errors_as_they_are() -> None:
    talk, _, upstream = talking()
    client = talk.stateless_client(**ABLE)
    call, failed = client.routes("echo"), client.routes("echo")
    for sent, answer in zip(
        upstream.sees(), (COMPLETE, {"code": -32042, "message": "x"}), strict=True
    ):
        (upstream.fails if "code" in answer else upstream.answers)(sent, answer)
    assert call.result == COMPLETE
    assert failed.error == {"code": -32042, "message": "x"}


def test_request_state_of_a_server_passes_verbatim_in_both_directions() -> None:
    talk, _, upstream = talking()
    client = talk.stateless_client(**ABLE)
    call = client.routes("echo")
    wants(upstream, upstream.sees_one(), state="its own", one=(ROOTS, {}))
    assert call.result["requestState"] == "its own"
    client.retries(call, {"one": {"roots": []}})
    again = upstream.sees_one()["params"]
    assert (again["requestState"], again["inputResponses"]) == ("its own", {"one": {"roots": []}})
    client.calls("a__echo", {}, requestState="its own", inputResponses={})
    sent = upstream.sees_one()["params"]
    assert (sent["name"], sent["requestState"]) == ("echo", "its own")


@pytest.mark.parametrize("name", ["mcp.router.list", "mcp.router.call", "unknown", 5])
def test_a_state_for_another_tool_is_invalid(name: Any) -> None:
    talk, _, _ = talking()
    client = talk.stateless_client()
    error = client.calls(name, {}, requestState="its own").error
    assert (error["code"], error["message"]) == (-32602, "Invalid or expired requestState")


# --- What it asks ----------------------------------------------------------------------------


def test_input_is_asked_for_with_real_requests_and_the_call_sent_again() -> None:
    talk, client, upstream = talking()
    call = client.routes("echo", _meta={"progressToken": "p"})
    first = upstream.sees_one()
    wants(upstream, first, a=(ELICIT, FORM), b=(ROOTS, {}))
    form, roots = questions_of(call)
    assert (form["method"], form["params"], roots["method"]) == (ELICIT, FORM, ROOTS)
    client.answers(roots, {"roots": []})
    assert upstream.sees() == []
    client.answers(form, {"action": "accept", "content": {}})
    again = upstream.sees_one()
    assert again["id"] != first["id"]
    assert again["params"].pop("inputResponses") == {
        "a": {"action": "accept", "content": {}},
        "b": {"roots": []},
    }
    assert again["params"].pop("requestState") == "s"
    assert again["params"].pop("_meta")["progressToken"] == again["id"]
    assert again["params"] == {key: first["params"][key] for key in ("name", "arguments")}
    news = {"progressToken": again["id"], "progress": 1}
    upstream.says("notifications/progress", news)
    upstream.answers(first, COMPLETE)  # too late: it asked for input
    assert call.is_waiting
    upstream.answers(again, COMPLETE)
    assert call.result == {"content": []}
    assert [one["params"]["progressToken"] for one in call.mailbox.take()[:1]] == ["p"]
    assert talk.core.next_deadline_s() is None


def test_without_a_state_none_is_sent_back() -> None:
    _, client, upstream = talking()
    call = client.routes("echo")
    wants(upstream, upstream.sees_one(), state=None, a=(ROOTS, {}))
    client.answers(questions_of(call)[0], {"roots": []})
    assert "requestState" not in upstream.sees_one()["params"]


def test_with_nothing_to_ask_the_call_is_sent_again_at_once_but_not_for_ever() -> None:
    _, client, upstream = talking()
    call = client.routes("echo")
    for number in range(MAX_ROUNDS):
        wants(upstream, upstream.sees_one(), state=str(number))
    last = upstream.sees_one()
    assert last["params"]["requestState"] == str(MAX_ROUNDS - 1)
    assert "inputResponses" not in last["params"]
    wants(upstream, last)
    assert call.tool_error[0] == "INTERNAL_ERROR"
    assert upstream.sees() == []


def test_a_url_to_visit_gets_the_id_that_sessions_have_for_it() -> None:
    _, client, upstream = talking()
    call = client.routes("echo")
    wants(upstream, upstream.sees_one(), a=(ELICIT, URL), b=(ELICIT, URL))
    ids = [one["params"]["elicitationId"] for one in questions_of(call)]
    assert len(set(ids)) == 2


@pytest.mark.parametrize("method", [ELICIT, ROOTS, SAMPLE, "made/up"])
def test_a_client_is_asked_only_what_it_declared(method: str) -> None:
    _, client, upstream = talking(experimental={})
    call = client.routes("echo")
    wants(upstream, upstream.sees_one(), a=(method, {}))
    code, message = call.tool_error
    assert (code, message.startswith("The server needs input: ")) == ("INTERNAL_ERROR", True)
    assert questions_of(call) == []


@pytest.mark.parametrize("asked", [5, {"a": 5}, {"a": {}}, {"a": {"method": ROOTS, "params": 5}}])
def test_input_requests_that_make_no_sense_end_the_call(asked: Any) -> None:
    _, client, upstream = talking()
    call = client.routes("echo")
    result = {"resultType": "input_required", "inputRequests": asked}
    upstream.answers(upstream.sees_one(), result)
    assert call.result["isError"] is True


@pytest.mark.parametrize("refuse", [False, True])
def test_a_client_that_refuses_ends_the_call(refuse: bool) -> None:
    talk, client, upstream = talking()
    call = client.routes("echo")
    wants(upstream, upstream.sees_one(), a=(ROOTS, {}), b=(ROOTS, {}))
    one, other = questions_of(call)
    if refuse:
        client.refuses(one, {"code": -1, "message": "no"})
    else:
        client.answers(one, 5)
    assert call.tool_error[0] == "INTERNAL_ERROR"
    client.answers(other, {"roots": []})
    assert upstream.sees() == []
    assert talk.core.next_deadline_s() is None


def test_a_client_that_leaves_meanwhile_is_let_go_of() -> None:
    talk, client, upstream = talking()
    client.routes("echo")
    wants(upstream, upstream.sees_one(), a=(ROOTS, {}))
    client.leaves()
    assert talk.core.next_deadline_s() is None
    assert all(one["method"] == "notifications/cancelled" for one in upstream.sees())


def test_people_take_longer_than_calls_but_not_for_ever() -> None:
    talk, client, upstream = talking()
    call = client.routes("echo")
    wants(upstream, upstream.sees_one(), a=(ROOTS, {}))
    talk.time_passes(T_S * 3.9)
    (question,) = questions_of(call)
    client.answers(question, {"roots": []})
    upstream.sees_one()
    talk.time_passes(T_S * 1.5)
    assert call.tool_error[0] == "TIMEOUT"


def test_a_session_that_is_lost_meanwhile_ends_the_call() -> None:
    talk, client, upstream = talking()
    call = client.routes("echo")
    wants(upstream, upstream.sees_one(), a=(ROOTS, {}))
    upstream.breaks()
    assert call.mailbox.take()[-1]["result"]["isError"] is True
    assert talk.core.next_deadline_s() is None


# --- What it lists ---------------------------------------------------------------------------


def test_sessions_are_listed_no_schema_that_they_refuse() -> None:
    talk, client, upstream = talking()
    schemas: list[Any] = [{"type": "object"}, {"type": "array"}, True, {"type": 5}]
    tools = [{"name": f"t{n}", "outputSchema": schema} for n, schema in enumerate(schemas)]
    tools.append({"name": "none"})
    listed = Catalog(tools=tuple(Item(tool["name"], raw(tool)) for tool in tools))
    talk.happens(CatalogChanged(upstream.session, listed))
    client.uses()
    shown = {one["name"]: one for one in client.asks("tools/list").result["tools"]}
    assert [shown[tool["name"]].get("outputSchema") for tool in tools] == [schemas[0], *[None] * 4]
    stateless = talk.stateless_connection()
    stateless.uses()
    assert stateless.asks("tools/list").result["tools"][-5:] == tools


def test_an_upstream_that_takes_back_what_it_did_not_ask_changes_nothing() -> None:
    _, client, upstream = talking()
    call = client.routes("echo")
    wants(upstream, upstream.sees_one(), a=(ROOTS, {}))
    upstream.says("notifications/cancelled", {"requestId": "a"})
    client.answers(questions_of(call)[0], {"roots": []})
    assert upstream.sees_one()["params"]["inputResponses"] == {"a": {"roots": []}}

"""A raw client of 2026-07-28 over streamable HTTP: each answer and its status.

The side under test is the router as a server of that revision. Rules: MCP 2026-07-28, Transports
(Streamable HTTP) and Versioning. `test_client_2026_headers` has the headers;
`tests/transports/listen` has the listener by itself.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e.chaos_upstream import TOOLS
from tests.e2e.client_2026 import PREFIX, REVISION_2026, Client2026, envelope, request, tool_call
from tests.e2e.sdk_client import OWN_TOOLS
from tests.e2e.shared_router import add_asking, shared_router
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.shared_router import SharedRouter

REVISIONS: Final = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", REVISION_2026]

LIST: Final = request("tools/list", "list")
CALL: Final = tool_call("plain", "echo", {"text": "hello"}, "call")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedRouter]:
    workspace = Workspace(tmp_path_factory.mktemp("2026-http")).add_chaos("plain")
    add_asking(workspace)
    with shared_router(workspace) as shared:
        yield shared


@pytest.fixture(scope="module")
def client(shared: SharedRouter) -> Client2026:
    """One principal for all tests that change nothing."""
    return shared.client()


# --- Answers ---------------------------------------------------------------------------------


def test_discover_says_what_the_router_speaks_and_has(client: Client2026) -> None:
    result = client.post(request("server/discover")).result
    assert result["supportedVersions"] == list(REVISIONS)
    assert result["capabilities"]["tools"] == {"listChanged": True}
    assert (result["ttlMs"], result["cacheScope"]) == (0, "private")


def test_tools_are_listed_with_how_long_and_for_whom_they_may_be_kept(client: Client2026) -> None:
    result = client.post(LIST).result
    assert [tool["name"] for tool in result["tools"]] == OWN_TOOLS
    assert (result["ttlMs"], result["cacheScope"]) == (0, "private")


@pytest.mark.parametrize(
    "message",
    [
        request("server/discover"),
        LIST,
        request("tools/call", name="mcp.router.list", arguments={}),
        request("tools/call", name="mcp.router.use", arguments={"instance_name": "nobody"}),
        CALL,
        tool_call("plain", "structured"),
        tool_call("plain", "fail"),
    ],
    ids=["discover", "list", "own-tool", "own-error", "echo", "structured", "fail"],
)
def test_every_result_says_that_it_is_complete_and_who_gave_it(
    message: dict[str, Any], client: Client2026
) -> None:
    answer = client.post(message)
    assert answer.result["resultType"] == "complete"
    assert answer.result["_meta"][f"{PREFIX}serverInfo"]["name"] == "mcp_router"
    assert answer.message["id"] == message["id"]
    assert answer.headers["content-type"] == "application/json"
    assert "mcp-session-id" not in answer.headers


def test_result_of_an_upstream_is_otherwise_unchanged(client: Client2026) -> None:
    result = client.post(tool_call("plain", "structured")).result
    assert result["content"] == [{"type": "text", "text": '{"sum": 3}'}]
    assert result["structuredContent"] == {"sum": 3}
    assert result["_meta"]["example.test/kept"] == [1, 2]
    assert not {"ttlMs", "cacheScope"} & result.keys()


def test_envelope_of_the_client_does_not_reach_a_handshake_upstream(client: Client2026) -> None:
    result = client.post(tool_call("plain", "raw", {"kept": [1, None]})).result
    params = json.loads(result["content"][0]["text"])
    assert params["arguments"] == {"kept": [1, None]}
    assert PREFIX not in json.dumps(params)


def test_error_of_an_upstream_comes_as_it_is(client: Client2026) -> None:
    answer = client.post(tool_call("plain", "refuse"))
    assert answer.error == {"code": -32602, "message": "I refuse"}


def test_progress_comes_on_the_stream_of_its_call_before_the_result(client: Client2026) -> None:
    with client.stream(tool_call("plain", "steps", {"count": 3}, "steps")) as stream:
        *progress, answer = stream.rest()
    assert [(one["params"]["progressToken"], one["params"]["progress"]) for one in progress] == [
        ("of-steps", 1),
        ("of-steps", 2),
        ("of-steps", 3),
    ]
    assert {one["method"] for one in progress} == {"notifications/progress"}
    assert answer["id"] == "steps"
    assert answer["result"]["resultType"] == "complete"


def test_closing_the_stream_of_a_call_cancels_it_upstream(client: Client2026) -> None:
    with client.stream(tool_call("plain", "hang", {"label": "left"})) as stream:
        assert stream.next()["method"] == "notifications/progress"
    result = client.post(tool_call("plain", "await_cancelled", {"label": "left"})).result
    assert result["content"][0]["text"] == "cancelled"


@pytest.mark.parametrize(
    ("level", "levels"),
    [("debug", ["debug", "warning"]), ("notice", ["warning"]), ("emergency", [])],
)
def test_request_gets_the_logs_of_its_call_from_the_level_that_it_names(
    level: str, levels: list[str], client: Client2026
) -> None:
    call = tool_call("asking", "logs")
    call["params"]["_meta"][f"{PREFIX}logLevel"] = level
    if not levels:
        assert client.post(call).headers["content-type"] == "application/json"
        return
    with client.stream(call) as stream:
        *logs, answer = stream.rest()
    assert [one["method"] for one in logs] == ["notifications/message"] * len(levels)
    assert [one["params"]["level"] for one in logs] == levels
    assert answer["result"]["content"][0]["text"] == "logged"


def test_request_that_names_no_level_gets_no_logs(client: Client2026) -> None:
    answer = client.post(tool_call("asking", "logs"))
    assert answer.headers["content-type"] == "application/json"
    assert answer.result["content"][0]["text"] == "logged"


def test_tool_of_a_used_instance_is_called_by_its_direct_name(client: Client2026) -> None:
    use = request("tools/call", name="mcp.router.use", arguments={"instance_name": "plain"})
    used = client.post(use).result["structuredContent"]
    assert used["active"] is True
    shown = ("description", "inputSchema")
    assert used["direct"] == [
        {"name": f"plain__{tool['name']}"} | {key: tool[key] for key in shown} for tool in TOOLS
    ]
    listed = client.post(LIST).result
    assert [tool["name"] for tool in listed["tools"]] == OWN_TOOLS
    echo = request("tools/call", name="plain__echo", arguments={"text": "by name"})
    assert client.post(echo).result["content"][0]["text"] == "by name"


# --- Revisions and methods -------------------------------------------------------------------


def test_unsupported_revision_is_answered_with_the_supported_revisions(client: Client2026) -> None:
    meta = envelope() | {f"{PREFIX}protocolVersion": "2099-01-01"}
    answer = client.post(request("tools/list", meta=meta), MCP_Protocol_Version="2099-01-01")
    assert answer.refusal == (400, -32022)
    assert answer.error["data"] == {"supported": REVISIONS, "requested": "2099-01-01"}


def test_handshake_request_under_an_unknown_revision_is_answered_with_the_same(
    client: Client2026,
) -> None:
    bare = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    answer = client.post(bare, MCP_Protocol_Version="2099-01-01")
    assert answer.refusal == (400, -32022)
    assert answer.error["data"]["supported"] == REVISIONS


def test_revisions_that_an_error_names_are_among_those_that_discover_names(
    client: Client2026,
) -> None:
    """A client chooses among them what to come with next (MCP 2026-07-28, Versioning)."""
    meta = envelope() | {f"{PREFIX}protocolVersion": "2099-01-01"}
    discover = request("server/discover", meta=meta)
    refused = client.post(discover, MCP_Protocol_Version="2099-01-01").error["data"]["supported"]
    discovered = client.post(request("server/discover")).result["supportedVersions"]
    assert REVISION_2026 in refused
    assert set(refused) <= set(discovered)


@pytest.mark.parametrize("method", ["nothing/here", "ping", "logging/setLevel", "prompts/list"])
def test_unknown_method_is_not_found(method: str, client: Client2026) -> None:
    answer = client.post(request(method))
    assert answer.refusal == (404, -32601)
    assert method in answer.error["message"]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_only_post_is_allowed(method: str, client: Client2026) -> None:
    answer = client.ask(method, MCP_Protocol_Version=REVISION_2026)
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


def test_notification_is_accepted_and_dropped(client: Client2026) -> None:
    params = {"_meta": envelope(), "requestId": "call"}
    cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}
    answer = client.post(cancelled)
    assert (answer.status, answer.body) == (202, b"")


@pytest.mark.parametrize(
    "body",
    [[LIST], [], {"jsonrpc": "2.0", "id": 1, "result": {}}, {"jsonrpc": "2.0", "id": 1}, 7],
    ids=["batch", "empty-batch", "response", "no-method", "number"],
)
def test_body_that_is_not_one_request_or_notification_is_refused(
    body: Any, client: Client2026
) -> None:
    assert client.post(body, Mcp_Method="tools/list").refusal == (400, -32600)


def test_what_is_no_json_is_refused(client: Client2026) -> None:
    answer = client.ask("POST", b"{", MCP_Protocol_Version=REVISION_2026, Mcp_Method="tools/list")
    assert answer.refusal == (400, -32700)


def test_listening_needs_a_client_that_takes_events(client: Client2026) -> None:
    listen = request("subscriptions/listen", notifications={"toolsListChanged": True})
    assert client.post(listen, Accept="application/json").status == 406


# --- Who is let in ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header", [{"Host": "evil.test"}, {"Origin": "http://evil.test"}, {"Origin": "null"}]
)
def test_other_sites_are_refused(header: dict[str, str], client: Client2026) -> None:
    assert client.post(LIST, **header).status == 403


@pytest.mark.parametrize("token", [None, "not-a-token-that-anybody-has"])
def test_nobody_is_let_in_without_a_good_token(token: str | None, client: Client2026) -> None:
    assert Client2026(client.url, token).post(LIST).status == 401


# --- Beside the handshake --------------------------------------------------------------------


def test_session_of_a_handshake_takes_no_request_of_2026(client: Client2026) -> None:
    """The header of the session says one revision, the envelope another."""
    answer = client.post(LIST, MCP_Protocol_Version="2025-06-18", Mcp_Method=None)
    assert answer.refusal == (400, -32020)


def test_same_ids_of_both_kinds_of_clients_at_the_same_time_do_not_cross(
    client: Client2026,
) -> None:
    wanted = [str(number) for number in range(400)]

    def echo(text: str) -> str:
        call = tool_call("plain", "echo", {"text": text}, request_id=int(text) // 40)
        if int(text) % 2:
            return client.post(call).result["content"][0]["text"]
        bare = call | {"params": {k: v for k, v in call["params"].items() if k != "_meta"}}
        return client.ask("POST", bare).result["content"][0]["text"]

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(echo, wanted)) == wanted


def test_handshake_request_is_served_as_before(client: Client2026) -> None:
    bare = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    result = client.ask("POST", bare).result
    assert not {"resultType", "ttlMs", "cacheScope", "_meta"} & result.keys()

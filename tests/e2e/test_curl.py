"""Plain curl, as the documentation of MCP Router 1.1 shows it, and other simple HTTP clients."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any, Final

import pytest

from router.messages.revisions import REVISIONS
from tests.e2e import peers
from tests.e2e.sdk_client import OWN_TOOLS

if TYPE_CHECKING:
    from tests.e2e.processes import RouterProcess

INITIALIZE: Final = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2024-11-05",
        "capabilities": {},
        "clientInfo": {"name": "curl", "version": "1.0"},
    },
}
JSON: Final = ("-H", "Content-Type: application/json")
BOTH: Final = ("-H", "Accept: application/json, text/event-stream")


def _curl(*words: str) -> tuple[int, dict[str, str], str]:
    """Run curl; the status, the headers in lower case, and the body."""
    command = [peers.program("curl"), "--silent", "--show-error", "--max-time", "30", "-i", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    head, _, body = done.stdout.partition("\n\n")
    status, *lines = head.splitlines()
    pairs = [line.split(": ", 1) for line in lines]
    return int(status.split()[1]), {name.lower(): value for name, value in pairs}, body


def _post(url: str, message: Any, *words: str) -> tuple[int, dict[str, str], str]:
    data = message if isinstance(message, str) else json.dumps(message)
    return _curl("-X", "POST", url, *JSON, *words, "-d", data)


def _request(method: str, request_id: int = 2, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


def test_initialize_by_plain_post_is_answered_with_one_json_body(router: RouterProcess) -> None:
    status, headers, body = _post(router.url("/mcp"), INITIALIZE)
    assert status == 200
    assert headers["content-type"].startswith("application/json")
    answer = json.loads(body)
    assert answer["id"] == 1
    assert answer["result"]["protocolVersion"] == "2024-11-05"
    assert answer["result"]["serverInfo"]["name"] == "mcp_router"


def test_tools_list_without_a_session_on_a_fresh_connection_is_answered(
    router: RouterProcess,
) -> None:
    status, headers, body = _post(router.url("/mcp"), _request("tools/list"))
    assert (status, headers["content-type"]) == (200, "application/json")
    answer = json.loads(body)
    assert answer["id"] == 2
    assert [tool["name"] for tool in answer["result"]["tools"]] == OWN_TOOLS


def test_tool_call_without_a_session_is_served_once(router: RouterProcess) -> None:
    wanted = {"instance_name": "plain", "tool_name": "echo", "arguments": {"text": "by curl"}}
    call = _request("tools/call", name="mcp.router.call", arguments=wanted)
    status, _, body = _post(router.url("/mcp"), call)
    assert status == 200
    assert json.loads(body)["result"]["content"] == [{"type": "text", "text": "by curl"}]


def test_session_opens_serves_and_ends(router: RouterProcess) -> None:
    url = router.url("/mcp")
    _, headers, _ = _post(url, INITIALIZE, *BOTH)
    session = ("-H", f"Mcp-Session-Id: {headers['mcp-session-id']}")
    initialized = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert _post(url, initialized, *BOTH, *session)[0] == 202
    assert _post(url, _request("tools/list"), *BOTH, *session)[0] == 200
    assert _curl("-X", "DELETE", url, *session)[0] in {200, 204}
    assert _post(url, _request("tools/list"), *BOTH, *session)[0] == 404


def test_unknown_session_is_404(router: RouterProcess) -> None:
    session = ("-H", "Mcp-Session-Id: 0123456789abcdef0123456789abcdef")
    assert _post(router.url("/mcp"), _request("tools/list"), *BOTH, *session)[0] == 404


def test_sse_stream_begins_with_its_endpoint(router: RouterProcess) -> None:
    command = [peers.program("curl"), "--silent", "--no-buffer", "-N", router.url("/sse")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as curl:
        try:
            assert curl.stdout is not None
            assert curl.stdout.readline() == "event: endpoint\n"
            path, _, session = curl.stdout.readline().removeprefix("data: ").strip().partition("=")
            assert path.endswith("/messages?session_id")
            assert len(session) == 32
            assert set(session) <= set("0123456789abcdef")
        finally:
            curl.kill()


# --- Bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ('{"jsonrpc": "2.0", "id": 1, "meth', -32700),
        ("nonsense", -32700),
        ("[]", -32600),
        ("42", -32600),
        ('{"jsonrpc": "1.0", "id": 1, "method": "ping"}', -32600),
        ('{"jsonrpc": "2.0", "id": 1}', -32600),
    ],
)
def test_what_is_no_message_is_400_with_its_json_rpc_error(
    body: str, code: int, router: RouterProcess
) -> None:
    status, _, answer = _post(router.url("/mcp"), body, *BOTH)
    assert status == 400
    assert json.loads(answer)["error"]["code"] == code


def test_batch_is_refused_where_its_revision_has_none(router: RouterProcess) -> None:
    url = router.url("/mcp")
    newer = INITIALIZE | {"params": INITIALIZE["params"] | {"protocolVersion": "2025-06-18"}}
    _, headers, _ = _post(url, newer, *BOTH)
    session = ("-H", f"Mcp-Session-Id: {headers['mcp-session-id']}")
    revision = ("-H", "MCP-Protocol-Version: 2025-06-18")
    batch = [_request("ping", 1), _request("ping", 2)]
    status, _, body = _post(url, batch, *BOTH, *session, *revision)
    assert status == 400
    assert json.loads(body)["error"]["code"] == -32600


def test_batch_is_answered_where_its_revision_has_them(router: RouterProcess) -> None:
    url = router.url("/mcp")
    older = INITIALIZE | {"params": INITIALIZE["params"] | {"protocolVersion": "2025-03-26"}}
    _, headers, _ = _post(url, older, *BOTH)
    session = ("-H", f"Mcp-Session-Id: {headers['mcp-session-id']}")
    batch = [_request("ping", 1), _request("ping", 2)]
    status, _, body = _post(url, batch, "-H", "Accept: application/json", *session)
    assert status == 200
    assert sorted(answer["id"] for answer in json.loads(body)) == [1, 2]


def test_unknown_method_is_method_not_found(router: RouterProcess) -> None:
    _, _, body = _post(router.url("/mcp"), _request("tools/burn"))
    assert json.loads(body)["error"]["code"] == -32601


def test_unknown_path_and_method_are_refused(router: RouterProcess) -> None:
    url = router.url("/mcp")
    assert _curl(url.replace("/mcp", "/nothing"))[0] == 404
    assert _curl("-X", "PUT", url)[0] == 405


@pytest.mark.parametrize("header", ["Host: evil.test", "Origin: http://evil.test"])
def test_other_hosts_and_origins_are_refused(header: str, router: RouterProcess) -> None:
    assert _post(router.url("/mcp"), INITIALIZE, "-H", header)[0] == 403


def test_a_probe_is_answered_in_the_revision_it_asks_for(router: RouterProcess) -> None:
    revision = ("-H", "MCP-Protocol-Version: 2026-07-28", "-H", "Mcp-Method: server/discover")
    status, _, body = _post(router.url("/mcp"), _probe("2026-07-28"), *BOTH, *revision)
    assert (status, json.loads(body)["result"]["supportedVersions"]) == (200, list(REVISIONS))


def test_a_probe_for_a_future_revision_is_answered_with_the_supported_revisions(
    router: RouterProcess,
) -> None:
    revision = ("-H", "MCP-Protocol-Version: 2099-01-01", "-H", "Mcp-Method: server/discover")
    status, _, body = _post(router.url("/mcp"), _probe("2099-01-01"), *BOTH, *revision)
    error = json.loads(body)["error"]
    assert (status, error["code"]) == (400, -32022)
    assert error["data"]["supported"][-2:] == ["2025-11-25", "2026-07-28"]
    assert error["data"]["requested"] == "2099-01-01"


def _probe(revision: str) -> dict[str, Any]:
    meta = {
        "io.modelcontextprotocol/protocolVersion": revision,
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    return _request("server/discover", _meta=meta)

"""A raw client of 2026-07-28 over streamable HTTP: the envelope of a request, and its headers.

The side under test is the router as a server of that revision. Rule: MCP 2026-07-28, Transports
(Streamable HTTP). A proxy that routes by the headers and a server that reads the message must not
read two things.
"""

from __future__ import annotations

import base64
import http.client
import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import pytest

from tests.e2e.client_2026 import (
    LIMIT_S,
    PREFIX,
    Client2026,
    envelope,
    headers_of,
    request,
    tool_call,
)
from tests.e2e.shared_router import add_asking, shared_router
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.shared_router import SharedRouter

LIST: Final = request("tools/list", "list")
CALL: Final = tool_call("plain", "echo", {"text": "hello"}, "call")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedRouter]:
    workspace = Workspace(tmp_path_factory.mktemp("client-2026-headers")).add_chaos("plain")
    add_asking(workspace)
    with shared_router(workspace) as shared:
        yield shared


@pytest.fixture(scope="module")
def client(shared: SharedRouter) -> Client2026:
    """One principal for all tests that change nothing."""
    return shared.client()


# --- The envelope ----------------------------------------------------------------------------


def _without(key: str) -> dict[str, Any]:
    return {name: value for name, value in envelope().items() if name != f"{PREFIX}{key}"}


@pytest.mark.parametrize(
    "params",
    [None, {}, {"_meta": {}}, {"_meta": _without("protocolVersion")}],
    ids=["no-params", "no-meta", "empty-meta", "no-version"],
)
def test_request_without_an_envelope_is_refused(
    params: dict[str, Any] | None, client: Client2026
) -> None:
    message: dict[str, Any] = {"jsonrpc": "2.0", "id": "bare", "method": "tools/list"}
    answer = client.post(message if params is None else message | {"params": params})
    assert answer.refusal == (400, -32602)
    assert answer.message["id"] == "bare"
    assert f"{PREFIX}protocolVersion" in answer.error["message"]


def test_envelope_without_capabilities_is_refused_and_named(client: Client2026) -> None:
    answer = client.post(request("tools/list", meta=_without("clientCapabilities")))
    assert answer.refusal == (400, -32602)
    assert f"{PREFIX}clientCapabilities" in answer.error["message"]


def test_envelope_need_not_say_who_the_client_is(client: Client2026) -> None:
    assert client.post(request("tools/list", meta=_without("clientInfo"))).result["tools"]


@pytest.mark.parametrize("capabilities", [None, [], "all", 1])
def test_capabilities_that_are_no_object_are_refused(capabilities: Any, client: Client2026) -> None:
    meta = envelope() | {f"{PREFIX}clientCapabilities": capabilities}
    assert client.post(request("tools/list", meta=meta)).refusal == (400, -32602)


# --- The headers -----------------------------------------------------------------------------


def _base64(text: str) -> str:
    return f"=?base64?{base64.b64encode(text.encode()).decode()}?="


@pytest.mark.parametrize(
    ("headers", "named"),
    [
        ({"MCP_Protocol_Version": None}, "mcp-protocol-version"),
        ({"MCP_Protocol_Version": "2025-11-25"}, "mcp-protocol-version"),
        ({"MCP_Protocol_Version": "2099-01-01"}, "mcp-protocol-version"),
        ({"Mcp_Method": None}, "mcp-method"),
        ({"Mcp_Method": "tools/list"}, "mcp-method"),
        ({"Mcp_Method": "TOOLS/CALL"}, "mcp-method"),
        ({"Mcp_Name": None}, "mcp-name"),
        ({"Mcp_Name": "echo"}, "mcp-name"),
        ({"Mcp_Name": "MCP.ROUTER.CALL"}, "mcp-name"),
        ({"Mcp_Name": _base64("echo")}, "mcp-name"),
        ({"Mcp_Name": "=?base64?not base64?="}, "mcp-name"),
        ({"Mcp_Name": _base64("mcp.router.call").replace("?=", "=?=")}, "mcp-name"),
    ],
)
def test_header_that_says_something_else_than_the_message_is_refused_and_named(
    headers: dict[str, str | None], named: str, client: Client2026
) -> None:
    answer = client.post(CALL, **headers)
    assert answer.refusal == (400, -32020)
    assert named in answer.error["message"].lower()
    assert answer.message["id"] == "call"


def test_name_may_be_sent_in_base64(client: Client2026) -> None:
    assert client.post(CALL, Mcp_Name=_base64("mcp.router.call")).result["content"]


@pytest.mark.parametrize("doubled", ["MCP-Protocol-Version", "Mcp-Method", "Mcp-Name"])
def test_routing_header_that_comes_twice_is_refused(doubled: str, client: Client2026) -> None:
    answer = _with_two(client, doubled, [headers_of(CALL)[doubled]] * 2)
    assert answer == (400, -32020)


@pytest.mark.parametrize("first", [0, 1])
def test_routing_header_that_comes_with_two_values_is_refused(
    first: int, client: Client2026
) -> None:
    values = ["mcp.router.list", "mcp.router.call"]
    assert _with_two(client, "Mcp-Name", [values[first], values[1 - first]]) == (400, -32020)


def _with_two(client: Client2026, name: str, values: list[str]) -> tuple[int, int]:
    """Post with a header twice; return the status and the code of the refusal."""
    connection = http.client.HTTPConnection(urlsplit(client.url).netloc, timeout=LIMIT_S)
    body = json.dumps(CALL).encode()
    headers = {key: value for key, value in headers_of(CALL).items() if key != name}
    try:
        connection.putrequest("POST", "/mcp")
        for key, value in [*headers.items(), *[(name, value) for value in values]]:
            connection.putheader(key, value)
        connection.putheader("Authorization", f"Bearer {client.token}")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Accept", "application/json, text/event-stream")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        return response.status, json.loads(response.read())["error"]["code"]
    finally:
        connection.close()


MIRRORED: Final = request("tools/call", name="asking__region", arguments={"region": "eu"})
"""A call of a tool that has `x-mcp-header` in its schema."""


@pytest.mark.parametrize("value", ["eu", _base64("eu")])
def test_argument_may_be_mirrored_into_a_header(value: str, client: Client2026) -> None:
    answer = client.post(MIRRORED, Mcp_Param_Region=value)
    assert answer.result["content"][0]["text"] == "eu"


def test_nobody_is_asked_to_mirror_arguments_that_are_not_compared_here(client: Client2026) -> None:
    """MCP 2026-07-28, Transports, Custom Headers: where a schema says `x-mcp-header`."""
    use = request("tools/call", name="mcp.router.use", arguments={"instance_name": "asking"})
    shown = client.post(use).result["structuredContent"]["direct"]
    (schema,) = [tool["inputSchema"] for tool in shown if tool["name"] == "asking__region"]
    assert schema["properties"]["region"]["type"] == "string"
    assert "x-mcp-header" not in json.dumps(schema)


@pytest.mark.parametrize("stray", ["0" * 32, "nonsense", ""])
def test_session_and_event_ids_mean_nothing(stray: str, client: Client2026) -> None:
    answer = client.post(LIST, Mcp_Session_Id=stray, Last_Event_ID=stray)
    assert answer.result["tools"]
    assert "mcp-session-id" not in answer.headers

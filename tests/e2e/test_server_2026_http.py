"""A server of 2026-07-28 over streamable HTTP, byte by byte; its clients are of two revisions.

The side under test is the router as a client of servers. The server is ours and records every
request: head, body, and how the connection ended.
"""

from __future__ import annotations

import http.client
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import attrs
import pytest

from tests.e2e import client_each_revision
from tests.e2e.client_2026 import PREFIX, REVISION_2026
from tests.e2e.client_answers import FORM_FILLED
from tests.e2e.threaded_server import serving_in_thread
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.client_each_revision import RevisionClient
    from tests.e2e.processes import RouterProcess

LIMIT_S: Final = 30.0

STATE: Final = rb'"\u017c\/\u0022 \ud83d\ude00 + \u002b"'
"""A `requestState` as it is written, in a way that no encoder would choose."""

FORM: Final = {
    "method": "elicitation/create",
    "params": {"message": "Who are you?", "requestedSchema": {"type": "object", "properties": {}}},
}
REGION: Final = {"type": "string", "x-mcp-header": "Region"}
TOOLS: Final = [
    {"name": "echo", "inputSchema": {"type": "object"}},
    {"name": "ask", "inputSchema": {"type": "object"}},
    {"name": "hang", "inputSchema": {"type": "object"}},
    {"name": "za\u017c\u00f3\u0142\u0107", "inputSchema": {"type": "object"}},
    {"name": "region", "inputSchema": {"type": "object", "properties": {"where": REGION}}},
]


@attrs.frozen
class Seen:
    """One request."""

    verb: str
    headers: dict[str, str]
    body: bytes
    is_left: threading.Event = attrs.field(factory=threading.Event)
    """The client closed the connection before it was answered."""

    @property
    def message(self) -> dict[str, Any]:
        return json.loads(self.body)


class Server(ThreadingHTTPServer):
    """The server; it offers session ids, which no client may use."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Talk)
        self.seen: list[Seen] = []
        self._news = threading.Condition()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/mcp"

    def note(self, one: Seen) -> None:
        with self._news:
            self.seen.append(one)
            self._news.notify_all()

    def wait_for(self, is_it: Callable[[Seen], bool]) -> Seen:
        """Return the last request that fits, or wait for the first one."""

        def found() -> list[Seen]:
            return [one for one in self.seen if is_it(one)]

        with self._news:
            assert self._news.wait_for(found, LIMIT_S)
            return found()[-1]

    def calls(self) -> list[Seen]:
        return [one for one in self.seen if one.headers.get("mcp-method") == "tools/call"]


class _Talk(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        seen = self._note(body)
        message = seen.message
        if message["method"] == "subscriptions/listen" or message["params"].get("name") == "hang":
            self._hang(seen)
        elif message["params"].get("name") == "ask":
            self._ask(message)
        else:
            answer = {"jsonrpc": "2.0", "id": message["id"], "result": _result(message)}
            self._answer(200, json.dumps(answer).encode())

    def do_GET(self) -> None:
        self._note(b"")
        self._answer(405, b"")

    do_DELETE = do_GET

    def _note(self, body: bytes) -> Seen:
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = Seen(self.command, headers, body)
        self.server.note(seen)
        return seen

    def _ask(self, message: dict[str, Any]) -> None:
        if "requestState" in message["params"]:
            result = b'{"resultType":"complete","content":[{"type":"text","text":"thanks"}]}'
        else:
            wanted = json.dumps({"who": FORM}).encode()
            result = b'{"resultType":"input_required","inputRequests":%b,"requestState":%b}'
            result %= (wanted, STATE)
        request_id = json.dumps(message["id"]).encode()
        self._answer(200, b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (request_id, result))

    def _hang(self, seen: Seen) -> None:
        """Begin a stream and wait until the client leaves it."""
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        token = seen.message["params"]["_meta"].get("progressToken")
        params = {"progressToken": token, "progress": 1}
        news = {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}
        self.wfile.write(b"data: %b\n\n" % json.dumps(news).encode())
        try:
            self.connection.settimeout(LIMIT_S)
            if self.connection.recv(1) == b"":
                seen.is_left.set()
        except ConnectionError:
            seen.is_left.set()

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Mcp-Session-Id", "nobody-wants-this")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *_: Any) -> None:  # noqa: A002 - as the base class has it
        """Say nothing."""


def _result(message: dict[str, Any]) -> dict[str, Any]:
    if message["method"] == "server/discover":
        capabilities = {"tools": {"listChanged": True}}
        return _cached({"supportedVersions": [REVISION_2026], "capabilities": capabilities})
    if message["method"] == "tools/list":
        return _cached({"tools": TOOLS})
    return {"resultType": "complete", "content": [{"type": "text", "text": "done"}]}


def _cached(result: dict[str, Any]) -> dict[str, Any]:
    return result | {"resultType": "complete", "ttlMs": 60_000, "cacheScope": "public"}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving_in_thread(Server()) as server:
        yield server


@pytest.fixture(scope="module")
def router(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterProcess]:
    """Run a router; the instance has a header of its own, and one that the router must override."""
    workspace = Workspace(tmp_path_factory.mktemp("server-2026-http"))
    headers = {"X-Own": "kept", "Mcp-Name": "forged"}
    with workspace.add("server", type="http", url=server.url, headers=headers).serve(
        "http"
    ) as router:
        yield router


@pytest.fixture(params=["2025-11-25", REVISION_2026])
def client(request: pytest.FixtureRequest, router: RouterProcess) -> Iterator[RevisionClient]:
    with client_each_revision.over_http(router, request.param) as client:
        client.call("server", "echo")
        yield client


# --- Heads -----------------------------------------------------------------------------------


def _check_head(one: Seen) -> None:
    message = one.message
    assert one.verb == "POST"
    assert one.headers["mcp-protocol-version"] == REVISION_2026
    assert one.headers["mcp-method"] == message["method"]
    assert one.headers["x-own"] == "kept"
    assert one.headers.keys().isdisjoint({"mcp-session-id", "last-event-id"})
    assert ("mcp-name" in one.headers) == (message["method"] == "tools/call")
    meta = message["params"]["_meta"]
    assert meta[f"{PREFIX}protocolVersion"] == REVISION_2026
    assert f"{PREFIX}clientCapabilities" in meta
    assert f"{PREFIX}clientInfo" in meta


def test_each_request_is_a_post_that_says_what_it_is(
    client: RevisionClient, server: Server
) -> None:
    assert client.call("server", "echo", text="x").text == "done"
    server.wait_for(lambda one: one.headers.get("mcp-method") == "subscriptions/listen")
    methods = [one.headers["mcp-method"] for one in server.seen]
    assert methods[:2] == ["server/discover", "tools/list"]
    for one in server.seen:
        _check_head(one)
    own, call = server.seen[0].message, server.calls()[-1]
    assert own["params"]["_meta"][f"{PREFIX}clientInfo"]["name"] == "mcp-router"
    assert call.headers["mcp-name"] == call.message["params"]["name"] == "echo"
    assert (
        call.message["params"]["_meta"][f"{PREFIX}clientInfo"] == client_each_revision.CLIENT_INFO
    )


def test_name_that_no_header_could_hold_is_encoded(client: RevisionClient, server: Server) -> None:
    assert client.call("server", "za\u017c\u00f3\u0142\u0107").text == "done"
    assert server.calls()[-1].headers["mcp-name"] == "=?base64?emHFvMOzxYLEhw==?="


@pytest.mark.parametrize(
    ("where", "header"),
    [("eu-north", "eu-north"), ("Z\u00fcrich", "=?base64?WsO8cmljaA==?=")],
)
def test_argument_that_a_tool_wants_in_a_header_is_there_too(
    client: RevisionClient, server: Server, where: str, header: str
) -> None:
    assert client.call("server", "region", where=where).text == "done"
    call = server.calls()[-1]
    assert call.headers["mcp-param-region"] == header
    assert call.message["params"]["arguments"] == {"where": where}


def test_argument_that_is_not_given_is_in_no_header(client: RevisionClient, server: Server) -> None:
    assert client.call("server", "region").text == "done"
    assert "mcp-param-region" not in server.calls()[-1].headers


# --- Leaving ---------------------------------------------------------------------------------


def test_cancelled_call_is_left_and_nothing_is_said_of_it(
    client: RevisionClient, server: Server
) -> None:
    hanging = client.begin("server", "hang")
    client.next_notification(client_each_revision.PROGRESS)
    call = server.calls()[-1]
    assert call.headers["mcp-name"] == "hang"
    client.cancel(hanging)
    assert call.is_left.wait(LIMIT_S)
    assert client.call("server", "echo").text == "done"
    assert "notifications/cancelled" not in {one.message["method"] for one in server.seen}


def test_router_that_stops_leaves_and_deletes_nothing(tmp_path_factory: Any) -> None:
    workspace = Workspace(tmp_path_factory.mktemp("server-2026-stop"))
    with serving_in_thread(Server()) as server:
        workspace.add("server", type="http", url=server.url, protocol=REVISION_2026)
        with workspace.serve("http"):
            listening = server.wait_for(
                lambda one: one.headers.get("mcp-method") == "subscriptions/listen"
            )
        assert listening.is_left.wait(LIMIT_S)
        assert {one.verb for one in server.seen} == {"POST"}


# --- States ----------------------------------------------------------------------------------


def test_router_gives_a_state_back_byte_by_byte(router: RouterProcess, server: Server) -> None:
    with client_each_revision.over_http(router, "2025-11-25") as client:
        told = client.call("server", "ask")
        assert (told.text, told.asked) == ("thanks", [(FORM["method"], FORM["params"])])
    first, again = server.calls()[-2:]
    assert b'"requestState":' + STATE in again.body
    params = again.message["params"]
    assert params.pop("inputResponses") == {"who": FORM_FILLED}
    del params["requestState"]
    assert again.message["id"] != first.message["id"]
    assert _without_token(params) == _without_token(first.message["params"])


def _without_token(params: dict[str, Any]) -> dict[str, Any]:
    """Return the params that must be the same whenever a call is sent again."""
    meta = {key: value for key, value in params["_meta"].items() if key != "progressToken"}
    return params | {"_meta": meta}


def test_state_passes_to_a_client_and_back_byte_by_byte(
    router: RouterProcess, server: Server
) -> None:
    wanted = {"instance_name": "server", "tool_name": "ask", "arguments": {}}
    envelope = {
        f"{PREFIX}protocolVersion": REVISION_2026,
        f"{PREFIX}clientCapabilities": {"elicitation": {}},
    }
    params = {"name": "mcp.router.call", "arguments": wanted, "_meta": envelope}
    asked = _post(router, json.dumps(params).encode())
    assert b'"requestState":' + STATE in asked
    assert json.loads(asked)["result"]["inputRequests"] == {"who": FORM}
    more = b', "inputResponses": {"who": %b}, "requestState":%b}'
    answers = json.dumps(FORM_FILLED).encode()
    done = _post(router, json.dumps(params).encode()[:-1] + more % (answers, STATE))
    assert json.loads(done)["result"]["content"] == [{"type": "text", "text": "thanks"}]
    assert b'"requestState":' + STATE in server.calls()[-1].body


def _post(router: RouterProcess, params: bytes) -> bytes:
    """Post a call as it is; return the body of the answer."""
    url = urlsplit(router.url("/mcp"))
    connection = http.client.HTTPConnection(url.netloc, timeout=LIMIT_S)
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": REVISION_2026,
        "Mcp-Method": "tools/call",
        "Mcp-Name": "mcp.router.call",
    }
    body = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":%b}' % params
    try:
        connection.request("POST", url.path, body, headers)
        with connection.getresponse() as response:
            return response.read()
    finally:
        connection.close()

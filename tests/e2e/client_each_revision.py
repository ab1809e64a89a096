"""A raw client of any revision, over streamable HTTP and stdio.

The client calls a tool, answers the questions that come (by responses, or by a retry at
2026-07-28), and keeps everything that it receives. All of it blocks; every wait has a limit.
"""

from __future__ import annotations

import http.client
import itertools
import json
import queue
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

import attrs

from tests.e2e.client_2026 import PREFIX, REVISION_2026
from tests.e2e.client_answers import ALL_CAPABILITIES, answer_to
from tests.e2e.raw_client import StdioRouter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.processes import RouterProcess
    from tests.e2e.workspace import Workspace

LIMIT_S: Final = 30.0

REVISIONS: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", REVISION_2026)

CLIENT_INFO: Final = {"name": "raw", "version": "1"}


class Wire(Protocol):
    """Carries messages to the router and back."""

    def send(self, message: dict[str, Any]) -> None: ...
    def receive(self) -> dict[str, Any]: ...
    def cancel(self, request_id: int) -> None: ...


# --- Streamable HTTP -------------------------------------------------------------------------


class HttpWire:
    """Streamable HTTP: every request on a connection of its own, all answers in one queue."""

    def __init__(self, url: str, revision: str) -> None:
        self._url = urlsplit(url)
        self._revision = revision
        self._headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
        }
        self._came: queue.Queue[dict[str, Any]] = queue.Queue()
        self._open: dict[Any, http.client.HTTPConnection] = {}
        self._threads: list[threading.Thread] = []

    def send(self, message: dict[str, Any]) -> None:
        """Post a message; the answer to a request arrives by `receive`."""
        if "method" in message and "id" in message:
            self._start(message["id"], "POST", message)
            return
        connection = self._connection()
        try:
            with self._ask(connection, "POST", message) as response:
                assert response.status == 202, response.read()
        finally:
            connection.close()

    def receive(self) -> dict[str, Any]:
        return self._came.get(timeout=LIMIT_S)

    def cancel(self, request_id: int) -> None:
        """Cancel a request: at 2026-07-28, close its connection."""
        if self._revision == REVISION_2026:
            self._leave(self._open[request_id])
        else:
            self.send({"method": "notifications/cancelled", "params": {"requestId": request_id}})

    def listen(self) -> None:
        """Open the stream of a session for messages that belong to no request."""
        opened = threading.Event()
        self._start("GET", "GET", None, opened)
        assert opened.wait(LIMIT_S)

    def close(self) -> None:
        for connection in list(self._open.values()):
            self._leave(connection)
        for thread in self._threads:
            thread.join(LIMIT_S)
            assert not thread.is_alive()

    def _start(self, key: Any, *args: Any) -> None:
        self._open[key] = self._connection()
        thread = threading.Thread(target=self._read, args=(key, *args), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._url.netloc, timeout=LIMIT_S)

    @staticmethod
    def _leave(connection: http.client.HTTPConnection) -> None:
        with suppress(OSError):
            if connection.sock is not None:
                connection.sock.shutdown(socket.SHUT_RDWR)

    def _read(
        self, key: Any, method: str, body: Any, opened: threading.Event | None = None
    ) -> None:
        connection = self._open[key]
        left = suppress(OSError, http.client.HTTPException)
        with left, self._ask(connection, method, body) as response:
            if session := response.headers.get("Mcp-Session-Id"):
                self._headers["Mcp-Session-Id"] = session
            if opened is not None:
                opened.set()
            for data in _messages(response):
                self._came.put(json.loads(data))
        del self._open[key]
        connection.close()

    def _ask(
        self, connection: http.client.HTTPConnection, method: str, body: dict[str, Any] | None
    ) -> http.client.HTTPResponse:
        data = None if body is None else json.dumps({"jsonrpc": "2.0", **body})
        connection.request(method, self._url.path, data, self._headers | self._routing(body))
        return connection.getresponse()

    def _routing(self, body: dict[str, Any] | None) -> dict[str, str]:
        if self._revision < "2025-06-18" or (body or {}).get("method") == "initialize":
            return {}  # there was no such header, or it is not agreed on yet
        headers = {"MCP-Protocol-Version": self._revision}
        if self._revision == REVISION_2026 and body is not None:
            headers["Mcp-Method"] = body["method"]
            if body["method"] == "tools/call":
                headers["Mcp-Name"] = body["params"]["name"]
        return headers


def _messages(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """The JSON of each message in a response; comments and empty events are passed over."""
    if response.headers["Content-Type"] == "application/json":
        yield response.read()
        return
    while line := response.readline():
        if line.startswith(b"data:") and (data := line.removeprefix(b"data:").strip()):
            yield data


# --- Stdio -----------------------------------------------------------------------------------


@attrs.frozen
class StdioWire:
    """The pipes of a router that was started for this client."""

    router: StdioRouter

    def send(self, message: dict[str, Any]) -> None:
        self.router.send(**message)

    def receive(self) -> dict[str, Any]:
        return self.router.read(LIMIT_S)

    def cancel(self, request_id: int) -> None:
        self.send({"method": "notifications/cancelled", "params": {"requestId": request_id}})


# --- The client ------------------------------------------------------------------------------


@attrs.define
class Outcome:
    """The outcome of a request.

    Attributes:
        before: the notifications that came before the answer.
        asked: the questions, method and params.
        answer: the message that ended it.
        states: each `requestState` that came meanwhile.
    """

    before: list[dict[str, Any]] = attrs.field(factory=list[Any])
    asked: list[tuple[str, dict[str, Any]]] = attrs.field(factory=list[Any])
    answer: dict[str, Any] = attrs.field(factory=dict[str, Any])
    states: list[str] = attrs.field(factory=list[str])

    @property
    def result(self) -> dict[str, Any]:
        assert "result" in self.answer, self.answer
        return self.answer["result"]

    @property
    def text(self) -> str:
        return self.result["content"][0]["text"]

    @property
    def progress(self) -> list[tuple[Any, Any]]:
        """Token and progress of each notification of progress."""
        params = [one["params"] for one in self.before if one["method"] == PROGRESS]
        return [(one["progressToken"], one["progress"]) for one in params]


PROGRESS: Final = "notifications/progress"
LOG: Final = "notifications/message"


@attrs.define
class RevisionClient:
    """A client of one revision; the same calls at each."""

    revision: str
    wire: Wire
    capabilities: dict[str, Any]
    _ids: Iterator[int] = attrs.field(factory=lambda: itertools.count(1))
    _cancelled: set[int] = attrs.field(factory=set[int])

    @property
    def is_2026(self) -> bool:
        return self.revision == REVISION_2026

    def ask(self, method: str, **params: Any) -> Outcome:
        """Send a request and answer the questions that come; return the outcome."""
        outcome = Outcome()
        params = self._enveloped(params)
        request_id = self._send(method, params)
        while True:
            message = self.wire.receive()
            if "id" not in message:
                outcome.before.append(message)
            elif "method" in message:
                self._reply(outcome, message)
            elif message["id"] == request_id and _wants_input(message):
                request_id = self._send(method, params | self._input_for(outcome, message))
            elif message["id"] == request_id:
                outcome.answer = message
                return outcome

    def call(
        self, instance: str, tool: str, log_level: str | None = None, **arguments: Any
    ) -> Outcome:
        """Call a tool of an instance by `mcp.router.call`."""
        return self.ask("tools/call", **self._call_of(instance, tool, arguments, log_level))

    def call_router_tool(self, tool: str, **arguments: Any) -> Any:
        """Call one of the router's own tools; return the value in its answer."""
        outcome = self.ask("tools/call", name=f"mcp.router.{tool}", arguments=arguments)
        return json.loads(outcome.text)

    def begin(self, instance: str, tool: str, **arguments: Any) -> int:
        """Call a tool without waiting for its answer; return the id of the request."""
        params = self._call_of(instance, tool, arguments)
        return self._send("tools/call", self._enveloped(params))

    def next_notification(self, method: str) -> dict[str, Any]:
        """The params of the next notification of this kind."""
        while (message := self.wire.receive()).get("method") != method:
            # The POST of a cancelled request ends with an error, which may come at any time.
            assert message.get("id") in {None, *self._cancelled}, message
        return message["params"]

    def cancel(self, request_id: int) -> None:
        """Cancel a request, in the way of its revision and transport."""
        self._cancelled.add(request_id)
        self.wire.cancel(request_id)

    def _send(self, method: str, params: dict[str, Any]) -> int:
        request_id = next(self._ids)
        self.wire.send({"id": request_id, "method": method, "params": params})
        return request_id

    def _call_of(
        self, instance: str, tool: str, arguments: dict[str, Any], log_level: str | None = None
    ) -> dict[str, Any]:
        wanted = {"instance_name": instance, "tool_name": tool, "arguments": arguments}
        meta = {"progressToken": TOKEN}
        if self.is_2026 and log_level is not None:
            meta[f"{PREFIX}logLevel"] = log_level
        return {"name": "mcp.router.call", "arguments": wanted, "_meta": meta}

    def _enveloped(self, params: dict[str, Any]) -> dict[str, Any]:
        if not self.is_2026:
            return params
        envelope = {
            f"{PREFIX}protocolVersion": REVISION_2026,
            f"{PREFIX}clientCapabilities": self.capabilities,
            f"{PREFIX}clientInfo": CLIENT_INFO,
        }
        return params | {"_meta": envelope | params.get("_meta", {})}

    def _reply(self, outcome: Outcome, question: dict[str, Any]) -> None:
        assert not self.is_2026, question
        method, params = question["method"], question.get("params", {})
        outcome.asked.append((method, params))
        self.wire.send({"id": question["id"], "result": answer_to(method, params)})

    def _input_for(self, outcome: Outcome, answer: dict[str, Any]) -> dict[str, Any]:
        """Return the members to add to the params of a retry."""
        assert self.is_2026, answer
        result = answer["result"]
        wanted = result.get("inputRequests", {})
        asked = {key: (one["method"], one.get("params", {})) for key, one in wanted.items()}
        outcome.asked += asked.values()
        more: dict[str, Any] = {"inputResponses": {k: answer_to(*one) for k, one in asked.items()}}
        if "requestState" in result:
            outcome.states.append(result["requestState"])
            more["requestState"] = result["requestState"]
        return more


TOKEN: Final = "of the client"


def _wants_input(answer: dict[str, Any]) -> bool:
    return answer.get("result", {}).get("resultType") == "input_required"


def _initialize(client: RevisionClient) -> None:
    outcome = client.ask(
        "initialize",
        protocolVersion=client.revision,
        capabilities=client.capabilities,
        clientInfo=CLIENT_INFO,
    )
    assert outcome.result["protocolVersion"] == client.revision
    client.wire.send({"method": "notifications/initialized"})


@contextmanager
def over_http(
    router: RouterProcess, revision: str, capabilities: dict[str, Any] = ALL_CAPABILITIES
) -> Iterator[RevisionClient]:
    """Connect to a router that listens; with a session, open its stream too."""
    wire = HttpWire(router.url("/mcp"), revision)
    client = RevisionClient(revision, wire, capabilities)
    try:
        if revision != REVISION_2026:
            _initialize(client)
            wire.listen()
        yield client
    finally:
        wire.close()


@contextmanager
def over_stdio(
    workspace: Workspace, revision: str, capabilities: dict[str, Any] = ALL_CAPABILITIES
) -> Iterator[RevisionClient]:
    """Start a router on stdio and be its client."""
    with (
        (workspace.path / "stderr.txt").open("a") as log,
        StdioRouter(workspace.stdio_command, stderr=log) as router,
    ):
        client = RevisionClient(revision, StdioWire(router), capabilities)
        if revision != REVISION_2026:
            _initialize(client)
        yield client

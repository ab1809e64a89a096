"""Clients of every revision, of our own making, over streamable HTTP and stdio.

Job: play one and the same client at any revision: call a tool, answer what is asked (by real
requests, or by coming again), keep everything that it is told. Neighbours: `dual_upstream` is the
server behind the router; `wire` has the pipes. All of it blocks; every wait has a limit.
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

from tests.e2e.wire import StdioRouter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.processes import RouterProcess
    from tests.e2e.site import Site

LIMIT_S: Final = 30.0

STATELESS: Final = "2026-07-28"
REVISIONS: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", STATELESS)
PREFIX: Final = "io.modelcontextprotocol/"

CLIENT_INFO: Final = {"name": "eras", "version": "1"}
EVERYTHING: Final[dict[str, Any]] = {
    "elicitation": {"form": {}, "url": {}},
    "sampling": {},
    "roots": {},
}
"""The capabilities of a client that can be asked anything."""

NAMED: Final = {"action": "accept", "content": {"name": "Ada"}}
VISITED: Final = {"action": "accept"}
SAMPLED: Final = {
    "role": "assistant",
    "content": {"type": "text", "text": "WHISPER"},
    "model": "shouting",
}
ROOTS: Final = {"roots": [{"uri": "file:///work", "name": "work"}]}


def reply_to(method: str, params: dict[str, Any]) -> dict[str, Any]:
    """What this client answers to a question."""
    if method == "elicitation/create":
        return VISITED if params.get("mode") == "url" else NAMED
    return {"sampling/createMessage": SAMPLED, "roots/list": ROOTS}[method]


class Wire(Protocol):
    """Where messages go and come from, whatever carries them."""

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
        """Post a message; what is answered to a request comes when it comes."""
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
        """Say that an answer is not waited for: at 2026-07-28 by leaving."""
        if self._revision == STATELESS:
            self._leave(self._open[request_id])
        else:
            self.send({"method": "notifications/cancelled", "params": {"requestId": request_id}})

    def listen(self) -> None:
        """Open the stream for what belongs to no request, once there is a session."""
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
        if self._revision == STATELESS and body is not None:
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
class Told:
    """What came of a request.

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
class EraClient:
    """A client of one revision; the same calls at each."""

    revision: str
    wire: Wire
    capabilities: dict[str, Any]
    _ids: Iterator[int] = attrs.field(factory=lambda: itertools.count(1))

    @property
    def is_stateless(self) -> bool:
        return self.revision == STATELESS

    def ask(self, method: str, **params: Any) -> Told:
        """Send a request and go through with it, answering what is asked on the way."""
        told = Told()
        params = self._enveloped(params)
        request_id = self._send(method, params)
        while True:
            message = self.wire.receive()
            if "id" not in message:
                told.before.append(message)
            elif "method" in message:
                self._reply(told, message)
            elif message["id"] == request_id and _wants_input(message):
                request_id = self._send(method, params | self._input_for(told, message))
            elif message["id"] == request_id:
                told.answer = message
                return told

    def call(
        self, instance: str, tool: str, log_level: str | None = None, **arguments: Any
    ) -> Told:
        """Call a tool of an instance by `mcp.router.call`."""
        return self.ask("tools/call", **self._call_of(instance, tool, arguments, log_level))

    def own(self, tool: str, **arguments: Any) -> Any:
        """The value that one of the router's own tools, and no other, answers with."""
        told = self.ask("tools/call", name=f"mcp.router.{tool}", arguments=arguments)
        return json.loads(told.text)

    def begin(self, instance: str, tool: str, **arguments: Any) -> int:
        """Call a tool without waiting for what comes of it; the id of the request."""
        params = self._call_of(instance, tool, arguments)
        return self._send("tools/call", self._enveloped(params))

    def next_notification(self, method: str) -> dict[str, Any]:
        """The params of the next notification of this kind."""
        while (message := self.wire.receive()).get("method") != method:
            assert "id" not in message, message
        return message["params"]

    def _send(self, method: str, params: dict[str, Any]) -> int:
        request_id = next(self._ids)
        self.wire.send({"id": request_id, "method": method, "params": params})
        return request_id

    def _call_of(
        self, instance: str, tool: str, arguments: dict[str, Any], log_level: str | None = None
    ) -> dict[str, Any]:
        wanted = {"instance_name": instance, "tool_name": tool, "arguments": arguments}
        meta = {"progressToken": TOKEN}
        if self.is_stateless and log_level is not None:
            meta[f"{PREFIX}logLevel"] = log_level
        return {"name": "mcp.router.call", "arguments": wanted, "_meta": meta}

    def _enveloped(self, params: dict[str, Any]) -> dict[str, Any]:
        if not self.is_stateless:
            return params
        envelope = {
            f"{PREFIX}protocolVersion": STATELESS,
            f"{PREFIX}clientCapabilities": self.capabilities,
            f"{PREFIX}clientInfo": CLIENT_INFO,
        }
        return params | {"_meta": envelope | params.get("_meta", {})}

    def _reply(self, told: Told, question: dict[str, Any]) -> None:
        assert not self.is_stateless, question
        method, params = question["method"], question.get("params", {})
        told.asked.append((method, params))
        self.wire.send({"id": question["id"], "result": reply_to(method, params)})

    def _input_for(self, told: Told, answer: dict[str, Any]) -> dict[str, Any]:
        """What is to be sent beside the old params."""
        assert self.is_stateless, answer
        result = answer["result"]
        wanted = result.get("inputRequests", {})
        asked = {key: (one["method"], one.get("params", {})) for key, one in wanted.items()}
        told.asked += asked.values()
        more: dict[str, Any] = {"inputResponses": {k: reply_to(*one) for k, one in asked.items()}}
        if "requestState" in result:
            told.states.append(result["requestState"])
            more["requestState"] = result["requestState"]
        return more


TOKEN: Final = "of the client"


def _wants_input(answer: dict[str, Any]) -> bool:
    return answer.get("result", {}).get("resultType") == "input_required"


def _shake_hands(client: EraClient) -> None:
    told = client.ask(
        "initialize",
        protocolVersion=client.revision,
        capabilities=client.capabilities,
        clientInfo=CLIENT_INFO,
    )
    assert told.result["protocolVersion"] == client.revision
    client.wire.send({"method": "notifications/initialized"})


@contextmanager
def over_http(
    router: RouterProcess, revision: str, capabilities: dict[str, Any] = EVERYTHING
) -> Iterator[EraClient]:
    """A client of a router that listens; one with a session listens for what belongs to none."""
    wire = HttpWire(router.url("/mcp"), revision)
    client = EraClient(revision, wire, capabilities)
    try:
        if revision != STATELESS:
            _shake_hands(client)
            wire.listen()
        yield client
    finally:
        wire.close()


@contextmanager
def over_stdio(
    site: Site, revision: str, capabilities: dict[str, Any] = EVERYTHING
) -> Iterator[EraClient]:
    """A client that has started a router of its own."""
    with (
        (site.folder / "stderr.txt").open("a") as log,
        StdioRouter(site.stdio_command, stderr=log) as router,
    ):
        client = EraClient(revision, StdioWire(router), capabilities)
        if revision != STATELESS:
            _shake_hands(client)
        yield client

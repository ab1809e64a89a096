"""A raw client of revision 2026-07-28 over streamable HTTP: tests choose every header and member.

Tests use this client where an SDK would hide an answer, or would not send what must be refused.
All of it blocks; every wait has a limit.
"""

from __future__ import annotations

import http.client
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import attrs

from tests.e2e.client_answers import ALL_CAPABILITIES

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT_S: Final = 30.0
REVISION_2026: Final = "2026-07-28"
PREFIX: Final = "io.modelcontextprotocol/"
SUBSCRIPTION: Final = f"{PREFIX}subscriptionId"


def envelope(capabilities: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Return the `_meta` of a request; `more` are members without the prefix."""
    return {
        f"{PREFIX}protocolVersion": REVISION_2026,
        f"{PREFIX}clientCapabilities": capabilities or {},
        f"{PREFIX}clientInfo": {"name": "raw", "version": "1"},
        **more,
    }


def request(
    method: str, request_id: int | str = 1, meta: dict[str, Any] | None = None, **params: Any
) -> dict[str, Any]:
    """Return a request with its envelope."""
    params["_meta"] = envelope() if meta is None else meta
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


def tool_call(
    instance: str,
    tool: str,
    arguments: dict[str, Any] | None = None,
    request_id: int | str = 1,
    capabilities: dict[str, Any] | None = ALL_CAPABILITIES,
    **more: Any,
) -> dict[str, Any]:
    """Return a `mcp.router.call` of an instance's tool; `more` are members beside `arguments`."""
    wanted = {"instance_name": instance, "tool_name": tool, "arguments": arguments or {}}
    meta = envelope(capabilities, progressToken=f"of-{request_id}")
    params = {"name": "mcp.router.call", "arguments": wanted, **more}
    return request("tools/call", request_id, meta, **params)


def retried(
    call: dict[str, Any], asked: dict[str, Any], answers: dict[str, Any], request_id: int | str = 2
) -> dict[str, Any]:
    """Return the retry of a call, with answers to the questions of an `input_required` result."""
    state = {"requestState": asked["requestState"]} if "requestState" in asked else {}
    return call | {"id": request_id, "params": call["params"] | state | {"inputResponses": answers}}


def bare(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message without `jsonrpc`."""
    return {key: value for key, value in message.items() if key != "jsonrpc"}


def headers_of(message: Any) -> dict[str, str]:
    """Return the routing headers that repeat a message."""
    if not isinstance(message, dict) or "method" not in message:
        return {"MCP-Protocol-Version": REVISION_2026}
    headers = {"MCP-Protocol-Version": REVISION_2026, "Mcp-Method": message["method"]}
    named = _NAMED.get(message["method"])
    if named is not None:
        headers["Mcp-Name"] = message["params"][named]
    return headers


_NAMED: Final = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
"""Method -> the member of `params` that the header `Mcp-Name` repeats."""


@attrs.frozen
class Answer:
    """A whole response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> Any:
        return json.loads(self.body)

    @property
    def result(self) -> Any:
        """The result of an answer that must be one."""
        assert self.status == 200, self
        return self.message["result"]

    @property
    def error(self) -> Any:
        """The error of an answer that must be one."""
        return self.message["error"]

    @property
    def refusal(self) -> tuple[int, int]:
        """The status and the code of an error."""
        return self.status, self.error["code"]


@attrs.frozen
class Client2026:
    """Sends requests to one endpoint, each on a connection of its own."""

    url: str
    token: str | None = None

    def ask(self, method: str, body: Any = None, **headers: str | None) -> Answer:
        """One HTTP request; `_` in the names of `headers` stands for `-`."""
        with self._exchange(method, body, headers) as response:
            got = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, got, response.read())

    def post(self, message: Any, **headers: str | None) -> Answer:
        """Post a message with the headers that belong to it; None leaves one out."""
        own = {name.replace("-", "_"): value for name, value in headers_of(message).items()}
        return self.ask("POST", message, **own | headers)

    @contextmanager
    def stream(self, message: dict[str, Any]) -> Iterator[Stream]:
        """Post a message whose answer is a stream of events; leaving closes the connection."""
        with self._exchange("POST", message, headers_of(message)) as response:
            assert response.status == 200, response.read()
            assert response.headers["Content-Type"] == "text/event-stream"
            yield Stream(response)

    @contextmanager
    def _exchange(
        self, method: str, body: Any, headers: dict[str, Any]
    ) -> Iterator[http.client.HTTPResponse]:
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=LIMIT_S)
        try:
            data = body if isinstance(body, bytes | None) else json.dumps(body)
            connection.request(method, parts.path, data, self._headers(headers))
            with connection.getresponse() as response:
                yield response
        finally:
            connection.close()

    def _headers(self, given: dict[str, Any]) -> dict[str, str]:
        own = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        if self.token is not None:
            own["Authorization"] = f"Bearer {self.token}"
        named = {name.replace("_", "-"): value for name, value in given.items()}
        return {name: value for name, value in (own | named).items() if value is not None}


@attrs.frozen
class Stream:
    """The events of a response, as they come."""

    _response: http.client.HTTPResponse

    def next(self) -> Any:
        """The next message; None at the end. Comments and empty events are passed over."""
        while line := self._response.readline():
            if line.startswith(b"data:") and (data := line.removeprefix(b"data:").strip()):
                return json.loads(data)
        return None

    def rest(self) -> list[Any]:
        """All messages up to the end."""
        return list(iter(self.next, None))


def asked(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the questions of a result, by their keys; the result must be `input_required`."""
    assert result["resultType"] == "input_required", result
    return result["inputRequests"]

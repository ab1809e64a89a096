"""A client of MCP 2026-07-28 of our own making: every header and every member in our hands.

Neighbours: `test_stateless_*` use it where an SDK would not say what it was told, or would not
send what must be refused. `clients` has the SDK's own. All of it blocks; every wait has a limit.
"""

from __future__ import annotations

import http.client
import itertools
import json
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import attrs

from tests.e2e.site import CONFIG, Site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.processes import RouterProcess

LIMIT_S: Final = 30.0
REVISION: Final = "2026-07-28"
PREFIX: Final = "io.modelcontextprotocol/"
SUBSCRIPTION: Final = f"{PREFIX}subscriptionId"

EVERYTHING: Final[dict[str, Any]] = {
    "elicitation": {"form": {}, "url": {}},
    "sampling": {"tools": {}},
    "roots": {},
}
"""The capabilities of a client that can be asked anything."""


def envelope(capabilities: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """The `_meta` of a request; `more` are members without the prefix."""
    return {
        f"{PREFIX}protocolVersion": REVISION,
        f"{PREFIX}clientCapabilities": capabilities or {},
        f"{PREFIX}clientInfo": {"name": "stateless", "version": "1"},
        **more,
    }


def request(
    method: str, request_id: int | str = 1, meta: dict[str, Any] | None = None, **params: Any
) -> dict[str, Any]:
    """A request with its envelope."""
    params["_meta"] = envelope() if meta is None else meta
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


def tool_call(
    instance: str,
    tool: str,
    arguments: dict[str, Any] | None = None,
    request_id: int | str = 1,
    capabilities: dict[str, Any] | None = EVERYTHING,
    **more: Any,
) -> dict[str, Any]:
    """A call of an instance's tool by `mcp.router.call`; `more` are members beside `arguments`."""
    wanted = {"instance_name": instance, "tool_name": tool, "arguments": arguments or {}}
    meta = envelope(capabilities, progressToken=f"of-{request_id}")
    params = {"name": "mcp.router.call", "arguments": wanted, **more}
    return request("tools/call", request_id, meta, **params)


def retried(
    call: dict[str, Any], asked: dict[str, Any], answers: dict[str, Any], request_id: int | str = 2
) -> dict[str, Any]:
    """The same call again, with the answers to the questions of an `input_required` result."""
    state = {"requestState": asked["requestState"]} if "requestState" in asked else {}
    return call | {"id": request_id, "params": call["params"] | state | {"inputResponses": answers}}


def bare(message: dict[str, Any]) -> dict[str, Any]:
    """The members of a message that differ from one to the next."""
    return {key: value for key, value in message.items() if key != "jsonrpc"}


def headers_of(message: Any) -> dict[str, str]:
    """The routing headers that belong to a message."""
    if not isinstance(message, dict) or "method" not in message:
        return {"MCP-Protocol-Version": REVISION}
    headers = {"MCP-Protocol-Version": REVISION, "Mcp-Method": message["method"]}
    if message["method"] == "tools/call":
        headers["Mcp-Name"] = message["params"]["name"]
    return headers


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
class Http:
    """Where to; each request is on a connection of its own."""

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
    """The questions of a result that must be `input_required`, by their keys."""
    assert result["resultType"] == "input_required", result
    return result["inputRequests"]


# --- Routers for it --------------------------------------------------------------------------

ASKING: Final = Path(__file__).with_name("asking_upstream.py")
PRINCIPALS: Final = 60
"""More than any module has tests, since what a client selects stays with its principal."""

DRAIN_S: Final = 5
"""So that a call that a failed test left open does not hold up the end for long."""


def add_asking(site: Site, name: str = "asking") -> Path:
    """Add the upstream that asks back; the file in which it records what it is sent."""
    record = site.folder / f"{name}.jsonl"
    site.add_command(name, sys.executable, "-B", str(ASKING), str(record))
    return record


@attrs.frozen
class Served:
    """A router that knows many tokens, so that each test can be somebody of its own."""

    site: Site
    router: RouterProcess
    _numbers: Iterator[int] = attrs.field(factory=itertools.count)

    def token(self) -> str:
        """The token of a principal that has not been here yet."""
        number = next(self._numbers)
        assert number < PRINCIPALS
        return _token(number)

    def client(self) -> Http:
        """A client that has not been here yet."""
        return Http(self.router.url("/mcp"), self.token())


@contextmanager
def served(site: Site, *transports: str, **sections: dict[str, Any]) -> Iterator[Served]:
    """A router over a site, for as long as this lasts; `sections` are those of config.json."""
    tokens = {f"p{number}": {"token": _token(number)} for number in range(PRINCIPALS)}
    server = CONFIG["server"] | {"drain_s": DRAIN_S}
    site.configure(**{"server": server, "security": {"tokens": tokens}, **sections})
    with site.serve(*transports or ("http",)) as router:
        yield Served(site, router)


def _token(number: int) -> str:
    return f"canary-token-of-p{number}-0123456789"

"""A router behind nginx, Caddy and HAProxy, each as configured in `deploy/proxies`.

Every request goes over TLS, to the public name, and below a path prefix. Clients call from other
addresses of this machine than the proxies do.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

import anyio
import attrs
import httpx2
import pytest
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from tests.e2e.raw_client import HELLO
from tests.e2e.rest_client import TOKEN
from tests.e2e.reverse_proxies import (
    NAME,
    PREFIX,
    PROXIES,
    Backends,
    make_certificate,
    reverse_proxies,
)
from tests.e2e.sdk_client import OWN_TOOLS, call, call_text, run, tool_names
from tests.e2e.secured_router import call as call_of
from tests.e2e.secured_router import rpc
from tests.e2e.websocket_client import Follower
from tests.e2e.workspace import CONFIG, Workspace

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8 as its own addresses"
)

LIMIT_S: Final = 30.0
HEADERS: Final = {
    "Host": NAME,
    "Authorization": f"Bearer {TOKEN}",
    "Accept": "application/json, text/event-stream",
    "Content-Type": "application/json",
}
SPOOFED: Final = {"X_Forwarded_For": "203.0.113.9", "X_Forwarded_Prefix": "/elsewhere"}
MB: Final = 1_000_000


class Reply:
    """A response whose body is still to be read; leaving closes its connection."""

    def __init__(self, connection: http.client.HTTPSConnection) -> None:
        self._connection = connection
        self._response = connection.getresponse()
        self.status = self._response.status
        self.headers = self._response.headers

    def line_with(self, mark: bytes) -> str:
        """Return the first line of a stream that has `mark` in it."""
        while True:
            line = self._response.readline()
            assert line, f"the stream ended without {mark!r}"
            if mark in line:
                return line.decode().strip()

    def json(self) -> Any:
        """Read the whole body."""
        return json.loads(self._response.read())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._response.close()
        self._connection.close()


@attrs.frozen
class Proxy:
    """One of the proxies, in front of the router that they share.

    Attributes:
        address: the address that its clients call from.
    """

    name: str
    address: str
    port: int
    tls: ssl.SSLContext

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """Send a request on a connection of its own; `_` in names of headers stands for `-`."""
        connection = http.client.HTTPSConnection(
            "127.0.0.1",
            self.port,
            context=self.tls,
            timeout=LIMIT_S,
            source_address=(self.address, 0),
        )
        data = None if body is None else json.dumps(body).encode()
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, data, HEADERS | more)
        return Reply(connection)

    @asynccontextmanager
    async def connect(self, transport: str) -> AsyncIterator[Client]:
        """Connect the SDK's client over `http` or `sse`."""
        url = f"https://127.0.0.1:{self.port}{PREFIX}"
        headers = {name: HEADERS[name] for name in ("Host", "Authorization")}

        def new_client(
            headers: dict[str, str] | None = headers,
            timeout: httpx2.Timeout | None = None,
            auth: httpx2.Auth | None = None,
        ) -> httpx2.AsyncClient:
            given = timeout or httpx2.Timeout(LIMIT_S)
            return httpx2.AsyncClient(headers=headers, timeout=given, auth=auth, verify=self.tls)

        if transport == "sse":
            over = sse_client(f"{url}/sse", headers, httpx_client_factory=new_client)
            async with Client(over, mode="legacy") as client:
                yield client
            return
        async with new_client() as http:
            over = streamable_http_client(f"{url}/mcp", http_client=http)
            async with Client(over, mode="legacy") as client:
                yield client


@attrs.frozen
class Site:
    """The router with its audit log, and its proxies, each with a stream open from the start."""

    proxies: dict[str, Proxy]
    idle: dict[str, Reply]
    audit_file: Path

    def audited(self, event: str, address: str) -> dict[str, Any]:
        """Wait for a line of the audit log about this event from this address."""
        ends_at_s = time.monotonic() + LIMIT_S
        while time.monotonic() < ends_at_s:
            for line in self.audit_file.read_text().splitlines():
                told = json.loads(line)
                if (told["event"], told.get("address")) == (event, address):
                    return told
            time.sleep(0.01)  # a thread writes it soon
        raise AssertionError(self.audit_file.read_text())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("proxies")
    workspace = Workspace(folder / "router").add_chaos("plain").add_command("off", "true")
    server = {"public_url": f"https://{NAME}{PREFIX}", "trusted_proxies": ["127.0.0.1"]}
    issuer = {
        "issuer": "http://127.0.0.1:1",  # nobody is there, and nobody needs to be
        "audience": "any",
        "permissions": {"scope:mcp": ["call"]},
        "login": {"client_id": "router"},
    }
    security = {"bearer_token": TOKEN, "oauth": {"issuers": [issuer]}}
    logs = {"directory": str(folder / "logs"), "audit": True}
    api = {"enabled": True, "port": 0, "enable_realtime_logs": True}
    server = CONFIG["server"] | server
    workspace.configure(api=api, security=security, server=server, logging=logs)
    certificate = make_certificate(folder)
    with ExitStack() as running:
        router = running.enter_context(workspace.serve("http", "sse", "api"))
        backends = Backends(router.netloc("/mcp"), router.netloc("/sse"), router.netloc())
        ports = running.enter_context(reverse_proxies(folder, backends, certificate))
        tls = certificate.trusted()
        proxies = {
            name: Proxy(name, f"127.0.0.{number}", ports[name], tls)
            for number, name in enumerate(PROXIES, 2)
        }
        streams = {
            name: running.enter_context(proxy.ask("GET", f"{PREFIX}/sse", **SPOOFED))
            for name, proxy in proxies.items()
        }
        yield Site(proxies, streams, folder / "logs" / "audit.jsonl")


@pytest.fixture(params=PROXIES)
def proxy(site: Site, request: pytest.FixtureRequest) -> Proxy:
    return site.proxies[request.param]


# --- MCP -------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["http", "sse"])
def test_progress_and_cancellation_pass_while_a_call_runs(proxy: Proxy, transport: str) -> None:
    label = f"{proxy.name}-{transport}"

    async def scenario() -> None:
        heard = anyio.Event()

        async def note(*_: object) -> None:
            await anyio.lowlevel.checkpoint()
            heard.set()

        async with proxy.connect(transport) as client, anyio.create_task_group() as tasks:
            assert await tool_names(client) == OWN_TOOLS
            hang = partial(call, progress_callback=note)
            tasks.start_soon(hang, client, "plain", "hang", {"label": label})
            await heard.wait()
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                told = await call_text(client, "plain", "await_cancelled", label=label)
                assert told == "cancelled"

    run(scenario)


def test_call_ends_when_its_client_has_left(proxy: Proxy) -> None:
    label = f"left-{proxy.name}"
    hang = call_of("plain", "hang", label=label)
    hang["params"]["_meta"] = {"progressToken": 1}
    with proxy.ask("POST", f"{PREFIX}/mcp", hang) as left:
        left.line_with(b"notifications/progress")
    waiting = call_of("plain", "await_cancelled", label=label)
    with proxy.ask("POST", f"{PREFIX}/mcp", waiting) as answered:
        assert answered.json()["result"]["content"][0]["text"] == "cancelled"


def test_session_ends_by_delete(proxy: Proxy) -> None:
    with proxy.ask("POST", f"{PREFIX}/mcp", rpc("initialize", **HELLO)) as opened:
        session = {"Mcp_Session_Id": opened.headers["Mcp-Session-Id"]}
    with proxy.ask("POST", f"{PREFIX}/mcp", rpc("ping"), **session) as pinged:
        assert pinged.json()["result"] == {}
    with proxy.ask("DELETE", f"{PREFIX}/mcp", **session) as ended:
        assert ended.status == 204
    with proxy.ask("POST", f"{PREFIX}/mcp", rpc("ping"), **session) as refused:
        assert refused.status == 404


def test_large_call_passes_and_a_larger_one_is_refused_by_the_router(proxy: Proxy) -> None:
    text = "x" * (9 * MB)
    with proxy.ask("POST", f"{PREFIX}/mcp", call_of("plain", "echo", text=text)) as passed:
        assert passed.json()["result"]["content"][0]["text"] == text
    too_large = call_of("plain", "echo", text="x" * (11 * MB))
    with proxy.ask("POST", f"{PREFIX}/mcp", too_large) as refused:
        assert refused.status == 413
        assert refused.json()["detail"].startswith("Request body too large")


# --- Addresses and prefixes ------------------------------------------------------------------


def test_stream_names_the_address_below_the_prefix_whatever_the_client_sends(
    site: Site, proxy: Proxy
) -> None:
    said = site.idle[proxy.name].line_with(b"data: ")
    assert said.startswith(f"data: {PREFIX}/messages?session_id=")


def test_document_of_the_api_is_about_the_paths_below_the_prefix(proxy: Proxy) -> None:
    with proxy.ask("GET", f"{PREFIX}/openapi.json", **SPOOFED) as document:
        assert document.json()["servers"] == [{"url": PREFIX}]


def test_client_has_its_own_address_in_the_audit_log_whatever_it_sends(
    site: Site, proxy: Proxy
) -> None:
    pytest.importorskip("router.audit")
    with proxy.ask("POST", f"{PREFIX}/mcp", call_of("plain", "pid"), **SPOOFED) as answered:
        assert answered.status == 200
    wrong = {"Authorization": "Bearer wrong", **SPOOFED}
    with proxy.ask("POST", f"{PREFIX}/mcp", call_of("plain", "pid"), **wrong) as refused:
        assert refused.status == 401
    assert site.audited("call", proxy.address)["target"]
    assert site.audited("refused", proxy.address)["status"] == 401
    assert SPOOFED["X_Forwarded_For"] not in site.audit_file.read_text()


# --- Logins ----------------------------------------------------------------------------------


def test_client_finds_out_where_to_log_in(proxy: Proxy) -> None:
    site, well_known = f"https://{NAME}", "/.well-known/oauth-protected-resource"
    announced = f"{PREFIX}{well_known}/mcp"
    with proxy.ask("POST", f"{PREFIX}/mcp", rpc("ping"), Authorization="") as refused:
        assert f'resource_metadata="{site}{announced}"' in refused.headers["WWW-Authenticate"]
    for path in (announced, f"{well_known}{PREFIX}/mcp"):
        with proxy.ask("GET", path, Origin="https://page.example.net") as document:
            assert document.json()["resource"] == f"{site}{PREFIX}/mcp"
            assert document.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/oauth/client-metadata.json", 200),
        ("GET", "/oauth/callback?state=unknown&code=1", 400),
        ("GET", "/oauth/login/unknown", 404),
        ("GET", "/login", 502),  # its issuer is not there
        ("GET", "/login/callback?state=unknown&code=1", 400),
        ("GET", "/login/who", 200),
        ("POST", "/logout", 403),
    ],
)
def test_pages_of_logins_are_the_router_s_own(
    proxy: Proxy, method: str, path: str, status: int
) -> None:
    with proxy.ask(method, f"{PREFIX}{path}") as answered:
        assert answered.status == status
        assert answered.headers["X-Content-Type-Options"] == "nosniff"


# --- The REST API ----------------------------------------------------------------------------


def test_refusal_of_the_router_passes_as_it_is(proxy: Proxy) -> None:
    body = {"instance": "off", "tool": "echo", "params": {}}
    with proxy.ask("POST", f"{PREFIX}/api/call", body) as unavailable:
        assert (unavailable.status, unavailable.headers["Retry-After"]) == (503, "5")
        assert unavailable.json()["detail"]["code"] == "UNAVAILABLE"


def test_log_passes_over_a_websocket(proxy: Proxy) -> None:
    netloc, host = f"127.0.0.1:{proxy.port}", f"Host: {NAME}"
    with Follower(netloc, TOKEN, f"{PREFIX}/ws", host, tls=proxy.tls) as follower:
        assert follower.status == 101
        assert "Realtime Logs" in follower.until("\n")[0]


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/health", "/metrics", "/", "/mcp/a/b"])
def test_nothing_else_of_the_router_is_exposed(proxy: Proxy, path: str) -> None:
    for target in (path, f"{PREFIX}{path}"):
        with proxy.ask("GET", target) as refused:
            assert refused.status == 404
            assert refused.headers["X-Content-Type-Options"] is None


# --- Last, because it takes its time ---------------------------------------------------------


def test_idle_stream_stays_open_and_gets_keep_alives(site: Site, proxy: Proxy) -> None:
    assert site.idle[proxy.name].line_with(b"keep-alive") == ": keep-alive"

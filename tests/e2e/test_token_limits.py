"""Limits of tokens: the calls of each one, and wrong ones from one address."""

from __future__ import annotations

import http.client
import json
import signal
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.exceptions import MCPError

from router.messages.errors import OVERLOADED
from tests.e2e.processes import RouterProcess
from tests.e2e.raw_client import ANSWER_LIMIT_S, HttpClient
from tests.e2e.rest_client import RestClient
from tests.e2e.secured_router import ask, rpc
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BOSS: Final = "canary-token-of-the-boss-0123456789"
BURST: Final = 4
SLOW: Final[dict[str, int]] = {"calls_per_minute": 1, "burst": BURST}
RATES: Final[dict[str, dict[str, int]]] = {
    "shared": SLOW,
    "changed": SLOW,
    "sdk": {"calls_per_minute": 1},
    "narrow": {"concurrent_calls": 1},
}
ECHO: Final = {
    "name": "mcp.router.call",
    "arguments": {"instance_name": "plain", "tool_name": "echo", "arguments": {"text": "hi"}},
}
HANG: Final = {
    "name": "mcp.router.call",
    "arguments": {"instance_name": "plain", "tool_name": "hang", "arguments": {}},
}


def token_of(name: str) -> str:
    return f"canary-token-of-{name}-0123456789"


@attrs.frozen
class Limited:
    """A router whose tokens have these rates."""

    workspace: Workspace
    router: RouterProcess

    def configure(self, **rates: dict[str, int]) -> None:
        """Write config.json with these rates instead of the usual ones."""
        tokens = {
            name: {"token": token_of(name), "rate": rate} for name, rate in (RATES | rates).items()
        }
        self.workspace.configure(
            security={"bearer_token": BOSS, "tokens": tokens}, api={"enabled": True, "port": 0}
        )

    def rest(self, token: str) -> RestClient:
        return RestClient(int(self.router.netloc().rpartition(":")[2]), token)

    def session(self, token: str) -> HttpClient:
        client = HttpClient(self.router.url("/mcp"), token)
        client.initialize()
        return client

    def calls_in_flight(self) -> int:
        (row,) = self.rest(BOSS).ask("GET", "/api/status").json
        return row["in_flight"]


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Limited]:
    workspace = Workspace(tmp_path_factory.mktemp("limited"))
    workspace.add_chaos("plain")
    words = ["serve", "--transport", "http", "--transport", "sse", *workspace.words]
    Limited(workspace, None).configure()  # type: ignore[arg-type]
    with RouterProcess(words) as router:
        yield Limited(workspace, router)


def echoes(client: HttpClient) -> tuple[int, Any]:
    """Call `echo`; return the status and the answer."""
    status, body = client.post({"id": 1, "method": "tools/call", "params": ECHO})
    return status, json.loads(body)


# --- The calls of one token ------------------------------------------------------------------


def test_sessions_lone_requests_and_rest_share_the_calls_of_their_token(limited: Limited) -> None:
    token = token_of("shared")
    http, rest = limited.router.netloc("/mcp"), limited.rest(token)
    with closing(limited.session(token)) as one, closing(limited.session(token)) as other:
        assert echoes(one)[0] == echoes(other)[0] == 200
        assert ask(http, "POST", "/mcp", token, rpc("tools/call", **ECHO))[0] == 200
        assert rest.call("echo", text="hi").status == 200
        for client in (one, other):
            status, answer = echoes(client)
            assert (status, answer["error"]["code"]) == (429, OVERLOADED)
            assert "faster than 1 a minute" in answer["error"]["message"]
        status, headers, _ = ask(http, "POST", "/mcp", token, rpc("tools/call", **ECHO))
        assert (status, 0 < int(headers["retry-after"]) <= 60) == (429, True)
        refused = rest.call("echo", text="hi")
        assert (refused.status, refused.json["detail"]["code"]) == (429, "OVERLOADED")
        assert 0 < int(refused.headers["retry-after"]) <= 60
        # The router itself still answers, and so do its servers to others.
        assert one.post({"id": 1, "method": "tools/list"})[0] == 200
        assert limited.rest(BOSS).call("echo", text="hi").status == 200


def test_event_stream_of_the_older_transport_tells_it_as_an_error(limited: Limited) -> None:
    token = token_of("shared")
    with closing(limited.session(token)) as spent:
        while echoes(spent)[0] == 200:
            pass
    netloc = limited.router.netloc("/sse")
    with closing(http.client.HTTPConnection(netloc, timeout=ANSWER_LIMIT_S)) as connection:
        connection.request("GET", "/sse", headers={"Authorization": f"Bearer {token}"})
        stream = connection.getresponse()
        lines = iter(stream.readline, b"")
        target = next(line for line in lines if line.startswith(b"data: "))
        path = target.removeprefix(b"data: ").strip().decode()
        assert ask(netloc, "POST", path, token, rpc("tools/call", **ECHO))[0] == 202
        answer = next(line for line in lines if line.startswith(b"data: "))
        assert json.loads(answer.removeprefix(b"data: "))["error"]["code"] == OVERLOADED
        stream.close()


def test_other_limits_hold_at_once_and_end_no_session(limited: Limited) -> None:
    with closing(limited.session(token_of("changed"))) as client:
        assert [echoes(client)[0] for _ in range(BURST + 1)] == [200] * BURST + [429]
        limited.configure(changed={"concurrent_calls": 9})
        limited.router.popen.send_signal(signal.SIGHUP)
        limited.router.stderr.wait_for(r"config\.json: changed: security\.tokens")
        ends_at_s = time.monotonic() + ANSWER_LIMIT_S
        while echoes(client)[0] != 200:
            assert time.monotonic() < ends_at_s
        assert [echoes(client)[0] for _ in range(3 * BURST)] == [200] * 3 * BURST


def test_call_in_flight_leaves_no_room_for_another_one_until_it_ends(limited: Limited) -> None:
    token = token_of("narrow")
    ends_at_s = time.monotonic() + ANSWER_LIMIT_S
    with closing(limited.session(token)) as client:
        client.send({"id": 1, "method": "tools/call", "params": HANG})
        while not limited.calls_in_flight():
            assert time.monotonic() < ends_at_s
        with closing(limited.session(token)) as other:
            status, answer = echoes(other)
            assert (status, answer["error"]["data"]["limit"]) == (429, "concurrent_calls")
            with closing(client.on_another_connection()) as same:
                assert same.delete() == 204
            while echoes(other)[0] != 200:
                assert time.monotonic() < ends_at_s


async def test_sdk_tells_its_program_of_the_limit_and_goes_on(limited: Limited) -> None:
    headers = {"Authorization": f"Bearer {token_of('sdk')}"}
    async with create_mcp_http_client(headers=headers) as http_client:
        transport = streamable_http_client(limited.router.url("/mcp"), http_client=http_client)
        async with Client(transport) as client:
            await client.call_tool(ECHO["name"], ECHO["arguments"])
            with pytest.raises(MCPError) as caught:
                await client.call_tool(ECHO["name"], ECHO["arguments"])
            assert caught.value.error.code == OVERLOADED
            assert "try again in" in caught.value.error.message
            assert (await client.list_tools()).tools


# --- Wrong tokens ----------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has more than one loopback address")
def test_guessing_is_answered_with_429_and_a_right_token_lets_in_at_once(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.configure(security={"bearer_token": BOSS})
    with workspace.serve("http") as router:
        netloc = router.netloc("/mcp")
        guesses = [f"canary-guess-{number}" for number in range(1000)]
        assert post_from(netloc, "127.0.0.1", *guesses) == [401] * 20 + [429] * 980
        assert post_from(netloc, "127.0.0.1", BOSS) == [200]
        assert post_from(netloc, "127.0.0.2", BOSS, "canary-guess") == [200, 401]
    lines = [line for line in router.stderr.text.splitlines() if "Refused" in line]
    assert [line.partition("Refused ")[2] for line in lines] == [
        "127.0.0.1 (/mcp): 401 Invalid bearer token",
        "127.0.0.1 (/mcp): 429 Too many wrong tokens came from this address; try again later",
        "127.0.0.2 (/mcp): 401 Invalid bearer token",
        "127.0.0.1 19 times more, 20 in all (/mcp): 401 Invalid bearer token",
        "127.0.0.1 979 times more, 980 in all (/mcp): 429 Too many wrong tokens came from this "
        "address; try again later",
    ]
    assert "canary" not in router.stderr.text


def post_from(netloc: str, address: str, *tokens: str) -> list[int]:
    """Send a `ping` with each of these tokens from a loopback address; return the statuses."""
    host, _, port = netloc.rpartition(":")
    statuses: list[int] = []
    connection = http.client.HTTPConnection(
        host, int(port), timeout=ANSWER_LIMIT_S, source_address=(address, 0)
    )
    with closing(connection):
        for token in tokens:
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            connection.request("POST", "/mcp", json.dumps(rpc("ping")), headers)
            response = connection.getresponse()
            response.read()
            assert (response.headers["Retry-After"] is not None) == (response.status == 429)
            statuses.append(response.status)
    return statuses

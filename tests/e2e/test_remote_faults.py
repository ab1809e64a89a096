"""Remote servers that fail: through a proxy that breaks calls, to the client and back.

Each fault has its own promise. In all of them the router says what happened, with the cause, and
others are served meanwhile.
"""

from __future__ import annotations

import json
import socket
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

from router.messages.errors import SESSION_LOST, TRANSPORT_ERROR, UNAVAILABLE
from tests.e2e.client_2026 import REVISION_2026
from tests.e2e.fault_proxy import Cut, FaultProxy, HalfOpen, Pass, Reset, Status, fault_proxy
from tests.e2e.raw_client import HttpClient
from tests.e2e.remote_upstream import HANDSHAKE, RemoteServer, remote_server
from tests.e2e.rest_client import RestClient, configure_rest, rest_router
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.fault_table import Measured
    from tests.e2e.processes import RouterProcess

LIMIT_S: Final = 30.0
TOKEN: Final = "canary-token-of-the-faults"
ERAS: Final = (HANDSHAKE, REVISION_2026)
HELLO: Final = [{"type": "text", "text": "hello"}]

LONG_HOST: Final = "a-host-with-a-long-name.invalid"
"""Longer than the parts of a path that are taken for keys. RFC 6761: it never resolves."""

NOWHERE: Final = (
    f"http://user:canary-password@{LONG_HOST}:8080/canary-0123456789abcdef/mcp?key=canary-key"
)
REMOTES: Final = 11
"""As many as there are tests that need one."""


@attrs.frozen
class Setting:
    """A router before a remote server behind a proxy, and two ways to ask it."""

    router: RouterProcess
    client: HttpClient
    rest: RestClient
    name: str
    server: RemoteServer
    proxy: FaultProxy

    def call(self, instance: str | None = None) -> dict[str, Any]:
        """Call a tool by its direct name; return the whole answer."""
        params = {"name": f"{instance or self.name}__echo", "arguments": {}}
        _, body = self.client.post({"id": 1, "method": "tools/call", "params": params})
        return json.loads(body)

    def fails(self) -> dict[str, Any]:
        """Call the tool of the remote server; return the JSON-RPC error."""
        return self.call()["error"]

    def row(self) -> dict[str, Any]:
        return self.rest.row(self.name)

    def row_when(self, is_it: Callable[[dict[str, Any]], bool]) -> Any:
        """Return the row of the instance once it is as wanted."""
        ends_at_s = time.monotonic() + LIMIT_S
        while not is_it(row := self.row()):
            assert time.monotonic() < ends_at_s, row
            time.sleep(0.02)
        return row


@attrs.frozen
class Routed:
    """A router that tests share, with a remote server of its own for each."""

    router: RouterProcess
    client: HttpClient
    rest: RestClient
    remotes: list[tuple[str, RemoteServer, FaultProxy]]

    def setting(self) -> Setting:
        """Return the setting of a server that no test has used yet, once it is ready."""
        setting = Setting(self.router, self.client, self.rest, *self.remotes.pop())
        setting.row_when(lambda row: row["state"] == "ready")
        return setting


@contextmanager
def _routed(workspace: Workspace, revision: str, **more: Any) -> Iterator[Routed]:
    with ExitStack() as stack:
        remotes: list[tuple[str, RemoteServer, FaultProxy]] = []
        configure_rest(workspace, TOKEN, **more)
        for number in range(REMOTES):
            server = stack.enter_context(remote_server(revision))
            proxy = stack.enter_context(fault_proxy(server.server_port))
            workspace.add(f"remote{number}", type="http", url=proxy.url)
            remotes.append((f"remote{number}", server, proxy))
        workspace.add_chaos("plain")
        router, rest = stack.enter_context(rest_router(workspace, "http", "api"))
        rest = attrs.evolve(rest, token=TOKEN)
        client = HttpClient(router.url("/mcp"), TOKEN)
        stack.callback(client.close)
        client.initialize()
        yield Routed(router, client, rest, remotes)


@pytest.fixture(scope="module", params=ERAS)
def routed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Routed]:
    """A router before remote servers of either era; a call may take a second.

    One more instance is of a host that does not exist.
    """
    workspace = Workspace(tmp_path_factory.mktemp("faults"))
    workspace.add("nowhere", type="http", url=NOWHERE)
    with _routed(workspace, request.param, mcp_client={"timeout": 1}) as routed:
        yield routed


@pytest.fixture
def setting(routed: Routed) -> Setting:
    """A remote server of the test's own."""
    return routed.setting()


# --- Refused with a status -------------------------------------------------------------------


@pytest.mark.fault(16, "five 5xx in a row", "degraded and spared, with the time of the next try")
def test_server_that_refuses_five_calls_is_spared(setting: Setting) -> None:
    setting.proxy.fault = Status(500)
    errors = [setting.fails() for _ in range(12)]
    assert setting.proxy.calls == 5
    assert [error["code"] for error in errors] == [TRANSPORT_ERROR] * 5 + [UNAVAILABLE] * 7
    assert "answered 500 Internal Server Error" in errors[0]["message"]
    data = errors[-1]["data"]
    assert data["state"] == "degraded"
    assert "answered 500" in data["last_error"]
    assert 0 < data["retry_in_s"] <= 30
    row = setting.row()
    assert (row["state"], row["connected"]) == ("degraded", True)
    assert "answered 500" in row["last_error"]
    setting.router.stderr.wait_for(f"{setting.name} is degraded .*answered 500.*next try in 30.0 s")
    assert "result" in setting.call("plain")


@pytest.mark.fault(16, "429 or 503 with Retry-After", "obeyed")
@pytest.mark.parametrize("status", [429, 503])
def test_server_that_names_a_time_is_obeyed(status: int, setting: Setting) -> None:
    setting.proxy.fault = Status(status, (("Retry-After", "2"),))
    began_at_s = time.monotonic()
    assert setting.fails()["code"] == TRANSPORT_ERROR
    assert setting.fails()["data"]["retry_in_s"] <= 2
    setting.proxy.fault = Pass()
    while "error" in (answer := setting.call()):
        assert setting.proxy.calls == 1
        time.sleep(0.02)
    assert time.monotonic() - began_at_s >= 2
    assert answer["result"]["content"] == HELLO
    assert setting.row()["state"] == "ready"
    setting.router.stderr.wait_for(f"{setting.name} answers again")


@pytest.mark.fault(16, "503 with Retry-After at the start", "obeyed, and said")
def test_server_that_names_a_time_while_it_starts_is_obeyed(
    setting: Setting, measured: Measured
) -> None:
    setting.proxy.fault = Status(503, (("Retry-After", "3"),), is_for_all=True)
    began_at_s = time.monotonic()
    change = {"headers": {"X-Changed": "1"}}  # so it is started anew
    assert setting.rest.ask("PATCH", f"/api/instances/{setting.name}", change).status == 200
    row = setting.row_when(lambda row: row["state"] == "backoff")
    assert row["last_error"].endswith("answered 503 Service Unavailable; Retry-After: 3 s")
    assert 1 < row["retry_in_s"] <= 3
    setting.proxy.fault = Pass()
    setting.row_when(lambda row: row["state"] == "ready")
    took_s = time.monotonic() - began_at_s
    measured(f"tried again after {took_s:.1f} s")
    assert took_s >= 3


def test_words_of_the_server_are_the_reason(setting: Setting) -> None:
    body = b"Access is only allowed at localhost:23203\n"
    setting.proxy.fault = Status(403, (("Content-Type", "text/plain"),), body)
    message = setting.fails()["message"]
    assert message.endswith("answered 403 Forbidden: Access is only allowed at localhost:23203")


@pytest.mark.fault(17, "remote answers 401", "the state says so, no storm")
def test_server_that_wants_credentials_is_not_stormed(setting: Setting) -> None:
    setting.proxy.fault = Status(401, is_for_all=True)
    setting.call()
    row = setting.row_when(lambda row: "401 Unauthorized" in (row["last_error"] or ""))
    assert row["state"] != "ready"
    assert "set headers.Authorization" in row["last_error"]
    before = setting.proxy.requests
    for _ in range(20):
        setting.rest.call("echo", setting.name)
    assert setting.proxy.calls == 1
    # The supervisor tries again now and then, whatever clients do.
    assert setting.proxy.requests - before <= 5


def test_each_loss_of_a_call_has_the_same_shape(setting: Setting) -> None:
    wanted = {"instance_name": setting.name, "tool_name": "echo", "arguments": {}}
    for fault, code in ((Status(500), "TRANSPORT_ERROR"), (Reset(), "SESSION_LOST")):
        setting.proxy.fault = fault
        params = {"name": "mcp.router.call", "arguments": wanted}
        _, body = setting.client.post({"id": 1, "method": "tools/call", "params": params})
        result = json.loads(body)["result"]
        assert result["isError"]
        told = json.loads(result["content"][0]["text"])
        assert told["code"] == code
        assert told["error"].startswith(f"Instance '{setting.name}' failed during the call: ")


# --- Broken connections ----------------------------------------------------------------------


@pytest.mark.fault(14, "connection reset in a call", "not sent again")
def test_call_whose_connection_is_reset_is_not_sent_again(setting: Setting) -> None:
    setting.proxy.fault = Reset()
    error = setting.fails()
    assert error["code"] == SESSION_LOST
    assert "broke: " in error["message"]
    assert setting.proxy.calls == 1
    setting.proxy.fault = Pass()
    assert setting.call()["result"]["content"] == HELLO


@pytest.mark.fault(15, "half-open connection", "fails by T, the connection is left")
def test_call_on_a_half_open_connection_times_out_and_the_connection_is_left(
    setting: Setting,
) -> None:
    setting.proxy.fault = HalfOpen()
    assert setting.fails()["message"] == "Timeout exceeded: 1s"
    assert setting.proxy.is_left.wait(LIMIT_S)
    setting.proxy.fault = Pass()
    assert setting.call()["result"]["content"] == HELLO
    assert setting.server.calls == 1


@pytest.mark.fault(18, "response stream cut", "an error, or resumed where the server can")
def test_answer_that_is_cut_is_an_error_or_is_resumed(setting: Setting) -> None:
    began_at_s = time.monotonic()
    setting.proxy.fault = Cut(after_bytes=_bytes_of_the_first_event(setting))
    answer = setting.call()
    assert time.monotonic() - began_at_s < 5  # the promise is 1 s, but this machine may be busy
    assert setting.server.calls == 1
    if setting.server.revision == HANDSHAKE:
        assert answer["result"]["content"] == HELLO
        assert setting.server.resumed == 1
    else:
        assert answer["error"]["code"] == SESSION_LOST
        assert "its answer ended before it was complete" in answer["error"]["message"]


def _bytes_of_the_first_event(setting: Setting) -> int:
    """Return how much of a response ends within the event that holds the answer."""
    with socket.create_connection(("127.0.0.1", setting.server.server_port)) as sock:
        body = b'{"jsonrpc":"2.0","id":100,"method":"tools/call"}'
        sock.sendall(b"POST /mcp HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        response = b""
        while chunk := sock.recv(1 << 16):
            response += chunk
    setting.server.calls = 0
    return response.index(b'"result"')


# --- Not there at all ------------------------------------------------------------------------


@pytest.mark.fault(19, "DNS failure", "error in <= 5 s, others go on")
def test_host_that_does_not_exist_is_named_and_holds_up_nobody(setting: Setting) -> None:
    nowhere = attrs.evolve(setting, name="nowhere")
    row = nowhere.row_when(lambda row: bool(row["last_error"]))
    shown = f"http://{LONG_HOST}:8080/***/mcp"
    assert f"cannot connect to {shown}: its host name cannot be resolved" in row["last_error"]
    began_at_s = time.monotonic()
    error = nowhere.fails()
    assert time.monotonic() - began_at_s < 5
    assert error["code"] == UNAVAILABLE
    assert shown in error["message"]
    assert "result" in nowhere.call("plain")
    setting.router.stderr.wait_for(f"nowhere (is down|failed) .*{LONG_HOST}")
    assert "canary" not in setting.router.stderr.text

"""The REST API of a real router: every route, over real sockets, with instances that run."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

from tests.e2e.processes import Lines, router_command
from tests.e2e.rest_client import (
    LIMIT_S,
    TOKEN,
    RestClient,
    chaos_entry,
    configure_rest,
    rest_router,
)
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

BODY_LIMIT: Final = 10 * 1024 * 1024
TOO_LARGE: Final = f"Request body too large. Maximum size: {BODY_LIMIT} bytes"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RestClient]:
    """A router for the tests that change nothing."""
    workspace = Workspace(tmp_path_factory.mktemp("rest"))
    configure_rest(workspace, mcp_client={"timeout": 2})
    workspace.add_chaos("plain").add_command("off", "true", isActive=False)
    with rest_router(workspace) as (router, client):
        router.stderr.wait_for("plain is ready")
        yield client


# --- What there is ---------------------------------------------------------------------------


def test_open_routes_need_no_token(api: RestClient) -> None:
    stranger = attrs.evolve(api, token=None)
    root = stranger.ask("GET", "/").json
    assert (root["name"], root["status"]) == ("MCP Router API", "running")
    assert root["endpoints"]["api"] == api.url
    assert stranger.ask("GET", "/health").json == {"status": "healthy"}
    assert stranger.ask("GET", "/openapi.json").json["openapi"].startswith("3.1")
    page = stranger.ask("GET", "/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert b"/api/instances/{name}" in page.body
    assert stranger.ask("GET", "/docs.css").headers["content-type"].startswith("text/css")


@pytest.mark.parametrize(
    ("token", "detail"),
    [(None, "Bearer token required but not provided"), ("wrong", "Invalid bearer token")],
)
def test_all_else_needs_the_token(api: RestClient, token: str | None, detail: str) -> None:
    stranger = attrs.evolve(api, token=token)
    for method, target in [
        ("GET", "/api/instances"),
        ("GET", "/api/config"),
        ("POST", "/api/call"),
        ("POST", "/api/ws-ticket"),
        ("DELETE", "/api/instances/plain"),
        ("GET", "/elsewhere"),
    ]:
        got = stranger.ask(method, target)
        assert (got.status, got.json) == (401, {"detail": detail})


def test_every_answer_has_the_security_headers(api: RestClient) -> None:
    for target in ("/", "/docs", "/api/instances", "/nothing", "/api/instances/nobody"):
        headers = api.ask("GET", target).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["content-security-policy"] == "default-src 'self'"


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.test"}, {"Origin": "null"}],
)
def test_wrong_host_or_origin_is_403(api: RestClient, headers: dict[str, str]) -> None:
    for target in ("/", "/api/instances", "/ws"):
        assert api.ask("GET", target, **headers).status == 403


def test_head_is_get_without_the_body(api: RestClient) -> None:
    got = api.ask("HEAD", "/api/instances")
    assert (got.status, got.body) == (200, b"")


def test_instances_and_their_tools(api: RestClient) -> None:
    rows = {row["name"]: row for row in api.ask("GET", "/api/instances").json}
    assert set(rows) == {"plain", "off"}
    assert rows["plain"]["state"] == "ready"
    assert rows["off"]["active"] is False
    assert api.row("off")["name"] == "off"
    tools = api.ask("GET", "/api/tools").json
    assert set(tools) == {"plain"}
    assert tools["plain"] == api.ask("GET", "/api/tools/plain").json
    assert set(tools["plain"][0]) == {"name", "description", "inputSchema"}


def test_status_counts(api: RestClient) -> None:
    before = {row["name"]: row for row in api.ask("GET", "/api/status").json}["plain"]["calls"]
    api.call("echo", text="x")
    after = {row["name"]: row for row in api.ask("GET", "/api/status").json}["plain"]
    assert (after["calls"], after["in_flight"]) == (before + 1, 0)
    assert after["since_s"] >= 0


def test_configuration_is_shown_without_its_secrets(api: RestClient) -> None:
    got = api.ask("GET", "/api/config")
    assert got.json["current_instance"] is None
    assert {row["name"] for row in got.json["instances"]} == {"plain", "off"}
    assert got.json["settings"]["security"]["bearer_token"] == {"set": True}
    assert got.json["problems"] == []
    assert TOKEN.encode() not in got.body


@pytest.mark.parametrize("route", ["/api/instances", "/api/tools"])
def test_unknown_instance_is_404(api: RestClient, route: str) -> None:
    got = api.ask("GET", f"{route}/nobody")
    assert (got.status, got.code) == (404, "INSTANCE_NOT_FOUND")
    assert "'plain'" in got.json["detail"]["error"]


# --- Calls -----------------------------------------------------------------------------------


def test_call_answers_with_the_tools_result(api: RestClient) -> None:
    got = api.call("echo", text="héllo <script>")
    assert got.status == 200
    assert got.json["content"] == [{"type": "text", "text": "héllo <script>"}]


def test_tool_that_fails_is_200_with_is_error(api: RestClient) -> None:
    got = api.call("fail")
    assert (got.status, got.json["isError"]) == (200, True)


def test_upstream_that_refuses_is_400_with_its_reason(api: RestClient) -> None:
    got = api.call("refuse")
    assert got.status == 400
    assert set(got.json["detail"]) == {"error", "code"}


def test_unknown_tool_and_instance_of_a_call_are_404(api: RestClient) -> None:
    assert (api.call("nothing").status, api.call("nothing").code) == (404, "TOOL_NOT_FOUND")
    assert (api.call("echo", "nobody").status, api.call("echo", "nobody").code) == (
        404,
        "INSTANCE_NOT_FOUND",
    )


def test_inactive_instance_is_503(api: RestClient) -> None:
    got = api.call("echo", "off")
    assert (got.status, got.code) == (503, "UNAVAILABLE")
    assert "not active" in got.json["detail"]["error"]


def test_call_that_takes_too_long_is_504(api: RestClient) -> None:
    got = api.call("hang", label="slow")
    assert (got.status, got.code) == (504, "TIMEOUT")


def test_call_is_cancelled_upstream_when_its_client_leaves(api: RestClient) -> None:
    body = json.dumps({"instance": "plain", "tool": "hang", "params": {"label": "left"}})
    with socket.create_connection(("127.0.0.1", api.port), LIMIT_S) as sock:
        sock.sendall(
            f"POST /api/call HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        # In the order of arrival: when this one is answered, the other has reached the upstream.
        api.call("echo", text="x")
    assert api.call("await_cancelled", label="left").status == 200


# --- Bodies ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 422),
        ({"instance": "plain"}, 422),
        ({"instance": "plain", "tool": "echo", "params": 1}, 422),
    ],
)
def test_body_that_does_not_fit(api: RestClient, body: Any, status: int) -> None:
    assert api.ask("POST", "/api/call", body).status == status


def test_body_that_is_too_large_is_413_with_and_without_a_length(api: RestClient) -> None:
    body = b'{"x":"' + b"y" * BODY_LIMIT + b'"}'
    announced = api.ask("POST", "/api/call", body)
    assert (announced.status, announced.json) == (413, {"detail": TOO_LARGE})
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=LIMIT_S)
    with closing(connection):
        parts = (body[at : at + 65536] for at in range(0, len(body), 65536))
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        connection.request("POST", "/api/call", parts, headers, encode_chunked=True)
        answer = connection.getresponse()
        assert (answer.status, json.load(answer)) == (413, {"detail": TOO_LARGE})


@pytest.mark.parametrize("name", ["..", "%2e%2e", "a%00", "a%0A", "-a", "x" * 300])
def test_name_that_nothing_can_have_is_422(api: RestClient, name: str) -> None:
    for method, target in [
        ("PATCH", f"/api/instances/{name}"),
        ("DELETE", f"/api/instances/{name}"),
        ("POST", f"/api/instances/{name}/enable"),
    ]:
        assert api.ask(method, target, {"args": []}).status == 422
    body = {"name": name, "provider": "p", "command": "true"}
    assert api.ask("POST", "/api/instances", body).status == 422


def test_body_with_two_lengths_is_400(api: RestClient) -> None:
    with socket.create_connection(("127.0.0.1", api.port), LIMIT_S) as sock:
        sock.sendall(
            b"POST /api/call HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        )
        assert sock.recv(65536).startswith(b"HTTP/1.1 400")


# --- Beside other listeners ------------------------------------------------------------------


def test_rest_api_runs_next_to_another_listener_if_it_is_enabled(workspace: Workspace) -> None:
    configure_rest(workspace)
    with rest_router(workspace, "http") as (router, api):
        assert api.ask("GET", "/").json["endpoints"]["http"] == router.url("/mcp")


# --- The log ---------------------------------------------------------------------------------


def test_log_is_followed_from_a_terminal_until_the_router_stops(workspace: Workspace) -> None:
    configure_rest(workspace)
    with rest_router(workspace) as (router, api):
        command = router_command("logs", "-f", "--url", api.url, "--token", TOKEN)
        follower = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert follower.stdout is not None
        with follower.stdout:
            lines = Lines(follower.stdout)
            lines.wait_for(r"^Connected to MCP Router API v\S+ - Realtime Logs$")
            lines.wait_for("Listening on http://127")
            assert (
                api.ask("POST", "/api/instances?wait=ready", chaos_entry(workspace, "mine")).status
                == 201
            )
            lines.wait_for("mine is ready")
            assert router.stop() == 0
            assert follower.wait(LIMIT_S) == 0
            lines.join()

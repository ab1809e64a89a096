"""Threats, each played against a real router: what must not come in, go out, or be told apart.

The ids are those of the OWASP MCP Top 10. Beside this: `test_hostile` (messages and requests),
`test_secrets`, `test_admin_gate` (all ways to a command), `test_names` (and links and modes),
`test_websocket`, `test_log_injection`, `test_floods`, `test_token_limits` (guessing), and crossed
answers in `test_faults`. All spellings of tokens, `Host` and `Origin` are in
`tests/router/access/test_admission.py`.
"""

from __future__ import annotations

import json
import subprocess
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPResponse
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e import client_2026
from tests.e2e.processes import router_command
from tests.e2e.secured_router import (
    ALL,
    CANARIES,
    LIMIT_S,
    PASSING,
    READER,
    SECURITY,
    A,
    B,
    Said,
    SecuredRouter,
    ask,
    call,
    open_session,
    rpc,
    sse_stream,
    text_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.workspace import Workspace


# --- DNS rebinding (MCP07) -------------------------------------------------------------------

ROUTES: Final = [
    ("http", "POST", "/mcp"),
    ("http", "GET", "/mcp"),
    ("http", "DELETE", "/mcp"),
    ("http", "GET", "/nothing"),
    ("sse", "GET", "/sse"),
    ("sse", "POST", "/messages?session_id=" + "0" * 32),
]
API_ROUTES: Final = [
    ("api", "GET", "/"),
    ("api", "GET", "/api/instances"),
    ("api", "GET", "/api/config"),
    ("api", "POST", "/api/call"),
    ("api", "POST", "/api/instances"),
    ("api", "DELETE", "/api/instances/snooping"),
    ("api", "GET", "/ws"),
]
UPGRADE: Final = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec_WebSocket_Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec_WebSocket_Version": "13",
}


@pytest.mark.parametrize(("listener", "method", "path"), ROUTES + API_ROUTES)
@pytest.mark.parametrize(
    "header",
    [
        {"Host": "evil.test"},
        {"Host": "127.0.0.1.evil.com"},
        {"Host": "evil.test@127.0.0.1"},
        {"Origin": "http://127.0.0.1.evil.com"},
        {"Origin": "http://evil.test"},
        {"Origin": "null"},
    ],
    ids=lambda header: "-".join(*header.items()),
)
def test_other_sites_are_refused_on_every_route_even_with_the_token(
    secured: SecuredRouter, listener: str, method: str, path: str, header: dict[str, str]
) -> None:
    body = rpc("ping") if method == "POST" else None
    headers = header | (UPGRADE if path == "/ws" else {})
    status, _, said = ask(getattr(secured, listener), method, path, ALL, body, **headers)
    assert status == 403
    assert path == "/ws" or list(json.loads(said)) == ["detail"]


@pytest.mark.parametrize("listener", ["http", "sse"])
@pytest.mark.parametrize("origin", [None, "http://localhost:6274"])
def test_good_host_with_no_or_a_good_origin_is_let_in(
    secured: SecuredRouter, listener: str, origin: str | None
) -> None:
    headers = {} if origin is None else {"Origin": origin}
    if listener == "http":
        assert ask(secured.http, "POST", "/mcp", ALL, rpc("ping"), **headers)[0] == 200
    else:
        assert ask(secured.sse, "GET", "/sse", ALL, **headers)[0] == 200


# --- Open by mistake (MCP07) -----------------------------------------------------------------


@pytest.mark.parametrize("mode", ["http", "sse"])
def test_serving_others_without_a_token_does_not_start_and_says_both_ways_out(
    workspace: Workspace, mode: str
) -> None:
    words = router_command(mode, "--host", "0.0.0.0", *workspace.words)
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL
    )
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert "security.bearer_token" in line
    assert "security.allow_anonymous" in line


# --- Tokens (MCP01, MCP02, MCP07) ------------------------------------------------------------


@pytest.mark.parametrize(("listener", "method", "path"), ROUTES)
@pytest.mark.parametrize(
    ("authorization", "detail"),
    [
        (None, "Bearer token required but not provided"),
        ("Bearer wrong", "Invalid bearer token"),
        ("Bearer \xe9", "Invalid bearer token"),
        (f"Bearer {SECURITY['tokens']['digest']['token']}", "Invalid bearer token"),
    ],
)
def test_every_route_wants_a_token(
    secured: SecuredRouter,
    listener: str,
    method: str,
    path: str,
    authorization: str | None,
    detail: str,
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    body = rpc("ping") if method == "POST" else None
    status, answered, said = ask(getattr(secured, listener), method, path, None, body, **headers)
    assert (status, json.loads(said)) == (401, {"detail": detail})
    assert answered["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("token", [ALL, A, B, PASSING])
def test_every_token_that_may_call_is_let_in(secured: SecuredRouter, token: str) -> None:
    assert ask(secured.http, "POST", "/mcp", token, rpc("ping"))[0] == 200


@pytest.mark.parametrize(("listener", "method", "path"), ROUTES)
def test_token_without_the_permission_to_call_gets_nowhere(
    secured: SecuredRouter, listener: str, method: str, path: str
) -> None:
    """Threat: privilege escalation (MCP02)."""
    body = rpc("ping") if method == "POST" else None
    status, _, said = ask(getattr(secured, listener), method, path, READER, body)
    problem = 'This token has no permission "call"; see security.tokens in config.json'
    assert (status, json.loads(said)) == (403, {"detail": problem})


def test_token_of_a_client_never_goes_upstream(secured: SecuredRouter) -> None:
    """MCP01: neither as a header nor anywhere else; what the instance is given does."""
    session = open_session(secured.http, A)
    for token, headers in [(A, {"Mcp_Session_Id": session}), (ALL, {}), (PASSING, {})]:
        said = ask(secured.http, "POST", "/mcp", token, call("remote", "echo", x=1), **headers)
        assert json.loads(text_of(said)) == {"name": "echo", "arguments": {"x": 1}}
        by_api = {"instance": "remote", "tool": "echo", "params": {"x": 1}}
        assert ask(secured.api, "POST", "/api/call", token, by_api)[0] == 200
        with sse_stream(secured, token) as target:
            assert ask(secured.sse, "POST", target, token, call("remote", "echo"))[0] == 202
    environment = ask(secured.http, "POST", "/mcp", A, call("snooping", "environment"))
    seen = "\n".join([*secured.upstream.seen, text_of(environment)])
    assert seen.count("tools/call") >= 6
    assert [token for token in (ALL, A, B, READER, PASSING) if token in seen] == []
    assert f"Bearer {CANARIES['header']}" in seen


# --- An instance is code (MCP05) ---------------------------------------------------------------


def wants_code_run(netloc: str, token: str | None, mark: Path) -> list[int]:
    """Ask for a command by every route that takes an instance; return the statuses."""
    entry = {"name": "evil", "type": "stdio", "command": "sh", "args": ["-c", f"touch {mark}"]}
    changed = {"command": "sh", "args": ["-c", f"touch {mark}"]}
    asked = [
        ("POST", "/api/instances?wait=ready", {"provider": "evil", **entry}),
        ("PATCH", "/api/instances/idle?wait=ready", changed),
        ("POST", "/api/instances/idle/enable?wait=ready", None),
    ]
    return [ask(netloc, method, path, token, body)[0] for method, path, body in asked]


@pytest.mark.parametrize(
    ("token", "security", "is_run"),
    [
        (None, {}, False),
        (A, SECURITY, False),
        (READER, SECURITY, False),
        ("wrong", SECURITY, False),
        (ALL, SECURITY | {"allow_stdio_via_api": "never"}, False),
        (ALL, SECURITY, True),
    ],
    ids=["no token", "call", "read", "wrong", "never", "admin"],
)
def test_only_an_admin_has_a_command_run(
    workspace: Workspace, token: str | None, security: dict[str, Any], *, is_run: bool
) -> None:
    mark = workspace.path / "mark"
    workspace.configure(security=security, api={"enabled": True, "port": 0})
    workspace.add_command("idle", "true", isActive=False)
    with workspace.serve("http") as router:
        statuses = wants_code_run(router.netloc(), token, mark)
    assert mark.exists() is is_run
    if not is_run:
        assert set(statuses[:2]) <= {401, 403}


# --- Session hijack (MCP07) ------------------------------------------------------------------


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
def test_session_of_somebody_else_is_as_unknown_as_any(secured: SecuredRouter, method: str) -> None:
    session = open_session(secured.http, A)
    body = rpc("ping", 7) if method == "POST" else None

    def asked(token: str, session_id: str) -> Said:
        status, headers, said = ask(
            secured.http,
            method,
            "/mcp",
            token,
            body,
            Mcp_Session_Id=session_id,
            Accept="application/json, text/event-stream",
        )
        headers.pop("date", None)
        return status, headers, said

    theirs = asked(B, session)
    assert theirs == asked(B, "0" * 32)
    assert theirs[0] == 404
    assert asked(A, session)[0] in (200, 204)


def test_stream_of_somebody_else_takes_nothing(secured: SecuredRouter) -> None:
    def posted(token: str, path: str) -> Said:
        status, headers, said = ask(secured.sse, "POST", path, token, rpc("ping", 7))
        headers.pop("date", None)
        return status, headers, said

    with sse_stream(secured, A) as target:
        theirs = posted(B, target)
        assert theirs == posted(B, f"/messages?session_id={'0' * 32}")
        assert theirs[0] == 404
        assert posted(A, target)[0] == 202


# --- Tokens that are taken away (MCP07) ------------------------------------------------------


@contextmanager
def opened_stream(kind: str, netloc: str) -> Iterator[HTTPResponse]:
    """Open a stream for `A`: of `sse`, of a `session`, or of a `subscription`."""
    method, path, body = "GET", "/sse" if kind == "sse" else "/mcp", None
    headers = {"Authorization": f"Bearer {A}", "Accept": "text/event-stream"}
    if kind == "session":
        headers["Mcp-Session-Id"] = open_session(netloc, A)
    elif kind == "subscription":
        method, headers["Mcp-Method"] = "POST", "subscriptions/listen"
        wanted = {"toolsListChanged": True}
        body = json.dumps(client_2026.request("subscriptions/listen", notifications=wanted))
        headers |= {
            "Mcp-Protocol-Version": client_2026.REVISION_2026,
            "Content-Type": "application/json",
        }
    with closing(HTTPConnection(netloc, timeout=LIMIT_S)) as connection:
        connection.request(method, path, body, headers)
        with connection.getresponse() as stream:
            assert stream.status == 200
            yield stream


@pytest.mark.parametrize("kind", ["sse", "session", "subscription"])
@pytest.mark.parametrize("tokens", [{}, {"a": {"token": B}}], ids=["gone", "another one"])
def test_stream_ends_with_the_token_that_opened_it(
    workspace: Workspace, kind: str, tokens: dict[str, Any]
) -> None:
    watcher = {"enabled": True, "debounce_delay": 0.1}
    security = {"bearer_token": ALL, "tokens": {"a": {"token": A}}}
    workspace.configure(security=security, watcher=watcher)
    mode = "sse" if kind == "sse" else "http"
    with workspace.serve(mode) as router:
        netloc = router.netloc("/sse" if kind == "sse" else "/mcp")
        with opened_stream(kind, netloc) as stream:
            workspace.configure(security=security | {"tokens": tokens}, watcher=watcher)
            stream.read()  # to its end, which would not come
        assert ask(netloc, "POST", "/mcp", A, rpc("ping"))[0] == 401

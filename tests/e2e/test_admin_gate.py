"""An instance with a command is code (MCP05): every way to define one, and who is let in.

`test_security` has the routes of the REST API that take a command. The refusals, key by key, are in
`tests/router/instance_files/test_edits.py`.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e.raw_client import StdioRouter
from tests.e2e.secured_router import (
    ALL,
    READER,
    SECURITY,
    A,
    B,
    SecuredRouter,
    ask,
    open_session,
    rpc,
)
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MANAGED: Final = {
    "http": {"port": 0},
    "sse": {"port": 0},
    "allow_instance_management": True,
}
LIMITED: Final = "canary-token-of-limited-0123456789"
NEVER: Final = {"allow_stdio_via_api": "never"}


def touching(mark: Path) -> dict[str, Any]:
    return {"name": "evil", "command": "sh", "args": ["-c", f"touch {mark}; cat"]}


# --- The management tools --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "security", "is_run"),
    [
        (None, {}, False),
        (A, SECURITY, False),
        (ALL, SECURITY | NEVER, False),
        (ALL, SECURITY, True),
    ],
    ids=["no token", "call", "never", "admin"],
)
def test_only_an_admin_has_a_tool_run_a_command(
    workspace: Workspace, token: str | None, security: dict[str, Any], *, is_run: bool
) -> None:
    mark = workspace.path / "mark"
    workspace.configure(security=security, server=MANAGED)
    with workspace.serve("http") as router:
        netloc = router.netloc("/mcp")
        arguments = {"provider_name": "evil", "config": touching(mark)}
        for tool in ("mcp_router_add", "mcp.router.add"):
            body = rpc("tools/call", name=tool, arguments=arguments)
            status, _, said = ask(netloc, "POST", "/mcp", token, body)
            assert status == 200
            assert ("SECURITY_ERROR" in said.decode()) is not is_run
        use = rpc("tools/call", name="mcp.router.use", arguments={"instance_name": "evil"})
        ask(netloc, "POST", "/mcp", token, use)  # waits until it has started or failed
    assert mark.exists() is is_run
    assert (workspace.path / "data" / "evil").exists() is is_run


def test_the_parent_on_stdio_defines_no_command_where_nobody_may(workspace: Workspace) -> None:
    mark = workspace.path / "mark"
    workspace.configure(security=NEVER, server=MANAGED)
    with StdioRouter(workspace.stdio_command) as router:
        router.initialize()
        arguments = {"provider_name": "evil", "config": touching(mark)}
        result = router.request("tools/call", name="mcp.router.add", arguments=arguments)
        assert result["isError"]
        assert "SECURITY_ERROR" in result["content"][0]["text"]
        assert router.listed() == {}
    assert not mark.exists()


@pytest.mark.parametrize("token", [A, READER])
def test_session_opened_by_an_admin_lends_its_powers_to_nobody(
    secured: SecuredRouter, token: str
) -> None:
    session = open_session(secured.http, ALL)
    body = rpc("tools/call", name="mcp.router.list", arguments={})
    status, _, _ = ask(secured.http, "POST", "/mcp", token, body, Mcp_Session_Id=session)
    assert status == (404 if token == A else 403)


# --- Every route of the REST API -------------------------------------------------------------

WITHOUT_ADMIN: Final = {
    ("post", "/api/call"),
    ("post", "/api/resources/{name}/read"),
    ("post", "/api/prompts/{name}/get"),
    ("post", "/api/ws-ticket"),
}
SERVES_ALL: Final = {
    "name": "evil",
    "command": "true",
    "instance": "snooping",
    "tool": "arguments",
    "tools": {"arguments": None},
    "approve": False,
    "url": "http://127.0.0.1/oauth/callback?code=x&state=x",
}


def changing_routes(secured: SecuredRouter) -> Iterator[tuple[str, str]]:
    document = json.loads(ask(secured.api, "GET", "/openapi.json", None)[2])
    for path, methods in document["paths"].items():
        for method in methods:
            if method in ("put", "post", "patch", "delete") and (method, path) not in WITHOUT_ADMIN:
                yield method.upper(), re.sub(r"\{\w+\}", "snooping", path)


def test_every_route_that_changes_something_needs_admin(
    secured: SecuredRouter,
) -> None:
    """The routes are those of the OpenAPI document, so a new route is tried too.

    Tools are approved with `approve`, which these tokens lack as well.
    """
    before = ask(secured.api, "GET", "/api/config", ALL)[2]
    routes = list(changing_routes(secured))
    assert len(routes) >= 5
    for method, path in routes:
        for query in ("", "?wait=ready"):
            statuses = [
                ask(secured.api, method, path + query, token, SERVES_ALL)[0]
                for token in (None, "wrong", A, READER)
            ]
            assert statuses == [401, 401, 403, 403], (method, path)
    rows, rows_before = (
        [row["name"] for row in json.loads(config)["instances"]]
        for config in (ask(secured.api, "GET", "/api/config", ALL)[2], before)
    )
    assert rows == rows_before


def test_no_route_under_api_tells_anything_without_a_token(secured: SecuredRouter) -> None:
    document = json.loads(ask(secured.api, "GET", "/openapi.json", None)[2])
    paths = [path for path in document["paths"] if path.startswith("/api/")]
    for path in [*paths, "/ws", "/api", "/api/", "/nothing"]:
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            target = re.sub(r"\{\w+\}", "snooping", path)
            assert ask(secured.api, method, target, None)[0] == 401, (method, target)


# --- What belongs in the file alone ----------------------------------------------------------

LOADING: Final = (
    *("LD_PRELOAD", "ld_preload", "LD_AUDIT", "LD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES"),
    *("NODE_OPTIONS", "Node_Options", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME", "BASH_ENV"),
    *("ENV", "PATH", "PERL5OPT", "RUBYOPT", "JAVA_TOOL_OPTIONS", "GIT_SSH_COMMAND"),
)


def test_variable_that_has_code_loaded_is_refused_to_an_admin_too(workspace: Workspace) -> None:
    workspace.configure(security=SECURITY, api={"enabled": True, "port": 0})
    workspace.add_command("idle", "true", isActive=False)
    file = workspace.path / "data" / "idle" / "mcp_settings.json"
    before = file.read_bytes()
    with workspace.serve("http") as router:
        netloc = router.netloc()
        for name in LOADING:
            entry = {"name": "evil", "command": "true", "env": {"GOOD": "1", name: "x"}}
            asked = [("POST", "/api/instances", entry), ("PATCH", "/api/instances/idle", entry)]
            for method, path, body in asked:
                status, _, said = ask(netloc, method, path, ALL, body)
                assert (status, name in said.decode()) == (403, True), (method, name)
        for key in ("Env", "ENV", "eNV"):
            changed = {key: {"LD_PRELOAD": "x"}}
            assert ask(netloc, "PATCH", "/api/instances/idle", ALL, changed)[0] in (403, 422)
    assert file.read_bytes() == before
    assert not (workspace.path / "data" / "evil").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"command": "sh"},
        {"args": ["-c", "touch x"]},
        {"env": {"A": "b"}},
        {"cwd": "/"},
        {"type": "stdio"},
        {"transport": "stdio"},
        {"Command": "sh"},
        {"mcpServers": {"idle": {"command": "sh"}}},
        {"config": {"command": "sh"}, "command": "sh"},
    ],
    ids=lambda change: "-".join(change),
)
def test_allow_stdio_via_api_never_protects_every_key_of_a_command(
    never: tuple[str, Path], change: dict[str, Any]
) -> None:
    netloc, file = never
    before = file.read_bytes()
    status, _, said = ask(netloc, "PATCH", "/api/instances/idle?wait=ready", ALL, change)
    assert status in (403, 422), said
    assert file.read_bytes() == before


@pytest.fixture(scope="module")
def never(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    workspace = Workspace(tmp_path_factory.mktemp("never"))
    workspace.configure(security=SECURITY | NEVER, api={"enabled": True, "port": 0})
    workspace.add_command("idle", "true", isActive=False)
    with workspace.serve("http") as router:
        file = workspace.path / "data" / "idle" / "mcp_settings.json"
        yield router.netloc(), file


# --- Instances that a token may not see (MCP02) ----------------------------------------------


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Run a router; `LIMITED` may do everything with `mine` and nothing with `theirs`.

    Yields the addresses of REST and MCP.
    """
    workspace = Workspace(tmp_path_factory.mktemp("limited"))
    permissions = ["call", "read", "admin"]
    other = {"token": B, "instances": ["theirs"]}
    token = {"token": LIMITED, "permissions": permissions, "instances": ["mine"]}
    workspace.configure(
        security={"bearer_token": ALL, "tokens": {"limited": token, "other": other}},
        api={"enabled": True, "port": 0, "enable_realtime_logs": True},
        server=MANAGED,
    )
    workspace.add_chaos("mine").add_chaos("theirs")
    with workspace.serve("http") as router:
        router.stderr.wait_for("mine is ready")
        router.stderr.wait_for("theirs is ready")
        yield router.netloc(), router.netloc("/mcp")


ENTRY: Final = {"command": "true", "isActive": False}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/instances/NAME", None),
        ("GET", "/api/instances/NAME/details", None),
        ("GET", "/api/tools/NAME", None),
        ("GET", "/api/resources/NAME", None),
        ("GET", "/api/prompts/NAME", None),
        ("POST", "/api/resources/NAME/read", {"uri": "a:b"}),
        ("POST", "/api/prompts/NAME/get", {"name": "x"}),
        ("PATCH", "/api/instances/NAME", {"metadata": {}}),
        ("PATCH", "/api/instances/NAME", {"name": "mine"}),
        ("DELETE", "/api/instances/NAME", None),
        ("POST", "/api/instances/NAME/enable?wait=ready", None),
        ("POST", "/api/instances/NAME/disable", None),
        ("POST", "/api/instances/NAME/restart", None),
        ("POST", "/api/call", {"instance": "NAME", "tool": "echo"}),
        ("POST", "/api/instances", {"name": "NAME", "provider": "p", **ENTRY}),
        ("POST", "/api/instances", {"mcpServers": {"NAME": ENTRY}, "provider": "p"}),
    ],
)
def test_api_treats_a_hidden_instance_as_a_missing_instance(
    limited: tuple[str, str], method: str, path: str, body: Any
) -> None:
    def asked(name: str) -> tuple[int, str]:
        sent = None if body is None else json.loads(json.dumps(body).replace("NAME", name))
        status, _, said = ask(limited[0], method, path.replace("NAME", name), LIMITED, sent)
        return status, said.decode().replace(name, "?")

    theirs = asked("theirs")
    assert theirs == asked("nobody")
    assert theirs[0] in (403, 404)


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("call", {"instance_name": "NAME", "tool_name": "echo"}),
        ("use", {"instance_name": "NAME"}),
        ("enable", {"instance_name": "NAME"}),
        ("disable", {"instance_name": "NAME"}),
        ("remove", {"instance_name": "NAME"}),
        ("add", {"provider_name": "NAME", "config": ENTRY}),
        ("add", {"provider_name": "p", "config": {"name": "NAME", **ENTRY}}),
    ],
)
def test_tools_treat_a_hidden_instance_as_a_missing_instance(
    limited: tuple[str, str], tool: str, arguments: dict[str, Any]
) -> None:
    def asked(name: str) -> str:
        given = json.loads(json.dumps(arguments).replace("NAME", name))
        body = rpc("tools/call", name=f"mcp.router.{tool}", arguments=given)
        status, _, said = ask(limited[1], "POST", "/mcp", LIMITED, body)
        assert status == 200
        return said.decode().replace(name, "?")

    theirs = asked("theirs")
    assert theirs == asked("nobody")
    assert '"isError":true' in theirs


def test_no_list_names_an_instance_that_a_token_may_not_see(limited: tuple[str, str]) -> None:
    said = [ask(limited[0], "GET", path, LIMITED) for path in (
        "/api/instances", "/api/status", "/api/tools", "/api/config", "/",
    )]  # fmt: skip
    for tool in ("list", "help"):
        body = rpc("tools/call", name=f"mcp.router.{tool}", arguments={})
        said.append(ask(limited[1], "POST", "/mcp", LIMITED, body))
    assert {status for status, _, _ in said} == {200}
    text = "\n".join(body.decode() for _, _, body in said)
    assert "mine" in text
    assert "theirs" not in text
    assert ask(limited[0], "POST", "/api/ws-ticket", LIMITED)[0] == 403


def test_admin_cannot_use_or_learn_a_name_outside_its_token(
    workspace: Workspace,
) -> None:
    limited = {"token": A, "permissions": ["call", "read", "admin"], "instances": ["mine"]}
    workspace.configure(
        security={"bearer_token": ALL, "tokens": {"a": limited}}, api={"enabled": True, "port": 0}
    )
    for name in ("mine", "theirs"):
        workspace.add_command(name, "true", isActive=False)
    with workspace.serve("http") as router:
        api = router.netloc()
        said = []
        for name in ("theirs", "nobody", "THEIRS"):
            status, _, body = ask(api, "PATCH", "/api/instances/mine", A, {"name": name})
            said.append((status, body.decode().replace(name, "?")))
        assert set(said) == {(403, said[0][1])}
        renamed = ask(api, "PATCH", "/api/instances/mine", ALL, {"name": "THEIRS"})
        assert renamed[0] == 422  # differs from `theirs` in case only

"""Neither a server nor a client nor the log gets the environment, credentials or tokens."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e.processes import Lines, router_command
from tests.e2e.raw_client import StdioRouter
from tests.e2e.recording_upstream import recording_upstream
from tests.e2e.secured_router import (
    ALL,
    CANARIES,
    LIMIT_S,
    PASSING,
    READER,
    SNOOPING,
    A,
    B,
    SecuredRouter,
    ask,
    call,
    open_session,
    rpc,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.workspace import Workspace


# --- Servers of the same user (MCP04) ----------------------------------------------------------


@contextmanager
def snooping_router(workspace: Workspace) -> Iterator[StdioRouter]:
    """A router with a secret in its environment, without the powers of root."""
    command = workspace.add_command("snooping", sys.executable, "-B", str(SNOOPING)).stdio_command
    if os.geteuid() == 0:
        # Root may read everything, but not a root that loses its capabilities on execution.
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            pytest.skip("root without setpriv(1), which could make it an ordinary user")
        command = [setpriv, "--securebits=+noroot,+noroot_locked", *command]
    secrets = {"SECRET": CANARIES["env"], "LD_PRELOAD": "", "PYTHONUNBUFFERED": "1"}
    with StdioRouter(command, env=dict(os.environ) | secrets) as router:
        router.initialize()
        yield router


def test_environment_of_a_server_is_minimal(workspace: Workspace) -> None:
    with snooping_router(workspace) as router:
        seen = json.loads(router.call("snooping", "environment")["content"][0]["text"])
    assert CANARIES["env"] not in str(seen)
    assert not {"SECRET", "LD_PRELOAD", "PYTHONUNBUFFERED", "VIRTUAL_ENV"} & set(seen)
    assert "PATH" in seen


@pytest.mark.skipif(sys.platform != "linux", reason="/proc and prctl(2) are Linux's")
def test_server_cannot_read_the_environment_of_the_router(workspace: Workspace) -> None:
    with snooping_router(workspace) as router:
        seen = json.loads(router.call("snooping", "parents")["content"][0]["text"])
        assert seen[str(router.popen.pid)] == "PermissionError"
    # What stands between the router and its servers is readable, and holds nothing.
    assert CANARIES["env"] not in str(seen)


# --- Secrets (MCP01, MCP10) --------------------------------------------------------------------


TOLD: Final = "this is what I know"


def told_by_a_server() -> str:
    """Return the complaint of a server that contains all secrets, in hex."""
    secrets = [*CANARIES.values(), ALL, A, B, READER]
    lines = [f"error: {secret} is not good, nor is Bearer {secret}\n" for secret in secrets]
    return "".join([*lines, f"{' '.join(secrets)}: {TOLD}\n"]).encode().hex()


def log_with(mark: str, secured: SecuredRouter) -> str:
    """Return the log file once `mark` is in it; a thread writes the file when it can."""
    file = secured.workspace.path / "logs" / "latest-http+sse.txt"
    ends_at_s = time.monotonic() + LIMIT_S
    while mark not in (text := file.read_text()):
        assert time.monotonic() < ends_at_s, text
        time.sleep(0.01)
    return text


def test_no_secret_is_in_an_answer_or_a_log(secured: SecuredRouter) -> None:
    """At DEBUG, with errors of every kind provoked."""
    session = open_session(secured.http, A)
    asked = [
        call("snooping", "complain", stderr=told_by_a_server()),
        call("snooping", "arguments"),
        call("snooping", "nothing"),
        call("missing", "x"),
        call("gone", "x"),
        call("nobody", "x"),
        call("remote", "echo"),
        rpc("tools/list"),
        rpc("resources/list"),
        rpc("no/such/method", token=1),
        *(rpc("tools/call", name=f"mcp.router.{name}", arguments={}) for name in ("list", "help")),
        rpc("tools/call", name="mcp.router.use", arguments={"instance_name": "remote"}),
    ]
    said = [str(ask(secured.http, "POST", "/mcp", A, one, Mcp_Session_Id=session)) for one in asked]
    said += [str(ask(secured.http, "POST", "/mcp", B, one)) for one in asked]
    said += [str(ask(secured.http, "POST", f"/mcp?token={A}", None, rpc("ping")))]
    for path in (
        *("instances", "instances/snooping", "tools", "tools/remote", "status", "config"),
        *("instances/snooping/details", "instances/remote/details", "resources", "prompts"),
    ):
        for token in (ALL, A, READER):
            said.append(str(ask(secured.api, "GET", f"/api/{path}", token)))
    metrics = ask(secured.api, "GET", "/metrics", READER)
    assert metrics[0] == 200
    said.append(str(metrics))
    for body in (
        {"instance": "missing", "tool": "x"},
        {"instance": "snooping", "tool": "arguments"},
    ):
        said.append(str(ask(secured.api, "POST", "/api/call", A, body)))
    said.append(str(ask(secured.api, "PATCH", "/api/instances/snooping", ALL, {"env": {"X": 1}})))
    log = log_with(TOLD, secured)
    words = router_command("logs", "--url", f"http://{secured.api}", "--token", ALL, "-l", "DEBUG")
    with subprocess.Popen(words, stdout=subprocess.PIPE) as follower:
        assert follower.stdout is not None
        live = Lines(follower.stdout)
        live.wait_for(re.escape(log.splitlines()[-1]))
        follower.kill()
        live.join()
    secrets = [*CANARIES.values(), ALL, A, B, READER, PASSING]
    of_router = (secured.router.stderr.text, secured.router.stdout.text)
    for where in ("\n".join(said), log, live.text, *of_router):
        assert [secret for secret in secrets if secret in where] == []


DIES: Final = "import os, sys; sys.exit('Error: invalid token ' + os.environ['TOKEN'])"
REFUSES: Final = """
import json, os, sys
for line in sys.stdin:
    asked = json.loads(line)
    if "id" in asked:
        error = {"code": -1, "message": "bad token " + os.environ["TOKEN"]}
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": error}), flush=True)
"""


@pytest.mark.parametrize("program", [DIES, REFUSES], ids=["last words", "initialize"])
def test_secret_that_a_server_gives_as_its_reason_is_in_no_answer(
    workspace: Workspace, program: str
) -> None:
    workspace.configure(security={"bearer_token": ALL}, api={"enabled": True, "port": 0})
    workspace.add_command("bad", sys.executable, "-c", program, env={"TOKEN": CANARIES["env"]})
    with workspace.serve("http") as router:
        router.stderr.wait_for("bad is down")
        api, mcp = router.netloc(), router.netloc("/mcp")
        said = [
            *(ask(api, "GET", path, ALL) for path in ("/api/status", "/api/instances/bad")),
            ask(api, "POST", "/api/call", ALL, {"instance": "bad", "tool": "x"}),
            ask(mcp, "POST", "/mcp", ALL, call("bad", "x")),
        ]
    assert "token" in said[0][2].decode()
    assert [body for _, _, body in said if CANARIES["env"] in body.decode()] == []


def test_secrets_do_not_follow_an_instance_to_another_server(workspace: Workspace) -> None:
    with recording_upstream() as good, recording_upstream() as evil:
        workspace.configure(
            security={"bearer_token": ALL},
            api={"enabled": True, "port": 0},
        )
        header = {"Authorization": f"Bearer {CANARIES['header']}"}
        workspace.add("remote", type="http", url=good.url, headers=header)
        with workspace.serve("http") as router:
            api = router.netloc()
            router.stderr.wait_for("remote is ready")
            target = "/api/instances/remote?wait=ready"
            masked = {"Authorization": {"set": True}}
            assert ask(api, "PATCH", target, ALL, {"url": evil.url})[0] == 422
            assert ask(api, "PATCH", target, ALL, {"url": evil.url, "headers": masked})[0] == 422
            assert evil.seen == []
            anew = {"headers": {"Authorization": "Bearer other"}, "allow_private": True}
            anew["url"] = evil.url
            assert ask(api, "PATCH", target, ALL, anew)[0] == 200
        assert CANARIES["header"] not in "".join(evil.seen)

"""Logins at a real authorization server: by command, by page, over a restart, and out again."""

from __future__ import annotations

import http.cookiejar
import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

from tests.e2e.ports import free_port
from tests.e2e.processes import Lines, router_command
from tests.e2e.rest_client import TOKEN, RestClient
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.processes import RouterProcess

SERVER: Final = Path(__file__).with_name("oauth_server.py")
LIMIT_S: Final = 30
TOKENS: Final = {name: {"token": f"{name}-0123456789abcdef"} for name in ("ana", "ben")}
SHOWN: Final = (
    *("/api/status", "/api/config", "/api/instances/notes/login"),
    "/api/instances/notes/details",
)
CANARY: Final = re.compile(r"(?:access|refresh)-[0-9a-f]{8}")


@pytest.fixture(scope="module")
def server_url() -> Iterator[str]:
    """An MCP server that asks for a login."""
    port = free_port()
    command = [sys.executable, str(SERVER), str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        lines = Lines(process.stderr)
        lines.wait_for("Uvicorn running")
        yield f"http://127.0.0.1:{port}/mcp"
        process.terminate()
        process.wait(LIMIT_S)
        lines.join()


@pytest.fixture
def workspace(tmp_path: Path, server_url: str) -> Workspace:
    workspace = Workspace(tmp_path)
    workspace.configure(
        api={"enabled": True, "port": 0}, security={"bearer_token": TOKEN, "tokens": TOKENS}
    )
    workspace.add("notes", url=server_url)
    return workspace.add("mail", url=server_url, oauth={"per_user": True})


@attrs.define
class Browser:
    """A browser without a window: it follows redirects, and keeps cookies."""

    cookies: http.cookiejar.CookieJar = attrs.field(factory=http.cookiejar.CookieJar)

    def open(self, url: str, **headers: str) -> str:
        """Return the page at a URL; with headers, of a POST."""
        keeping = urllib.request.HTTPCookieProcessor(self.cookies)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), keeping)
        body = b"" if headers else None
        try:
            with opener.open(urllib.request.Request(url, body, headers), timeout=LIMIT_S) as page:
                return page.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.read().decode()


def apis(router: RouterProcess) -> dict[str, RestClient]:
    """Clients of the REST API, by whose token they have."""
    port = int(router.netloc().rpartition(":")[2])
    tokens = {"admin": TOKEN, **{name: one["token"] for name, one in TOKENS.items()}}
    return {name: RestClient(port, token) for name, token in tokens.items()}


def test_login_by_command_outlives_a_restart_and_ends_with_logout(workspace: Workspace) -> None:
    with workspace.serve("http") as router:
        router.stderr.wait_for("notes needs a login")
        api = apis(router)["admin"]
        assert api.row("notes")["state"] == "needs_login"
        assert api.call("note", "notes").status == 503
        command = router_command("login", "notes", "--no-browser", *workspace.words)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as login:
            assert login.stdout is not None
            url = next(line for line in login.stdout if line.startswith("http"))
            assert "<h1>Logged in to notes</h1>" in Browser().open(url.strip())
            said = login.stdout.read()
        assert said.startswith("notes: logged in at http://127.0.0.1:")
        assert said.endswith(", scopes notes, renewed by itself\n")
        router.stderr.wait_for("notes is ready")
        assert api.call("note", "notes").json["structuredContent"] == {"result": "a note"}
        assert (workspace.path / "logins.json").stat().st_mode & 0o777 == 0o600
        shown = [api.ask("GET", path).body.decode() for path in SHOWN]
        first_log = router.stderr.text
    with workspace.serve("http") as router:
        router.stderr.wait_for("notes is ready")
        api = apis(router)["admin"]
        assert api.call("note", "notes").status == 200
        out = api.ask("DELETE", "/api/instances/notes/login")
        assert out.json["was_logged_in"] is True
        router.stderr.wait_for("notes needs a login")
        assert api.call("note", "notes").status == 503
        texts = [*shown, said, first_log, router.stderr.text]
    texts += [path.read_text() for path in (workspace.path / "logs").iterdir()]
    assert not [text for text in texts if CANARY.search(text)]


def test_each_person_logs_in_by_a_page_and_serves_nobody_else(workspace: Workspace) -> None:
    with workspace.serve("http") as router:
        clients = apis(router)
        origin = f"http://{router.netloc('/mcp')}"
        page = _page_of(clients["ana"].call("note", "mail"))
        assert page.startswith(f"{origin}/oauth/login/")
        assert _page_of(clients["ben"].call("note", "mail")) != page
        own, other = Browser(), Browser()
        assert "Log in to mail for ana?" in own.open(page)
        assert "The login has failed" in own.open(page, Origin="http://127.0.0.1:9")
        assert "The login has failed" in other.open(page, Origin=origin)
        assert "<h1>Logged in to mail</h1>" in own.open(page, Origin=origin)
        answered = clients["ana"].call("note", "mail")
        assert answered.json["structuredContent"] == {"result": "a note"}
        assert clients["ben"].call("note", "mail").status == 503
        states = {
            name: clients[name].ask("GET", "/api/instances/mail/login").json
            for name in ("ana", "ben")
        }
        assert {name: state["logged_in"] for name, state in states.items()} == {
            "ana": True,
            "ben": False,
        }


def _page_of(answer: Any) -> str:
    assert answer.status == 503, answer
    found = re.search(r"http://\S+/oauth/login/[\w-]+", json.dumps(answer.json))
    assert found is not None, answer.json
    return found[0]

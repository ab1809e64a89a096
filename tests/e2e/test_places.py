"""Places of a running router: `/mcp/{name}`, `/sse/{name}`, and `serve --view NAME`."""

from __future__ import annotations

import http.client
import json
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import pytest

from tests.e2e.processes import run_command
from tests.e2e.raw_client import ANSWER_LIMIT_S, HELLO, HttpClient, StdioRouter
from tests.e2e.rest_client import TOKEN, configure_rest, rest_router

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.processes import RouterProcess
    from tests.e2e.workspace import Workspace

NO_VIEW: Final = {"detail": "Not found: there is no profile or instance of this name for you"}
PROFILES: Final[dict[str, Any]] = {"work": {}, "图书": {"expose": "router"}}
SECURITY: Final[dict[str, Any]] = {
    "tokens": {
        "bound": {"token": "t-bound", "profile": "work"},
        "limited": {"token": "t-limited", "instances": ["off"]},
        "free": {"token": "t-free"},
    }
}
INITIALIZE: Final = {"id": 1, "method": "initialize", "params": HELLO}


@pytest.fixture
def places(workspace: Workspace) -> Workspace:
    """A workspace with two profiles, an instance that runs and one that is switched off."""
    workspace.configure(profiles=PROFILES)
    workspace.add_command("off", "true", isActive=False)
    files = {"name": "文件", "command": sys.executable, "args": ["-m", "router.example"]}
    folder = workspace.path / "data" / "files"
    folder.mkdir()
    (folder / "mcp_settings.json").write_text(json.dumps(files))
    return workspace


@pytest.fixture
def router(places: Workspace) -> Iterator[RouterProcess]:
    with places.serve() as router:
        yield router


def initialize(router: RouterProcess, path: str, token: str | None = None) -> tuple[int, Any]:
    """Initialize at a path; return the status and the decoded body."""
    with closing(client_of(router, path, token)) as client:
        status, body = client.post(INITIALIZE)
    return status, json.loads(body)


def client_of(router: RouterProcess, path: str, token: str | None = None) -> HttpClient:
    return HttpClient(f"http://{router.netloc('/mcp')}{path}", token)


def opened_stream(router: RouterProcess, path: str) -> tuple[int, bytes]:
    """Open an event stream; return the status, and the first two lines of the body."""
    where = router.netloc("/sse")
    with closing(http.client.HTTPConnection(where, timeout=ANSWER_LIMIT_S)) as connection:
        connection.request("GET", path, headers={"Accept": "text/event-stream"})
        with connection.getresponse() as response:
            return response.status, response.readline() + response.readline()


def test_every_profile_and_every_instance_is_a_place_from_the_first_request_on(
    router: RouterProcess,
) -> None:
    for name in ("文件", "off", "work", "图书"):
        status, answer = initialize(router, f"/mcp/{quote(name)}")
        assert (status, answer["id"]) == (200, 1)
        status, opening = opened_stream(router, f"/sse/{quote(name)}")
        assert status == 200
        assert opening.startswith(b"event: endpoint\ndata: /messages?session_id=")


def test_other_places_are_404_over_both_transports(router: RouterProcess) -> None:
    names = ["nothing", "Work", "%E6%96", "work%2F", "%2Fwork", "work%00", "%F0%9F%98%80", "%"]
    for name in [*names, "x" * 300]:
        status, answer = initialize(router, f"/mcp/{name}")
        assert status == 404
        assert answer in (NO_VIEW, {"detail": "Not found"})
        assert opened_stream(router, f"/sse/{name}")[0] == 404


def test_session_is_unknown_at_another_place(router: RouterProcess) -> None:
    with closing(client_of(router, "/mcp/work")) as client:
        client.initialize()
        for path, status in [("/mcp", 404), ("/mcp/off", 404), ("/mcp/work", 200)]:
            client._path = path
            assert client.post({"id": 2, "method": "ping"})[0] == status


def test_each_token_finds_its_own_places(places: Workspace) -> None:
    places.configure(profiles=PROFILES, security=SECURITY)
    with places.serve("http") as router:
        names = ["", "work", "图书", "文件", "off", "nothing"]
        found = {
            token: [
                name
                for name in names
                if initialize(router, f"/mcp/{quote(name)}".rstrip("/"), token)[0] == 200
            ]
            for token in ("t-bound", "t-limited", "t-free")
        }
        assert found == {
            "t-bound": ["", "work"],
            "t-limited": ["", "work", "图书", "off"],
            "t-free": ["", "work", "图书", "文件", "off"],
        }
        assert initialize(router, "/mcp/work", "wrong")[0] == 401


def test_place_of_a_profile_comes_and_goes_with_it(places: Workspace) -> None:
    places.configure(profiles=PROFILES, watcher={})
    with places.serve("http") as router, closing(client_of(router, "/mcp/work")) as client:
        client.initialize()
        places.configure(profiles={"home": {}}, watcher={})
        ends_at_s = time.monotonic() + ANSWER_LIMIT_S
        while initialize(router, "/mcp/home")[0] != 200:
            assert time.monotonic() < ends_at_s
            time.sleep(0.02)  # nobody tells a client without a session of a change
        status, body = client.post({"id": 2, "method": "ping"})
        assert (status, json.loads(body)) == (404, NO_VIEW)


def test_profile_that_is_put_through_the_rest_api_is_a_place_at_once_and_lasts(
    places: Workspace,
) -> None:
    configure_rest(places, profiles=PROFILES)
    before = json.loads(places.config_file.read_text())
    with rest_router(places, "http", "api") as (router, api):
        assert initialize(router, "/mcp/new", TOKEN)[0] == 404
        put = api.ask("PUT", "/api/profiles/new", {"instances": ["文*"]})
        assert (put.status, put.json) == (201, {"status": "success", "profile": "new"})
        assert initialize(router, "/mcp/new", TOKEN)[0] == 200
        assert api.ask("GET", "/api/profiles/new").json["instances"] == ["文*"]
        entry = {"name": "new", "url": "http://127.0.0.1:1/mcp"}
        for taken in (
            api.ask("POST", "/api/instances", entry),
            api.ask("PUT", "/api/profiles/off", {}),
        ):
            assert (taken.status, taken.code) == (409, "CONFIG_ERROR")
        wrong = api.ask("PUT", "/api/profiles/new", {"expose": "searching"})
        assert (wrong.status, wrong.code) == (422, "VALIDATION_ERROR")
        assert api.ask("DELETE", "/api/profiles/work").status == 200
        assert initialize(router, "/mcp/work", TOKEN)[0] == 404
        assert api.ask("DELETE", "/api/profiles/work").status == 404
    written = json.loads(places.config_file.read_text())
    profiles = {"图书": PROFILES["图书"], "new": {"instances": ["文*"]}}
    assert written == before | {"profiles": profiles}
    done = run_command("check", *places.words)
    assert done.stdout.splitlines()[:2] == [
        "Profile 图书 (router) shows 文件, off",
        "Profile new (direct) shows 文件",
    ]


@pytest.mark.parametrize("view", ["router", "direct", "work", "文件"])
def test_view_of_the_command_line_serves_stdio(places: Workspace, view: str) -> None:
    with StdioRouter([*places.stdio_command, "--view", view]) as router:
        assert router.initialize()["protocolVersion"] == HELLO["protocolVersion"]


@pytest.mark.parametrize("mode", ["stdio", "http"])
def test_unknown_view_of_the_command_line_ends_the_start_with_the_names_there_are(
    places: Workspace, mode: str
) -> None:
    done = run_command(mode, *places.words, "--view", "wrok")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        'mcp-router: --view: there is no view "wrok"; there are router, direct, search, auto, '
        "profiles: work, 图书; instances: 文件, off\n"
    )

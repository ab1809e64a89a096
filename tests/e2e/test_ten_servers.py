"""Ten servers that others made answer through a router as they answer alone, byte for byte.

One router has them all. Each is asked at the revision that it speaks with the router: alone on
stdio, in its transparent view, and in the direct view of all ten.
"""

from __future__ import annotations

import json
import re
import time
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

from router.core.names.direct_names import direct_name
from router.core.names.resource_uris import shown_uri
from tests.e2e import ten_servers
from tests.e2e.client_2026 import PREFIX, REVISION_2026
from tests.e2e.raw_conversation import Conversation, alone, over_http
from tests.e2e.ten_servers import HANDSHAKE, SERVERS
from tests.e2e.threaded_server import serving_in_thread
from tests.e2e.workspace import CONFIG, Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.processes import RouterProcess
    from tests.e2e.raw_conversation import Answer, Peer
    from tests.e2e.ten_servers import Request

NAME_LIMIT: Final = 48
"""The default of `server.name_limit`."""

LISTS: Final = {
    "tools/list": "tools",
    "prompts/list": "prompts",
    "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
}

FOLLOWS_LIMIT_S: Final = 20.0
"""Time for a change of a server's list to get into the direct view."""


class _Page(BaseHTTPRequestHandler):
    """Serves a text at `/page`, for the server that fetches."""

    def do_GET(self) -> None:
        is_there = self.path == "/page"
        self.send_response(200 if is_there else 404)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.end_headers()
        self.wfile.write("Beetles (chrz\u0105szcze) have six legs.\n".encode() if is_there else b"")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@attrs.frozen
class Side:
    """The same server, alone and through a router.

    Attributes:
        name: the server's name in `SERVERS`, and of its instance.
        requests: what it is asked.
        alone: the server on stdio.
        views: the router, by the kind of view.
    """

    name: str
    requests: list[Request]
    alone: Conversation
    views: dict[str, Conversation]

    @property
    def revision(self) -> str:
        return SERVERS[self.name]

    def direct_name(self, name: str) -> str:
        return direct_name(self.name, name, NAME_LIMIT)

    def as_direct(self, request: Request) -> dict[str, Any]:
        """Return the parameters of a request in a direct view."""
        params = dict(request.params)
        if "name" in params:
            params["name"] = self.direct_name(params["name"])
        uri: str = params.get("uri", "")
        if uri.startswith("ui://") or (uri and request.outcome == "error"):
            params["uri"] = shown_uri(self.name, uri)  # Nothing else leads there.
        if "name" in params.get("ref", {}):
            params["ref"] = params["ref"] | {"name": self.direct_name(params["ref"]["name"])}
        return params

    def shown(self, raw: bytes) -> bytes:
        """Return the server's JSON with the URIs of its interface as a direct view shows them."""
        return re.sub(rb'(?<=[rR]i":")ui://[^"]*', self._shown_uri, raw)

    def _shown_uri(self, found: re.Match[bytes]) -> bytes:
        return shown_uri(self.name, found[0].decode()).encode()

    def renamed(self, item: bytes) -> bytes:
        """Return a tool or prompt under its direct name."""
        name = json.loads(item)["name"]
        own, shown = (f'"name":{json.dumps(one)}' for one in (name, self.direct_name(name)))
        assert own.encode() in item
        return item.replace(own.encode(), shown.encode(), 1)


@pytest.fixture(scope="module")
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def page(stack: ExitStack) -> str:
    server = stack.enter_context(serving_in_thread(ThreadingHTTPServer(("127.0.0.1", 0), _Page)))
    return f"http://127.0.0.1:{server.server_port}/page"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the repository `work`."""
    folder = tmp_path_factory.mktemp("ten-servers")
    ten_servers.make_work(folder / "work")
    return folder


@pytest.fixture(scope="module")
def router(folder: Path, stack: ExitStack) -> RouterProcess:
    workspace = Workspace(folder / "router")
    workspace.configure(server=CONFIG["server"] | {"view": "direct", "drain_s": 1})
    for name in SERVERS:
        command, env = ten_servers.command_of(name, folder / "work", workspace.path)
        workspace.add_command(name, *command, env=env)
    return stack.enter_context(workspace.serve("http"))


@pytest.fixture(scope="module")
def each_alone(folder: Path, stack: ExitStack) -> dict[str, Peer]:
    """Every server without a router, all started at once."""
    own = folder / "alone"
    own.mkdir()
    commands = {name: ten_servers.command_of(name, folder / "work", own) for name in SERVERS}
    return {name: stack.enter_context(alone(*command)) for name, command in commands.items()}


@pytest.fixture(scope="module", params=SERVERS)
def side(
    request: pytest.FixtureRequest,
    folder: Path,
    page: str,
    each_alone: dict[str, Peer],
    router: RouterProcess,
) -> Iterator[Side]:
    name: str = request.param
    revision = SERVERS[name]
    with (
        over_http(f"{router.url('/mcp')}/{name}", revision) as transparent,
        over_http(router.url("/mcp"), revision) as direct,
    ):
        yield Side(
            name,
            [one.at(folder / "work", page) for one in ten_servers.REQUESTS[name]],
            Conversation(revision, each_alone[name]),
            {
                "transparent": Conversation(revision, transparent),
                "direct": Conversation(revision, direct),
            },
        )


def _same(expected: Callable[[], Any], got: Callable[[], Any]) -> None:
    """Check that a list of a direct view becomes what the server lists."""
    ends_at_s = time.monotonic() + FOLLOWS_LIMIT_S
    while got() != expected() and time.monotonic() < ends_at_s:
        time.sleep(0.05)  # A change of a list is seen by asking for it.
    assert got() == expected()


def _check_errors(got: Answer, expected: Answer) -> None:
    assert got.outcome == expected.outcome == "error"
    assert json.loads(got.error) == json.loads(expected.error)


# --- What the server says of itself ----------------------------------------------------------


def test_transparent_view_describes_the_server_in_its_own_words(side: Side) -> None:
    own, routed = side.alone.greeting.members, side.views["transparent"].greeting.members
    described = ["capabilities", "serverInfo", "instructions", "protocolVersion"]
    assert [routed.get(key) for key in described] == [own.get(key) for key in described]
    assert json.loads(own.get("protocolVersion", f'"{REVISION_2026}"')) == side.revision
    if side.revision == REVISION_2026:
        info = f"{PREFIX}serverInfo"
        assert json.loads(routed["_meta"])[info] == json.loads(own["_meta"])[info]


def test_direct_view_passes_on_the_instructions_of_the_server(side: Side) -> None:
    own = json.loads(side.alone.greeting.members.get("instructions", b"null"))
    routed = json.loads(side.views["direct"].greeting.members["instructions"])
    assert (side.name == "everything") == (own is not None)
    assert own is None or own.strip() in routed


# --- Lists -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", LISTS)
def test_transparent_view_lists_what_the_server_lists(method: str, side: Side) -> None:
    own, routed = side.alone.ask(method), side.views["transparent"].ask(method)
    if own.error:
        _check_errors(routed, own)
    else:
        assert routed.result == own.result


@pytest.mark.parametrize("method", LISTS)
def test_direct_view_lists_what_the_server_lists_under_direct_names(
    method: str, side: Side
) -> None:
    member = LISTS[method]

    def own() -> list[bytes]:
        answer = side.alone.ask(method)
        items = [] if answer.error else map(side.shown, answer.items(member))
        return list(map(side.renamed, items) if member in ("tools", "prompts") else items)

    def routed() -> list[bytes]:
        ours = set(own())
        mark = f"{side.name}__"
        items = side.views["direct"].ask(method).items(member)
        return [one for one in items if one in ours or json.loads(one)["name"].startswith(mark)]

    _same(own, routed)


def test_direct_view_lists_the_tools_of_all_and_no_name_twice(router: RouterProcess) -> None:
    with over_http(router.url("/mcp"), HANDSHAKE) as peer:
        direct = Conversation(HANDSHAKE, peer)

        def names() -> list[str]:
            tools = direct.ask("tools/list").items("tools")
            return [json.loads(tool)["name"] for tool in tools]

        _same(lambda: set(SERVERS), lambda: {name.partition("__")[0] for name in names()})
        assert len(set(names())) == len(names())


# --- Answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("view", ["transparent", "direct"])
def test_every_answer_is_the_servers_own(view: str, side: Side) -> None:
    for request in side.requests:
        own = side.alone.ask(request.method, **request.params)
        params = side.as_direct(request) if view == "direct" else request.params
        routed = side.views[view].ask(request.method, **params)
        assert own.outcome == request.outcome, (request, own)
        if own.error:
            _check_errors(routed, own)
        elif view == "direct":
            assert routed.result == side.shown(own.result), request
        else:
            assert routed.result == own.result, request

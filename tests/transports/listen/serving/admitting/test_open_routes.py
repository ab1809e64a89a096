"""Paths that are answered without a token, in front of the application of a listener."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from router.messages.errors import HttpRefusal
from transports.listen.serving.admitting.open_routes import OpenRoutes, WithOpenRoutes, joined
from transports.listen.serving.exchange import Answer
from transports.listen.serving.unread_bytes import UnreadBytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transports.listen.serving.exchange import HttpRequest


def route(name: bytes, *headers: tuple[bytes, bytes]) -> Any:
    async def answer(request: HttpRequest) -> Answer:
        await trio.lowlevel.checkpoint()
        return Answer(
            200, headers, name + b" " + request.path.encode() + b"?" + request.query.encode()
        )

    return answer


async def refuse(_: HttpRequest) -> Answer:
    await trio.lowlevel.checkpoint()
    raise HttpRefusal(404, "Not found")


class Inner:
    """An application that answers everything with 299."""

    def __init__(self) -> None:
        self.unread = UnreadBytes()
        self.endpoint = None
        self.own_paths = frozenset({"/livez"})

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 299, "headers": []})

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        await trio.lowlevel.checkpoint()
        task_status.started()

    def end(self) -> None: ...


def check_site(headers: Mapping[str, str]) -> None:
    if headers.get("host") != "here" or "origin" in headers:
        raise HttpRefusal(403, "Host or Origin is not allowed")


ROUTES = OpenRoutes(
    exact={"/back": route(b"exact", (b"cache-control", b"max-age=5"))},
    below={"/docs": route(b"below"), "/none": refuse},
    for_every_page={"/.well-known/all": route(b"all"), "/.well-known/none": refuse},
)


async def ask(
    path: str,
    *,
    host: bytes = b"here",
    kind: str = "http",
    query: bytes = b"",
    method: str = "GET",
    origin: bytes = b"",
) -> tuple[int, dict[bytes, bytes], bytes]:
    """Return status, headers and body; status 0 if nothing was sent."""
    sent: list[Any] = []

    async def receive() -> Any:
        await trio.lowlevel.checkpoint()
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        await trio.lowlevel.checkpoint()
        sent.append(message)

    headers = [(b"host", host), *([(b"origin", origin)] if origin else [])]
    scope = {
        "type": kind,
        "method": method,
        "path": path,
        "headers": headers,
        "query_string": query,
    }
    await WithOpenRoutes(Inner(), ROUTES, check_site)(scope, receive, send)
    start = sent[0] if sent else {"status": 0, "headers": []}
    body = b"".join(message.get("body", b"") for message in sent)
    return start["status"], dict(start["headers"]), body


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/back", 200, b"exact /back?code=1"),
        ("/back/x", 299, b""),
        ("/docs", 200, b"below /docs?code=1"),
        ("/docs/mcp/\u00e9", 200, "below /docs/mcp/\u00e9?code=1".encode()),
        ("/docsx", 299, b""),
        ("/none/x", 404, b'{"detail":"Not found"}'),
        ("/", 299, b""),
    ],
)
async def test_routes_are_found_by_their_paths(path: str, status: int, body: bytes) -> None:
    found = await ask(path, query=b"code=1")
    assert (found[0], found[2]) == (status, body)


async def test_host_is_checked_there_too() -> None:
    status, _, _ = await ask("/back", host=b"evil.test")
    assert status == 403


@pytest.mark.parametrize(
    ("path", "method", "host", "status"),
    [
        ("/.well-known/all/mcp", "GET", b"here", 200),
        ("/.well-known/all", "OPTIONS", b"here", 204),
        ("/.well-known/none", "GET", b"here", 404),
        ("/.well-known/all", "GET", b"evil.test", 403),
        ("/back", "GET", b"here", 403),
        ("/docs", "OPTIONS", b"here", 403),
    ],
)
async def test_pages_of_every_origin_may_read_what_is_for_them_only(
    path: str, method: str, host: bytes, status: int
) -> None:
    got, headers, _ = await ask(path, method=method, host=host, origin=b"https://page.test")
    assert got == status
    allowed = headers.get(b"access-control-allow-origin")
    assert allowed == (None if status == 403 else b"*")


async def test_answers_are_not_kept_unless_they_say_so() -> None:
    _, headers, _ = await ask("/docs")
    assert headers[b"cache-control"] == b"no-store"
    assert headers[b"x-frame-options"] == b"DENY"
    assert headers[b"referrer-policy"] == b"no-referrer"
    _, headers, _ = await ask("/back")
    assert headers[b"cache-control"] == b"max-age=5"


async def test_websocket_at_such_a_path_is_left_to_the_application() -> None:
    assert (await ask("/back", kind="websocket"))[0] == 0


def test_paths_of_routes_and_of_the_application_are_kept_from_the_fast_lane() -> None:
    own = WithOpenRoutes(Inner(), ROUTES, check_site).own_paths
    assert [path in own for path in ("/back", "/docs/x", "/livez", "/mcp")] == [1, 1, 1, 0]


def test_routes_of_several_parts_are_joined() -> None:
    one, two = OpenRoutes(exact={"/a": refuse}), OpenRoutes(below={"/b": refuse})
    found = joined([one, two, OpenRoutes(for_every_page={"/d": refuse})])
    assert [found.find(path) is not None for path in ("/a", "/b/c", "/d", "/c")] == [1, 1, 1, 0]

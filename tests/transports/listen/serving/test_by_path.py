"""Two applications on one socket."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from transports.listen.serving.by_path import ByPath
from transports.listen.serving.unread_bytes import UnreadBytes


class App:
    """Notes what it is asked."""

    def __init__(self) -> None:
        self.unread = UnreadBytes()
        self.endpoint: Any = object()
        self.own_paths: frozenset[str] = frozenset()
        self.said: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await trio.lowlevel.checkpoint()
        self.said.append(scope["path"])

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        self.said.append("runs")
        task_status.started()
        await trio.sleep_forever()

    def end(self) -> None:
        self.said.append("ends")


@pytest.mark.parametrize(
    ("kind", "path", "is_first"),
    [
        ("http", "/mcp", True),
        ("http", "/mcp/view", True),
        ("http", "/mcp/", True),
        ("http", "/mcpx", False),
        ("http", "/", False),
        ("http", "/api/mcp", False),
        ("websocket", "/mcp", False),
    ],
)
async def test_path_decides(kind: str, path: str, *, is_first: bool) -> None:
    first, other = App(), App()
    app = ByPath("/mcp", first, other)
    scope = {"type": kind, "path": path}
    await app(scope, None, None)  # type: ignore[arg-type]
    assert (first.said, other.said) == (([path], []) if is_first else ([], [path]))
    if kind == "http":
        assert (path in app.own_paths) is not is_first


async def test_both_run_and_end() -> None:
    first, other = App(), App()
    app = ByPath("/mcp", first, other)
    assert (app.unread, app.endpoint) == (first.unread, first.endpoint)
    async with trio.open_nursery() as nursery:
        await nursery.start(app.run)
        app.end()
        nursery.cancel_scope.cancel()
    assert first.said == other.said == ["runs", "ends"]

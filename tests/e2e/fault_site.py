"""A router under test here, and ways to ask it."""

from __future__ import annotations

import json
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import attrs

from tests.e2e.raw_client import HttpClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.processes import RouterProcess
    from tests.e2e.workspace import Workspace


@attrs.frozen
class Site:
    """A router, and the folder that it runs in."""

    workspace: Workspace
    router: RouterProcess

    @contextmanager
    def client(self) -> Iterator[HttpClient]:
        """A client with a session."""
        with closing(HttpClient(self.router.url("/mcp"))) as client:
            client.initialize()
            yield client

    def state(self, name: str) -> dict[str, Any]:
        """Return the row of an instance in `mcp.router.list`."""
        with self.client() as client:
            params = {"name": "mcp.router.list", "arguments": {}}
            _, body = client.post({"id": 1, "method": "tools/call", "params": params})
        rows = json.loads(json.loads(body)["result"]["content"][0]["text"])
        return next(row for row in rows if row["name"] == name)


def text_of(result: dict[str, Any]) -> str:
    return result["content"][0]["text"]


def error_of(result: dict[str, Any]) -> str:
    """Return the string code of a tool error of the router."""
    assert result["isError"], result
    return json.loads(text_of(result))["code"]


def waits_for(is_so: Callable[[], bool], limit_s: float = 60.0) -> float:
    """Wait until something is so that has no event to wait for; return the seconds it took."""
    began_s = time.monotonic()
    while not is_so():
        assert time.monotonic() - began_s < limit_s, "It never came about"
        time.sleep(0.005)
    return time.monotonic() - began_s

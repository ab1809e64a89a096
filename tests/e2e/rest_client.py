"""A client of the REST API, and routers that serve one."""

from __future__ import annotations

import http.client
import json
import sys
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final

import attrs

from tests.e2e.workspace import CHAOS, Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.processes import RouterProcess

LIMIT_S: Final = 30
TOKEN: Final = "canary-token-of-the-api"


@attrs.frozen
class RestClient:
    """Plain HTTP to one router."""

    port: int
    token: str | None = TOKEN

    @property
    def netloc(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.netloc}"

    def ask(self, method: str, target: str, body: Any = None, **headers: str) -> RestResponse:
        given = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        data = None
        if body is not None:
            given["Content-Type"] = "application/json"
            data = body if isinstance(body, bytes) else json.dumps(body)
        given |= headers
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT_S)
        with closing(connection):
            connection.request(method, target, data, given)
            answer = connection.getresponse()
            return RestResponse(
                answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
            )

    def call(self, tool: str, instance: str = "plain", **params: Any) -> RestResponse:
        return self.ask("POST", "/api/call", {"instance": instance, "tool": tool, "params": params})

    def row(self, name: str) -> Any:
        return self.ask("GET", f"/api/instances/{name}").json


@attrs.frozen
class RestResponse:
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return self.json["detail"]["code"]


def configure_rest(workspace: Workspace, token: str = TOKEN, **sections: dict[str, Any]) -> None:
    workspace.configure(
        api={"enabled": True, "port": 0, "enable_realtime_logs": True},
        security={"bearer_token": token},
        **sections,
    )


@contextmanager
def rest_router(workspace: Workspace, *modes: str) -> Iterator[tuple[RouterProcess, RestClient]]:
    with workspace.serve(*modes or ("api",)) as router:
        port = int(router.netloc().split(":")[1])
        yield router, RestClient(port)


def chaos_entry(workspace: Workspace, name: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "provider": "added",
        "type": "stdio",
        "command": sys.executable,
        "args": ["-B", str(CHAOS), "plain", str(workspace.path)],
        **more,
    }

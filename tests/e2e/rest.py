"""A client of the REST API, and routers that serve one."""

from __future__ import annotations

import http.client
import json
import sys
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final

import attrs

from tests.e2e.site import CHAOS, Site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.processes import RouterProcess

LIMIT_S: Final = 30
TOKEN: Final = "canary-token-of-the-api"


@attrs.frozen
class Client:
    """Plain HTTP to one router."""

    port: int
    token: str | None = TOKEN

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, target: str, body: Any = None, **headers: str) -> Got:
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
            return Got(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())

    def call(self, tool: str, instance: str = "plain", **params: Any) -> Got:
        return self.ask("POST", "/api/call", {"instance": instance, "tool": tool, "params": params})

    def row(self, name: str) -> Any:
        return self.ask("GET", f"/api/instances/{name}").json


@attrs.frozen
class Got:
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


def configure(site: Site, token: str = TOKEN, **sections: dict[str, Any]) -> None:
    site.configure(
        api={"enabled": True, "port": 0, "enable_realtime_logs": True},
        security={"bearer_token": token},
        **sections,
    )


@contextmanager
def running(site: Site, *modes: str) -> Iterator[tuple[RouterProcess, Client]]:
    with site.serve(*modes or ("api",)) as router:
        port = int(router.stderr.wait_for(r"Listening on http://127\.0\.0\.1:(\d+)$")[1])
        yield router, Client(port)


def entry_of(site: Site, name: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "provider": "added",
        "type": "stdio",
        "command": sys.executable,
        "args": ["-B", str(CHAOS), "plain", str(site.folder)],
        **more,
    }

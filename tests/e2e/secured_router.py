"""A router with tokens and secrets of every kind, for the tests that try to get at them.

Its upstreams are `recording_upstream`, which records the requests it gets, and `snooping_upstream`,
which reports the data that a local server can read.
"""

from __future__ import annotations

import hashlib
import http.client
import itertools
import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from tests.e2e.processes import RouterProcess
from tests.e2e.raw_client import HELLO
from tests.e2e.recording_upstream import RecordingUpstream, recording_upstream
from tests.e2e.workspace import CONFIG, Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

SNOOPING: Final = Path(__file__).with_name("snooping_upstream.py")
LIMIT_S: Final = 30.0

ALL: Final = "canary-token-of-all-0123456789"
A: Final = "canary-token-of-a-0123456789"
B: Final = "canary-token-of-b-0123456789"
READER: Final = "canary-token-of-reader-0123456789"
PASSING: Final = "canary-token-by-digest-0123456789"

SECURITY: Final[dict[str, Any]] = {
    "bearer_token": ALL,
    "tokens": {
        "a": {"token": A},
        "b": {"token": B},
        "reader": {"token": READER, "permissions": ["read"]},
        "digest": {"token": "sha256:" + hashlib.sha256(PASSING.encode()).hexdigest()},
    },
}

CANARIES: Final = {
    "env": "canary-env-value-0123456789",
    "variable": "canary-variable-value-0123456789",
    "header": "canary-header-value-0123456789",
    "arg": "canary-arg-value-0123456789",
    "url": "canary-url-value-0123456789",
}


@attrs.frozen
class SecuredRouter:
    """A router with tokens, its remote upstream that records, and where it listens."""

    workspace: Workspace
    router: RouterProcess
    upstream: RecordingUpstream
    http: str
    sse: str
    api: str


@contextmanager
def secured_router(folder: Path, *, fast_lane: bool = True) -> Iterator[SecuredRouter]:
    """A router with everything that is to be secured, and with secrets of each kind."""
    workspace = Workspace(folder)
    listener = {"port": 0, "fast_lane": fast_lane}
    workspace.configure(
        security=SECURITY,
        server=CONFIG["server"] | {"http": listener, "sse": listener},
        logging={"level": "DEBUG"},
        # With the default, "*", any page may try a token at the REST API.
        api={
            "enabled": True,
            "port": 0,
            "enable_realtime_logs": True,
            "cors_origin": "127.0.0.1",
        },
    )
    workspace.add_command("snooping", sys.executable, "-B", str(SNOOPING), "${ARG}", env={
        "GIVEN": CANARIES["env"], "REFERRED": "${VARIABLE}",
    })  # fmt: skip
    workspace.add_command("missing", str(workspace.path / "nothing"), "--key", "${ARG}")
    key_in_path = f"http://127.0.0.1:1/{CANARIES['url']}/mcp?key={CANARIES['url']}"
    workspace.add("gone", type="http", url=key_in_path, headers={"X-Key": CANARIES["header"]})
    with recording_upstream() as upstream:
        workspace.add(
            "remote",
            type="http",
            url=f"{upstream.url}?key={CANARIES['url']}",
            headers={"Authorization": f"Bearer {CANARIES['header']}"},
        )
        words = ["serve", "--transport", "http", "--transport", "sse", *workspace.words]
        secrets = {"VARIABLE": CANARIES["variable"], "ARG": CANARIES["arg"]}
        with RouterProcess(words, env=dict(os.environ) | secrets) as router:
            yield SecuredRouter(
                workspace,
                router,
                upstream,
                router.netloc("/mcp"),
                router.netloc("/sse"),
                router.netloc(),
            )


Said = tuple[int, dict[str, str], bytes]


def ask(
    netloc: str, method: str, path: str, token: str | None = ALL, body: Any = None, **headers: str
) -> Said:
    """One request on a connection of its own; `_` in names of headers stands for `-`.

    It has an address of its own, where there is more than one: wrong tokens are counted by address.
    """
    connection = http.client.HTTPConnection(
        netloc, timeout=LIMIT_S, source_address=_another_address()
    )
    all_headers = {name.replace("_", "-"): value for name, value in headers.items()}
    if token is not None:
        all_headers["Authorization"] = f"Bearer {token}"
    if body is not None:
        all_headers.setdefault("Content-Type", "application/json")
    data = json.dumps(body) if isinstance(body, dict) else body
    try:
        connection.request(method, path, data, all_headers)
        answer = connection.getresponse()
        kind = answer.headers.get("Content-Type", "")
        text = b"" if kind.startswith("text/event-stream") else answer.read()
        return answer.status, dict(answer.headers), text
    finally:
        connection.close()


_numbers: Final = itertools.count(os.getpid())


def _another_address() -> tuple[str, int] | None:
    number = next(_numbers)
    address = f"127.{number >> 16 & 127}.{number >> 8 & 255}.{number % 254 + 1}"
    return (address, 0) if sys.platform == "linux" else None


def rpc(method: str, request_id: int | str = 1, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


def call(instance: str, tool: str, **arguments: Any) -> dict[str, Any]:
    wanted = {"instance_name": instance, "tool_name": tool, "arguments": arguments}
    return rpc("tools/call", name="mcp.router.call", arguments=wanted)


def open_session(netloc: str, token: str | None) -> str:
    status, headers, body = ask(netloc, "POST", "/mcp", token, rpc("initialize", **HELLO))
    assert status == 200, body
    return headers["mcp-session-id"]


def text_of(said: Said) -> str:
    status, _, body = said
    assert status == 200, body
    return json.loads(body)["result"]["content"][0]["text"]


def ping(secured: SecuredRouter) -> None:
    """Assert that the router serves."""
    status, _, body = ask(secured.http, "POST", "/mcp", ALL, rpc("ping"))
    assert (status, json.loads(body)["result"]) == (200, {})


@contextmanager
def sse_stream(secured: SecuredRouter, token: str) -> Iterator[str]:
    """An open stream; where to post for it."""
    connection = http.client.HTTPConnection(secured.sse, timeout=LIMIT_S)
    try:
        connection.request("GET", "/sse", headers={"Authorization": f"Bearer {token}"})
        stream = connection.getresponse()
        assert stream.readline() == b"event: endpoint\n"
        yield stream.readline().decode().removeprefix("data: ").strip()
        stream.close()
    finally:
        connection.close()

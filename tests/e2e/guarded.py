"""A router that is to be broken into: tokens, secrets of every kind, servers that look around.

Neighbours: `test_security`, `test_hostile` and `test_secrets` try; `recording` is a remote server
that writes down what it is sent, `nosy_upstream` a local one.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from tests.e2e.processes import RouterProcess
from tests.e2e.recording import Recording, recording
from tests.e2e.site import Site
from tests.e2e.wire import HELLO

if TYPE_CHECKING:
    from collections.abc import Iterator

NOSY: Final = Path(__file__).with_name("nosy_upstream.py")
LIMIT_S: Final = 30.0
API_URL: Final = r"Listening on http://([0-9.:]+)$"

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
class Guarded:
    """A router with tokens, its remote upstream that records, and where it listens."""

    site: Site
    router: RouterProcess
    upstream: Recording
    http: str
    sse: str
    api: str


@contextmanager
def guarded_router(folder: Path) -> Iterator[Guarded]:
    """A router with everything that is to be guarded, and with secrets of each kind."""
    site = Site(folder)
    site.configure(
        security=SECURITY,
        logging={"level": "DEBUG"},
        # With the default, "*", any page may try a token at the REST API.
        api={
            "enabled": True,
            "port": 0,
            "enable_realtime_logs": True,
            "cors_origin": "127.0.0.1",
        },
    )
    site.add_command("nosy", sys.executable, "-B", str(NOSY), "${ARG}", env={
        "GIVEN": CANARIES["env"], "REFERRED": "${VARIABLE}",
    })  # fmt: skip
    site.add_command("missing", str(site.folder / "nothing"), "--key", "${ARG}")
    key_in_path = f"http://127.0.0.1:1/{CANARIES['url']}/mcp?key={CANARIES['url']}"
    site.add("gone", type="http", url=key_in_path, headers={"X-Key": CANARIES["header"]})
    with recording() as upstream:
        site.add(
            "remote",
            type="http",
            url=f"{upstream.url}?key={CANARIES['url']}",
            headers={"Authorization": f"Bearer {CANARIES['header']}"},
        )
        words = ["serve", "--transport", "http", "--transport", "sse", *site.words]
        secrets = {"VARIABLE": CANARIES["variable"], "ARG": CANARIES["arg"]}
        with RouterProcess(words, env=dict(os.environ) | secrets) as router:
            yield Guarded(
                site,
                router,
                upstream,
                router.url("/mcp").split("/")[2],
                router.url("/sse").split("/")[2],
                router.stderr.wait_for(API_URL)[1],
            )


Said = tuple[int, dict[str, str], bytes]


def ask(
    netloc: str, method: str, path: str, token: str | None = ALL, body: Any = None, **headers: str
) -> Said:
    """One request on a connection of its own; `_` in names of headers stands for `-`."""
    connection = http.client.HTTPConnection(netloc, timeout=LIMIT_S)
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


def rpc(method: str, request_id: int | str = 1, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


def call(instance: str, tool: str, **arguments: Any) -> dict[str, Any]:
    wanted = {"instance_name": instance, "tool_name": tool, "arguments": arguments}
    return rpc("tools/call", name="mcp.router.call", arguments=wanted)


def open_session(netloc: str, token: str) -> str:
    status, headers, body = ask(netloc, "POST", "/mcp", token, rpc("initialize", **HELLO))
    assert status == 200, body
    return headers["mcp-session-id"]


def text_of(said: Said) -> str:
    status, _, body = said
    assert status == 200, body
    return json.loads(body)["result"]["content"][0]["text"]


def ping(guarded: Guarded) -> None:
    """It lives and serves."""
    status, _, body = ask(guarded.http, "POST", "/mcp", ALL, rpc("ping"))
    assert (status, json.loads(body)["result"]) == (200, {})


@contextmanager
def sse_stream(guarded: Guarded, token: str) -> Iterator[str]:
    """An open stream; where to post for it."""
    connection = http.client.HTTPConnection(guarded.sse, timeout=LIMIT_S)
    try:
        connection.request("GET", "/sse", headers={"Authorization": f"Bearer {token}"})
        stream = connection.getresponse()
        assert stream.readline() == b"event: endpoint\n"
        yield stream.readline().decode().removeprefix("data: ").strip()
        stream.close()
    finally:
        connection.close()

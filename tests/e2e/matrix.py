"""Measures which feature works between clients and servers of which revisions.

Each client and each server is on an SDK of its revision, in an environment of its own. Their
sources are in `tests/peers/matrix`; `scenario.py` there has the features. Peers are named by
transport and revision, as in `stdio-2025-06-18`.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias
from urllib.parse import quote

from tests.e2e import peers, real_servers
from tests.e2e.client_2026 import REVISION_2026
from tests.e2e.ports import free_port
from tests.e2e.processes import router_command
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.processes import RouterProcess

HANDSHAKE_REVISIONS: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
REVISIONS: Final = (*HANDSHAKE_REVISIONS, REVISION_2026)

REMOTE: Final = dict.fromkeys(REVISIONS, "http") | {"2024-11-05": "sse"}
"""The transport of each revision besides stdio: the oldest had no streamable HTTP."""

LOCAL_PEERS: Final = [f"stdio-{each}" for each in REVISIONS]
REMOTE_PEERS: Final = [f"{transport}-{each}" for each, transport in REMOTE.items()]
PEERS: Final = [*LOCAL_PEERS, *REMOTE_PEERS]

PAIRS: Final = [
    *itertools.product(LOCAL_PEERS, LOCAL_PEERS),
    *itertools.product(REMOTE_PEERS, PEERS),
]
"""Clients and servers. A client on stdio has a router of its own for each server, which takes a
second, so it is left out where the server is remote."""

FEATURES: Final[tuple[str, ...]] = (
    "list",
    "call",
    "progress",
    "log",
    "cancel",
    "sampling",
    "elicitation",
    "roots",
    "resource read",
    "resource update",
    "list change",
    "prompt",
    "completion",
)

OK: Final = "ok"
CLIENT_LACKS: Final = "client lacks it"
SERVER_LACKS: Final = "server lacks it"
"""Outcomes of the scenario; any other one is the text of an error."""

PROTOCOLS: Final = {
    "stdio-2024-11-05": "legacy",
    f"stdio-{REVISION_2026}": REVISION_2026,
    f"http-{REVISION_2026}": REVISION_2026,
}
"""Server -> its setting `protocol`; the others keep the default. On stdio, the oldest SDK does not
answer the question that comes with the default, and the router waits 10 s before it starts anew."""

ELICITATION_SINCE: Final = "2025-06-18"

FOLDER: Final = peers.SOURCES / "matrix"

PLAY_LIMIT_S: Final = 600.0
"""For one client with all servers; takes some seconds where nothing fails."""

LANES: Final = 2
"""Clients that play at a time. All remote ones are in one lane, and share its router."""

Outcomes: TypeAlias = dict[str, dict[str, str]]
"""Server -> feature -> outcome."""


def expected(client: str, server: str) -> dict[str, str]:
    """Return the outcome of each feature between peers of two revisions."""
    outcomes: dict[str, str] = dict.fromkeys(FEATURES, OK)
    if revision_of(server) < ELICITATION_SINCE:
        outcomes["elicitation"] = SERVER_LACKS
    elif revision_of(client) < ELICITATION_SINCE:
        outcomes["elicitation"] = CLIENT_LACKS
    return outcomes


def transport_of(peer: str) -> str:
    """Return the transport in a peer's name."""
    return peer.partition("-")[0]


def revision_of(peer: str) -> str:
    """Return the revision in a peer's name."""
    return peer.partition("-")[2]


# --- Peers -----------------------------------------------------------------------------------


def _python_of(revision: str) -> str:
    return sys.executable if revision == REVISION_2026 else peers.python_of(f"sdk-{revision}")


def _command(kind: str, revision: str, *words: str) -> list[str]:
    era = "2026" if revision == REVISION_2026 else "handshake"
    return [_python_of(revision), "-B", str(FOLDER / f"{kind}_{era}.py"), *words]


def play(revision: str, addresses: dict[str, list[str]]) -> Outcomes:
    """Have a client show all features at each address, one address after the other."""
    played = subprocess.run(
        _command("client", revision),
        input=json.dumps(addresses),
        capture_output=True,
        text=True,
        timeout=PLAY_LIMIT_S,
        check=False,
    )
    assert played.returncode == 0, played.stderr
    return json.loads(played.stdout)


def stdio_address(revision: str) -> list[str]:
    """Return the address of a server that its client starts."""
    return ["stdio", *_command("server", revision, "stdio")]


def listening(revision: str, stack: ExitStack, **env: str) -> list[str]:
    """Start a server that listens; return its address."""
    transport, port = REMOTE[revision], free_port()
    command = _command("server", revision, transport, str(port))
    stack.enter_context(real_servers.listening(command, "[Rr]unning on http://", os.environ | env))
    path = {"http": "mcp", "sse": "sse"}[transport]
    return [transport, f"http://127.0.0.1:{port}/{path}"]


# --- Measuring -------------------------------------------------------------------------------


class Matrix(NamedTuple):
    """The outcomes of each feature.

    Attributes:
        direct: of each client with the server of its revision and transport, without a router.
        routed: of each pair of a client and a server.
    """

    direct: Outcomes
    routed: dict[tuple[str, str], dict[str, str]]


def measure(folder: Path) -> Matrix:
    """Play all clients with all servers."""
    with ExitStack() as stack:
        servers = dict(_servers(stack))
        workspace = Workspace(folder / "all")
        for name, address in servers.items():
            _add(workspace, name, address)
        router = stack.enter_context(workspace.serve("http", "sse"))
        with ThreadPoolExecutor(LANES) as lanes:
            remote = lanes.submit(_play_remote, router)
            local = [lanes.submit(_play_local, folder, servers, each) for each in REVISIONS]
            direct = lanes.submit(_play_direct, servers)
            played = remote.result()
            for client, each in zip(LOCAL_PEERS, local, strict=True):
                played[client] = each.result()
            routed = {(client, server): played[client][server] for client, server in PAIRS}
            return Matrix(direct.result(), routed)


def _servers(stack: ExitStack) -> Iterator[tuple[str, list[str]]]:
    for name in PEERS:
        revision = revision_of(name)
        if transport_of(name) == "stdio":
            yield name, stdio_address(revision)
        else:
            yield name, listening(revision, stack)


def _add(workspace: Workspace, name: str, address: list[str]) -> None:
    protocol = PROTOCOLS.get(name, "auto")
    transport, *where = address
    if transport == "stdio":
        workspace.add_command(name, *where, protocol=protocol)
    else:
        workspace.add(name, type=transport, url=where[0], protocol=protocol)


def _play_direct(servers: dict[str, list[str]]) -> Outcomes:
    outcomes: Outcomes = {}
    for revision in REVISIONS:
        own = {name: where for name, where in servers.items() if revision_of(name) == revision}
        outcomes |= play(revision, own)
    return outcomes


def _play_remote(router: RouterProcess) -> dict[str, Outcomes]:
    """Play the clients over HTTP, one after the other.

    They share the servers on stdio, and a question of such a server reaches a client only while no
    other one has a call in flight there.
    """
    outcomes: dict[str, Outcomes] = {}
    for revision, transport in REMOTE.items():
        place = router.url({"http": "/mcp", "sse": "/sse"}[transport])
        addresses = {name: [transport, f"{place}/{quote(name)}"] for name in PEERS}
        outcomes[f"{transport}-{revision}"] = play(revision, addresses)
    return outcomes


def _play_local(folder: Path, servers: dict[str, list[str]], revision: str) -> Outcomes:
    """Play the client that starts a router of its own for each server on stdio."""
    addresses: dict[str, list[str]] = {}
    for name in LOCAL_PEERS:
        workspace = Workspace(folder / revision / name)
        _add(workspace, name, servers[name])
        words = ["serve", "--transport", "stdio", "--view", name, *workspace.words]
        addresses[name] = ["stdio", *router_command(*words)]
    return play(revision, addresses)

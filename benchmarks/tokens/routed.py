"""A router in front of real servers and of stubs for the others, with a place for each view."""

from __future__ import annotations

import json
import shutil
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import attrs

from benchmarks.search.listing import without_network
from benchmarks.search.real_servers import SERVERS
from benchmarks.tokens.stub_server import stub_server
from benchmarks.tokens.tasks import lay_out
from router.core.protocol.own_tools.router_tools import LIST
from tests.e2e.raw_client import HELLO, HttpClient
from tests.e2e.workspace import CONFIG, Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from benchmarks.search.catalogues import Catalogue
    from router.messages.instances.exposure import Expose

REAL: Final = ("everything", "filesystem", "memory", "git", "desktop-commander")
"""The servers that the tasks use; they need no network."""

READY_LIMIT_S: Final = 120.0
_POLL_S: Final = 0.1

PLACES: Final[dict[str, Expose]] = {
    "instances": "router",
    "all": "direct",
    "found": "search",
    "chosen": "auto",
    "coded": "code",
}
"""Name of a profile -> its kind."""


class NotReadyError(Exception):
    """Servers are not ready in time."""


@attrs.frozen
class Routed:
    """A router whose servers are all ready.

    Attributes:
        url: of its place `/mcp`.
        folder: the folder for all that it needs.
    """

    url: str
    folder: Path

    @contextmanager
    def session(self, expose: Expose) -> Iterator[tuple[HttpClient, str]]:
        """Open a session in the view of this kind; yield it with the router's instructions."""
        place = next(name for name, kind in PLACES.items() if kind == expose)
        client = HttpClient(f"{self.url}/{place}")
        status, body = client.post({"id": "hello", "method": "initialize", "params": HELLO})
        if status != 200:
            raise NotReadyError(f"{place}: {body.decode(errors='replace')}")
        client.post({"method": "notifications/initialized"})
        yield client, json.loads(body)["result"].get("instructions") or ""
        client.delete()
        client.close()

    def lay_out_anew(self) -> None:
        """Have the servers know and have what they had at first."""
        for file in self.folder.glob("home/memory.jsonl"):
            file.unlink()
        shutil.rmtree(self.files, ignore_errors=True)
        lay_out(self.files)

    @property
    def files(self) -> Path:
        return self.folder / "files"


@contextmanager
def routed(
    catalogues: Sequence[Catalogue], folder: Path, *, kinds: Sequence[Expose]
) -> Iterator[Routed]:
    """Run a router until the context ends.

    Args:
        catalogues: the servers; those of `REAL` are started, the others are stubs.
        folder: an empty folder for all that it needs.
        kinds: the views to be served.

    Raises:
        NotReadyError: a server is not ready within `READY_LIMIT_S`.
    """
    (files := folder / "files").mkdir()
    (home := folder / "home").mkdir()
    (place := folder / "router").mkdir()
    workspace = Workspace(place)
    profiles = {name: {"expose": kind} for name, kind in PLACES.items() if kind in kinds}
    workspace.configure(server={**CONFIG["server"], "view": "router"}, profiles=profiles)
    real = [one.name for one in catalogues if one.name in REAL]
    with stub_server([one for one in catalogues if one.name not in real]) as urls:
        for server in SERVERS:
            if server.name in real:
                moved = server.moved_to(home, files)
                command = without_network(moved.command())
                workspace.add_command(server.name, *command, env=moved.variables(home))
        for name, url in urls.items():
            workspace.add(name, type="http", url=url)
        with workspace.serve("http") as process:
            found = Routed(process.url("/mcp"), folder)
            _wait_until_ready(found.url, len(catalogues))
            yield found


def _wait_until_ready(url: str, number: int) -> None:
    client = HttpClient(url)
    client.initialize()
    ends_at_s = time.monotonic() + READY_LIMIT_S
    while True:
        params = {"name": LIST, "arguments": {}}
        _, body = client.post({"id": 1, "method": "tools/call", "params": params})
        rows: list[dict[str, Any]] = json.loads(json.loads(body)["result"]["content"][0]["text"])
        waiting = [f"{row['name']} ({row['state']})" for row in rows if row["state"] != "ready"]
        if not waiting and len(rows) == number:
            client.close()
            return
        if time.monotonic() > ends_at_s:
            raise NotReadyError(f"{len(rows)} of {number} servers; not ready: {', '.join(waiting)}")
        time.sleep(_POLL_S)  # the tool has no event to wait for

"""A router that the tests of a module share, each as a principal of its own.

Rule: over HTTP, a client of revision 2026-07-28 has no session. Its calls that wait for an answer
belong to its principal, so tests that share a router need a token each.
"""

from __future__ import annotations

import itertools
import json
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from tests.e2e.client_2026 import REVISION_2026, Client2026
from tests.e2e.sdk_client import Target
from tests.e2e.workspace import CONFIG, Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.processes import RouterProcess

ASKING: Final = Path(__file__).with_name("asking_upstream.py")
PRINCIPALS: Final = 60
"""More than any module has tests, since each test needs a principal of its own."""

DRAIN_S: Final = 5
"""A call that a failed test left open does not hold up the end for longer."""


def add_asking(workspace: Workspace, name: str = "asking") -> Path:
    """Add `asking_upstream`; return the file in which it records the messages it gets."""
    record = workspace.path / f"{name}.jsonl"
    workspace.add_command(name, sys.executable, "-B", str(ASKING), str(record))
    return record


@attrs.frozen
class SharedRouter:
    """A router that knows many tokens."""

    workspace: Workspace
    router: RouterProcess
    _numbers: Iterator[int] = attrs.field(factory=itertools.count)

    def token(self) -> str:
        """Return the token of a principal that no test has used yet."""
        number = next(self._numbers)
        assert number < PRINCIPALS
        return _token(number)

    def client(self) -> Client2026:
        """Return a raw client that is a new principal."""
        return Client2026(self.router.url("/mcp"), self.token())

    def target(self, transport: str, mode: str = REVISION_2026) -> Target:
        """Return what the SDK's client connects to as a new principal."""
        router = None if transport == "stdio" else self.router
        return Target(transport, self.workspace, router, mode, self.token())

    def change_own_tools(self) -> None:
        """Have the router list other tools of its own, or again those of before."""
        config = json.loads(self.workspace.config_file.read_bytes())
        is_listed = config["server"].get("allow_instance_management", False)
        config["server"]["allow_instance_management"] = not is_listed
        self.workspace.config_file.write_text(json.dumps(config))
        self.router.popen.send_signal(signal.SIGHUP)


@contextmanager
def shared_router(
    workspace: Workspace, *transports: str, **sections: dict[str, Any]
) -> Iterator[SharedRouter]:
    """Run a router with many tokens; `sections` are those of config.json."""
    tokens = {f"p{number}": {"token": _token(number)} for number in range(PRINCIPALS)}
    server = CONFIG["server"] | {"drain_s": DRAIN_S}
    workspace.configure(**{"server": server, "security": {"tokens": tokens}, **sections})
    with workspace.serve(*transports or ("http",)) as router:
        yield SharedRouter(workspace, router)


def _token(number: int) -> str:
    return f"canary-token-of-p{number}-0123456789"

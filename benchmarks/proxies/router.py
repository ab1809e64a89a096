"""This router, in the ways that are measured."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs

from benchmarks.proxies.processes import call_once, started
from benchmarks.proxies.proxy import Running
from tests.e2e.processes import router_command
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from benchmarks.proxies.proxy import Kind, Upstream

TOKEN: Final = "a-token-of-the-benchmarks-0123456789"
View = Literal["direct", "transparent", "router"]


@attrs.frozen
class Router:
    """One configuration of the router.

    Attributes:
        name: its name in tables.
        view: "direct": the tools under names of their own; "transparent": the place of one
            instance; "router": by `mcp.router.call`.
        fast_lane: plain POSTs do not go through Hypercorn.
        token: every request has a bearer token.
        check_arguments: arguments are checked against the tools' schemas.
        metrics: the REST API with `/metrics` is on.
    """

    name: str = "router"
    view: View = "direct"
    fast_lane: bool = True
    token: bool = True
    check_arguments: bool = True
    metrics: bool = True
    kinds: frozenset[Kind] = frozenset({"http", "sse", "stdio"})
    wrapped: bool = False

    @contextmanager
    def serve(self, kind: Kind, upstreams: Sequence[Upstream], folder: Path) -> Iterator[Running]:
        """Run the router until the context ends."""
        workspace = self._workspace(upstreams, folder)
        command = router_command("serve", "--transport", kind, *workspace.words)
        with started(command) as process:
            place = "/mcp" if kind == "http" else "/sse"
            url = process.stderr.wait_for(rf"Listening on (http://\S+{place})\b")[1]
            if self.view == "transparent":
                url += "/" + upstreams[0].name
            tool, arguments = self.called_over_stdio(upstreams)
            headers = {"Authorization": f"Bearer {TOKEN}"} if self.token else {}
            running = Running(process.pid, url, tool, arguments, headers)
            call_once(kind, running)
            yield running

    def command(self, upstreams: Sequence[Upstream], folder: Path) -> list[str]:
        """Return the command that a client runs to have the router on stdio."""
        words = self._workspace(upstreams, folder).words
        view = ["--view", upstreams[0].name] if self.view == "transparent" else []
        return router_command("serve", "--transport", "stdio", *view, *words)

    def called_over_stdio(self, upstreams: Sequence[Upstream]) -> tuple[str, str]:
        """Return the name of the echo and its arguments."""
        name = upstreams[0].name
        arguments = '{"text":"%TEXT%"}'
        if self.view == "transparent":
            return "echo", arguments
        if self.view == "direct":
            return f"{name}__echo", arguments
        wrapped = f'"instance_name":"{name}","tool_name":"echo","arguments":{arguments}'
        return "mcp.router.call", "{" + wrapped + "}"

    def _workspace(self, upstreams: Sequence[Upstream], folder: Path) -> Workspace:
        workspace = Workspace(folder)
        workspace.configure(**self._settings())
        for upstream in upstreams:
            workspace.add_command(upstream.name, *upstream.command)
        return workspace

    def _settings(self) -> dict[str, dict[str, Any]]:
        listener = {"port": 0, "fast_lane": self.fast_lane}
        return {
            "server": {
                "http": listener,
                "sse": listener,
                "tool_names": "dotted",
                "view": "router" if self.view == "transparent" else self.view,
            },
            "security": {
                "bearer_token": TOKEN if self.token else "",
                "check_arguments": self.check_arguments,
            },
            "api": {"enabled": self.metrics, "port": 0},
        }


ROUTER: Final = Router()
"""Everything on, in the view of the `config.json` that comes with the router."""

AS_SHIPPED: Final = Router("router, no checks", token=False, check_arguments=False, metrics=False)
"""With the settings of a new `config.json`: no token, no REST API, arguments are the servers'."""

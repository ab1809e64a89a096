"""An MCP server that asks for a login: a router whose people come from a real provider."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import attrs

from tests.e2e.identity_provider import IdentityProvider, identity_provider
from tests.e2e.ports import free_port
from tests.e2e.workspace import CONFIG, Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIMIT_S: Final = 30.0


@attrs.frozen
class ProtectedRouter:
    """The server, and its authorization server."""

    url: str
    idp: IdentityProvider

    def results(self, grant: str) -> list[str | None]:
        """Return the error of each request for a token by a grant, None for those that went well.

        Args:
            grant: the last part of its name, such as `refresh_token`.
        """
        rows = self.idp.token_requests()
        return [row["error"] for row in rows if row["grant"].endswith(grant)]

    def wait_for_results(self, grant: str, number: int) -> None:
        """Wait until there are so many of them."""
        ends_at_s = time.monotonic() + LIMIT_S
        while len(self.results(grant)) < number:
            assert time.monotonic() < ends_at_s, self.idp.said.text
            time.sleep(0.05)  # the provider says it, and wakes nobody


def issuer_entry(idp: IdentityProvider, audience: str) -> dict[str, Any]:
    """Return an entry of `security.oauth.issuers`."""
    permissions = {"scope:mcp.call": ["call"]}
    return {"issuer": idp.issuer, "audience": audience, "permissions": permissions}


@contextmanager
def protected_router(folder: Path, **options: Any) -> Iterator[ProtectedRouter]:
    """Run both; the options are those of `identity_provider`."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/mcp"
    with identity_provider(**options) as idp:
        workspace = Workspace(folder).add_chaos("plain")
        http = {"http": {"port": port, "auto_find_port": False}}
        security = {"oauth": {"issuers": [issuer_entry(idp, url)]}}
        workspace.configure(server={**CONFIG["server"], **http}, security=security)
        with workspace.serve("http"):
            yield ProtectedRouter(url, idp)

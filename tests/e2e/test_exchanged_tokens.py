"""A server is reached with the token of the person who calls, exchanged at a real provider."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from tests.e2e.identity_provider import MACHINE
from tests.e2e.protected_router import issuer_entry, protected_router
from tests.e2e.raw_client import HttpClient
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

AUDIENCE = "https://router.example.org/mcp"


def test_token_of_who_calls_is_exchanged_for_one_of_the_server(tmp_path: Path) -> None:
    client_id, secret = MACHINE
    oauth = {"grant": "token_exchange", "client_id": client_id, "client_secret": secret}
    with protected_router(tmp_path / "server") as server:
        workspace = Workspace(tmp_path / "router").add("notes", url=server.url, oauth=oauth)
        workspace.configure(security={"oauth": {"issuers": [issuer_entry(server.idp, AUDIENCE)]}})
        sent = server.idp.machine_token(AUDIENCE)
        with workspace.serve("http") as router:
            client = HttpClient(router.url("/mcp"), sent)
            with closing(client):
                client.initialize()
                for number in range(2):
                    answer = client.call(number, "notes", "mcp.router.list")
                    # The server takes no token but its own.
                    assert not answer.get("isError"), answer
            said = router.stderr.text
        assert server.results("token-exchange") == [None]
    assert sent not in said
    assert secret not in said

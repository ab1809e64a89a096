"""`entries` and `linked_router`: clients are pointed at this router, and never get a token."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from router.client_files.clients.table import CLIENTS
from router.client_files.importing.itself import OwnAddresses, is_router_itself
from router.client_files.installing.entries import entry_for, snippet
from router.client_files.installing.linked_router import LinkedRouter
from router.client_files.reading.entries import Origin, read_server
from router.config.security.security import Security
from router.config.settings import HttpListener, Server, Settings

if TYPE_CHECKING:
    from router.client_files.clients.client import Client

PROGRAM = ("/opt/bin/mcp-router",)
CONFIG = Path("/home/me/config.json")


def _router(
    server: Server | None = None, *, view: str | None = None, standalone: bool = False
) -> LinkedRouter:
    settings = Settings(server=server or Server())
    return LinkedRouter.from_settings(
        settings, CONFIG, PROGRAM, view=view, is_standalone=standalone
    )


@pytest.mark.parametrize(
    ("server", "view", "url"),
    [
        (Server(), None, "http://127.0.0.1:3000/mcp"),
        (Server(), "work", "http://127.0.0.1:3000/mcp/work"),
        (Server(), "笔记", "http://127.0.0.1:3000/mcp/%E7%AC%94%E8%AE%B0"),
        (Server(host="0.0.0.0", http=HttpListener(port=8080)), None, "http://127.0.0.1:8080/mcp"),
        (Server(host="::"), None, "http://[::1]:3000/mcp"),
        (Server(host="router.lan"), None, "http://router.lan:3000/mcp"),
        (Server(http=HttpListener(port=0)), None, None),
        (Server(http=HttpListener(enabled=False)), None, None),
    ],
)
def test_the_url_is_that_of_the_place(server: Server, view: str | None, url: str | None) -> None:
    assert _router(server, view=view).url == url


def test_the_command_joins_the_router_or_is_one() -> None:
    joining = ["/opt/bin/mcp-router", "connect", "-c", "/home/me/config.json"]
    assert _router().command == joining
    assert _router(view="work").command == [*joining, "--view", "work"]
    assert _router(standalone=True).command == [joining[0], "stdio", *joining[2:]]
    own = LinkedRouter(PROGRAM, CONFIG, None, is_standalone=True, data=Path("/srv/data"))
    assert own.command[-2:] == ["--data", "/srv/data"]


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
@pytest.mark.parametrize("has_token", [False, True])
@pytest.mark.parametrize("is_standalone", [False, True])
@pytest.mark.parametrize("view", [None, "work"])
def test_what_is_written_is_read_as_this_router(
    client: Client, has_token: bool, is_standalone: bool, view: str | None
) -> None:
    token = "t" * 32
    settings = Settings(security=Security(bearer_token=token if has_token else ""))
    router = LinkedRouter.from_settings(
        settings, CONFIG, PROGRAM, view=view, is_standalone=is_standalone
    )

    entry = entry_for(client, router)

    assert token not in str(entry)
    found = read_server(
        "mcp-router", entry.value, Origin(client.name, client.dialect, CONFIG, "user", "")
    )
    assert found.problem is None
    assert is_router_itself(found.entry, OwnAddresses.from_settings(settings))
    if is_standalone or "http" not in client.speaks:
        assert "command" in found.entry


def test_ai_assistant_gets_the_command_where_the_url_needs_a_token() -> None:
    router = _router()
    assert "url" in snippet(router)["mcpServers"]["mcp-router"]
    router = replace(router, has_token=True)
    assert snippet(router)["mcpServers"]["mcp-router"]["command"] == PROGRAM[0]

"""Clients and the router that they lead to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from router.client_files.clients.table import CLIENTS
from router.client_files.installing.entries import entry_for
from router.client_files.installing.linked_router import LinkedRouter
from router.client_files.reading.discovery import ReadFile
from router.client_files.reading.entries import Origin, read_server
from router.client_files.reading.found import FoundServer
from router.doctor.facts import PortOwner, Process
from router.doctor.rules.clients import judge
from tests.router.doctor.made_facts import facts, lines, settings, spec

if TYPE_CHECKING:
    from router.client_files.clients.client import Client

PATH = Path("/home/a/.cursor/mcp.json")
AGAIN = "-> mcp-router install cursor"


def client(name: str = "mcp-router", *, of: str = "cursor", **entry: Any) -> tuple[ReadFile, ...]:
    server = FoundServer(name, entry, of, PATH, place=f"mcpServers.{name}")
    return (ReadFile(PATH, "Cursor", (server,)),)


def found(*, settings_: Any = None, **changes: Any) -> list[str]:
    return lines(judge, facts(settings=settings_, **changes))


def test_link_to_the_live_port_and_a_view_that_is_there_is_no_finding() -> None:
    specs = (spec("files"),)
    assert found(clients=client(url="http://127.0.0.1:3000/mcp")) == []
    assert found(clients=client("x", url="http://localhost:3001/sse")) == []
    assert found(clients=client(url="http://[::1]:3000/mcp/files"), specs=specs) == []


@pytest.mark.parametrize("token", ["", "sha256:" + "0" * 64])
@pytest.mark.parametrize("one", CLIENTS, ids=lambda one: one.name)
def test_what_install_writes_is_no_finding(one: Client, token: str, tmp_path: Path) -> None:
    program = tmp_path / "mcp-router"
    program.write_text("")
    program.chmod(0o755)
    config = tmp_path / "config.json"
    guarded = settings(security={"bearer_token": token})
    router = LinkedRouter.from_settings(guarded, config, (str(program),), view="文件")
    written = entry_for(one, router).value
    origin = Origin(one.name, one.dialect, PATH, "user", "mcpServers.mcp-router")
    file = ReadFile(PATH, one.title, (read_server("mcp-router", written, origin),))
    specs = (spec("文件"),)
    assert found(settings_=guarded, clients=(file,), specs=specs, config=config) == []


def test_router_of_another_config_is_another() -> None:
    other = client(command="/usr/bin/python3", args=["-m", "router", "stdio", "-c", "/other.json"])
    (line,) = found(clients=other)
    assert line.startswith("note clients: no client of this machine is linked")


def test_link_to_another_port_or_view_is_an_error() -> None:
    stale = client(url="http://127.0.0.1:3005/mcp/flies")
    where = f"error {PATH}: mcpServers.mcp-router:"
    assert found(clients=stale, specs=(spec("files"),)) == [
        f"{where} leads Cursor to port 3005, and this router is at 3000 and 3001 {AGAIN}",
        f"{where} asks for the view 'flies', which is not there. Did you mean 'files'? {AGAIN}",
    ]


@pytest.mark.parametrize("kind", ["search", "direct"])
def test_a_kind_of_view_has_no_place_to_link_to(kind: str) -> None:
    link = client(url=f"http://127.0.0.1:3000/mcp/{kind}")
    (line,) = found(clients=link)
    assert f"asks for the view '{kind}', which is not there" in line
    assert found(clients=link, specs=(spec(kind),)) == []


def test_port_that_the_running_router_found_is_live() -> None:
    owners = (PortOwner(3005, 7), PortOwner(3000, 8))
    moved = client(url="http://127.0.0.1:3005/mcp")
    assert found(clients=moved, owners=owners, processes=(Process(7),)) == []


def test_link_without_the_token_is_an_error_if_there_is_one() -> None:
    guarded = settings(security={"bearer_token": "sha256:" + "0" * 64})
    url = "http://127.0.0.1:3000/mcp"
    (line,) = found(settings_=guarded, clients=client(url=url))
    assert "sends no token, and this router asks for one" in line
    with_token = client(url=url, headers={"authorization": "Bearer s3cret"})
    assert found(settings_=guarded, clients=with_token) == []


def test_client_that_only_starts_commands_cannot_use_a_url() -> None:
    desktop = client(of="claude-desktop", url="http://127.0.0.1:3000/mcp")
    (line,) = found(clients=desktop)
    assert "is a URL, and Claude Desktop starts commands alone" in line


def test_command_that_is_gone_or_asks_for_another_view_is_an_error(tmp_path: Path) -> None:
    program = tmp_path / "mcp-router"
    gone = client("x", command=str(program), args=["connect", "--view", "router"])
    (line,) = found(clients=gone)
    assert f"starts {program}, which is not there {AGAIN}" in line
    program.write_text("")
    program.chmod(0o755)
    assert found(clients=gone) == []
    (line,) = found(clients=client(command=str(program), args=["connect", "--view", "x"]))
    assert "asks for the view 'x', which is not there" in line


def test_file_that_cannot_be_read_is_named_and_no_link_is_a_note() -> None:
    broken = (ReadFile(PATH, "Cursor", problem="line 1, column 2: invalid JSON"),)
    other = client("github", url="https://api.test/mcp")
    assert found(clients=broken)[0].startswith(
        f"warning {PATH}: line 1, column 2: invalid JSON -> "
    )
    assert found(clients=other) == [
        "note clients: no client of this machine is linked to this router -> mcp-router install "
        "CLIENT; of those here: Cursor"
    ]

"""`docs/clients.md` shows exactly what `install` writes into an empty file of each client."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

from router.client_files.clients.table import CLIENTS
from router.client_files.installing.entries import snippet
from router.client_files.installing.linked_router import LinkedRouter
from tests.router.client_files.installing.bench import Bench

if TYPE_CHECKING:
    from router.client_files.clients.client import Client, Platform

PAGE = (Path(__file__).parents[4] / "docs" / "clients.md").read_text(encoding="utf-8")
ROUTER = LinkedRouter(
    ("/home/you/mcp-router/.venv/bin/mcp-router",),
    Path("/home/you/mcp-router/config.json"),
    "http://127.0.0.1:3000/mcp",
)


def _section(title: str) -> str:
    return PAGE.partition(f"### {title}\n")[2].partition("\n### ")[0]


def _snippets(title: str) -> list[str]:
    return re.findall(r"^```(?:json|toml)\n(.*?)^```", _section(title), re.MULTILINE | re.DOTALL)


def _written(client: Client, bench: Bench, *, has_token: bool) -> str:
    target = bench.target(client.name)
    target.folder.mkdir(parents=True, exist_ok=True)
    router = LinkedRouter(ROUTER.program, ROUTER.config, ROUTER.url, has_token=has_token)
    data = bench.plan(client.name, router).after
    assert data is not None
    return data.decode()


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_the_snippets_are_what_install_writes(client: Client, bench: Bench) -> None:
    plain = _written(client, bench, has_token=False)
    with_token = _written(client, bench, has_token=True)

    assert _snippets(client.title) == list(dict.fromkeys([plain, with_token]))
    assert f"`mcp-router install {client.name}`" in _section(client.title)


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_the_file_is_the_one_that_is_written_to(client: Client, bench: Bench) -> None:
    path = bench.target(client.name).path.relative_to(bench.machine.home)

    assert path.name in _section(client.title)
    systems: tuple[Platform, ...] = ("darwin", "win32")
    for system in systems:
        machine = attrs.evolve(bench.machine, platform=system)
        assert Bench(machine, bench.ledger).target(client.name).path.name in _section(client.title)


def test_the_text_to_paste_into_ai_assistant_is_the_printed_one() -> None:
    (shown,) = _snippets("JetBrains AI Assistant")
    assert json.loads(shown) == snippet(ROUTER)

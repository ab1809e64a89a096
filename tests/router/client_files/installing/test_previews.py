"""`previews`: the difference shows what is written, and hides all else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from router.client_files.installing.previews import MASK, difference
from router.client_files.installing.undo import plan_uninstall
from tests.router.client_files.installing.bench import ROUTER
from tests.router.client_files.shapes import SHAPES, Shape

if TYPE_CHECKING:
    from tests.router.client_files.installing.bench import Bench

_ALL = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.client)
_HIDDEN = ("npx", "filesystem", "/srv/docs", "debug", "blue", "example.com", "without asking")


@_ALL
def test_nothing_of_the_file_is_shown_but_keys(shape: Shape, bench: Bench) -> None:
    shape.put(bench.machine)

    lines = difference(bench.plan(shape.client, moved=["files", "docs"]))

    text = "\n".join(lines)
    assert not [hidden for hidden in _HIDDEN if hidden in text]
    assert MASK in text
    added = [line for line in lines if line.startswith("+")]
    assert any("mcp-router" in line for line in added)
    assert any("127.0.0.1:3000/mcp" in line or "connect" in line for line in added)


def test_a_small_change_shows_a_few_lines(bench: Bench) -> None:
    SHAPES[2].put(bench.machine)

    assert difference(bench.plan("cursor")) == (
        ' \t\t\t"url": "•••",',
        ' \t\t\t"headers": {"X-Team": "•••"}',
        "+\t\t},",
        '+\t\t"mcp-router": {',
        '+\t\t\t"url": "http://127.0.0.1:3000/mcp"',
        " \t\t}",
        " \t}",
    )


def test_an_older_entry_with_a_token_is_hidden(bench: Bench) -> None:
    path = bench.target("cursor").path
    path.parent.mkdir()
    path.write_bytes(
        b'{"mcpServers": {"mcp-router": {"headers": {"Authorization": "Bearer abc"}}}} // t0ken\n'
    )
    lines = difference(bench.plan("cursor"))
    assert "abc" not in "".join(lines)
    assert "t0ken" not in "".join(lines)

    bench.install("cursor")
    lines = difference(plan_uninstall(bench.ledger, bench.ledger.rows()))
    assert "abc" not in "".join(lines)


def test_a_table_of_toml_is_hidden_as_well(bench: Bench) -> None:
    path = bench.target("codex").path
    path.parent.mkdir()
    path.write_bytes(
        b'[mcp_servers.x] # c0mment\ncommand = "sh"\nargs = [\n "abc", # c0mment\n]\n'
        b"# c0mment\n[mcp_servers.mcp-router]\nbearer = 'abc'\n"
    )

    lines = difference(bench.plan("codex", moved=["x"]))

    text = "\n".join(lines)
    assert "abc" not in text
    assert "c0mment" not in text
    assert "-args = •••" in lines
    assert '+url = "http://127.0.0.1:3000/mcp"' in lines


def test_the_command_of_the_router_is_shown_in_toml(bench: Bench) -> None:
    bench.target("codex").path.parent.mkdir()

    assert difference(bench.plan("codex", replace(ROUTER, is_standalone=True)))[-2:] == (
        '+command = "/opt/mcp-router/bin/mcp-router"',
        '+args = ["stdio", "-c", "/home/somebody/router/config.json"]',
    )


def test_a_large_file_is_compared_where_it_changes(bench: Bench) -> None:
    path = bench.target("cursor").path
    path.parent.mkdir()
    history = b",\n".join(b'    "a"' for _ in range(20_000))
    path.write_bytes(b'{\n  "mcpServers": {},\n  "history": [\n' + history + b"\n  ]\n}\n")

    assert difference(bench.plan("cursor")) == (
        " {",
        '-  "mcpServers": {},',
        '+  "mcpServers": {',
        '+    "mcp-router": {',
        '+      "url": "http://127.0.0.1:3000/mcp"',
        "+    }",
        "+  },",
        '   "history": [',
        '     "•••",',
    )


def test_no_difference_has_no_lines(bench: Bench) -> None:
    SHAPES[2].put(bench.machine)
    bench.install("cursor")

    assert difference(bench.plan("cursor")) == ()

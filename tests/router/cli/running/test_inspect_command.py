"""Everything that is known of an instance, as text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest
from rich.cells import cell_len

from router.cli.main import main
from router.cli.running.inspect_command import lines_of
from tests.router.cli.rest_api.fake_router import ROW, fake_router

if TYPE_CHECKING:
    from pathlib import Path

DETAILS: Final[dict[str, Any]] = {
    "name": "files",
    "state": "backoff",
    "in_state_s": 65.0,
    "doing": None,
    "last_error": "exited with status 3\x1b",
    "retry_in_s": 2.0,
    "restarts": 4,
    "calls": 7,
    "in_flight": 0,
    "waiting": 1,
    "stale": True,
    "warnings": ["tools.allow: no tool 'x'"],
    "server": {"name": "files-server", "title": "Files", "version": "1.2"},
    "protocol": "2025-11-25",
    "capabilities": {"tools": {"listChanged": True}, "logging": {}},
    "counts": {"tools": 1, "prompts": 0},
    "hidden": {"tools": 2, "prompts": 0},
    "instructions": "Read first.\nThen write.",
    "replicas": [{"name": "files#1", "state": "ready", "in_state_s": 1, "last_error": None}],
    "sessions": [{"name": "files#2", "client": "编辑器", "state": "failed", "last_error": "gone"}],
    "entry": {
        "command": "npx",
        "args": ["-y", "a b"],
        "env": {"TOKEN": {"set": True}},
        "tools": {"deny": ["drop"]},
        "isActive": True,
        "source": "data/files/mcp_settings.json",
    },
}


def test_all_that_is_known_is_told() -> None:
    assert lines_of(DETAILS, None) == [
        "name            files",
        "state           backoff for 1m 5s",
        "because         exited with status 3\\x1b",
        "next try        in 2s",
        "counts          4 restarts, 7 calls, 0 in flight, 1 waiting",
        "warning         tools.allow: no tool 'x'",
        "server          Files (files-server 1.2)",
        "protocol        2025-11-25",
        "capabilities    tools (listChanged), logging",
        "offers          1 tool (and 2 hidden), 0 prompts (the last known ones)",
        "instructions    Read first.",
        "instructions    Then write.",
        "replica         files#1, ready for 1s",
        "session         files#2 of 编辑器, failed for 0s: gone",
        "command         npx -y 'a b'",
        "entry.env       TOKEN=•••",
        'entry.tools     {"deny":["drop"]}',
        "entry.isActive  true",
        "entry.source    data/files/mcp_settings.json",
    ]


@pytest.mark.parametrize("width", [40, 80])
def test_nothing_is_wider_than_the_terminal_and_nothing_is_cut(width: int) -> None:
    lines = lines_of(DETAILS, width)
    assert max(map(cell_len, lines)) <= width
    assert not any("…" in line for line in lines)


def test_a_server_that_was_never_up_has_little_to_tell() -> None:
    lines = lines_of({"name": "a", "state": "starting", "doing": "installing"}, 80)
    assert lines == ["name     a", "state    starting for 0s", "because  installing"]


def test_json_is_the_answer_of_the_router(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with fake_router(ROW) as router:
        router.answer("GET /api/instances/files/details", DETAILS)
        assert main(["inspect", "files", "--json", "--url", router.url]) == 0
    assert json.loads(capsys.readouterr().out) == DETAILS

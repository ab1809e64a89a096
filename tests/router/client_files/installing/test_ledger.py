"""`ledger`: what was done is kept for this user alone, and a broken ledger is an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from router.client_files.installing.ledger import Change, Ledger, Row
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.router.client_files.installing.bench import Bench

ROW = Row("cursor", "/a/mcp.json", "json", "2026-11-30T12:00:00+00:00", "b" * 64, [])


def test_without_a_folder_there_are_no_rows(bench: Bench) -> None:
    assert bench.ledger.rows() == []
    assert not bench.ledger.folder.exists()


def test_values_come_back_as_they_were(bench: Bench) -> None:
    value = {"command": "\ud83d 中", "args": [1, 2.5, None, True], "env": {}}
    row = Row("c", "/a", "json", "now", "b", [Change(["s", "x"], before=value)], "a", "backup")

    with bench.ledger.locked():
        bench.ledger.add(row)

    assert bench.ledger.rows() == [row]


@pytest.mark.parametrize("data", [b"{", b"\xff", b"{}", b"[]", b'{"rows": [{"client": 1}]}'])
def test_a_ledger_that_cannot_be_read_is_an_error(bench: Bench, data: bytes) -> None:
    with bench.ledger.locked():
        (bench.ledger.folder / "installed.json").write_bytes(data)

    with pytest.raises(ConfigError, match="is not as this program writes it; move it away"):
        bench.ledger.rows()


def test_a_change_of_nothing_makes_no_sense(bench: Bench) -> None:
    with bench.ledger.locked():
        bench.ledger.add(replace(ROW, changes=[Change([])]))

    with pytest.raises(ConfigError, match="is not as this program writes it"):
        bench.ledger.rows()


def test_the_ledger_is_in_the_state_folder_of_the_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    assert Ledger.of_user().folder.parts[-2:] == ("mcp-router", "clients")

"""`file_writes`: what cannot be written safely is refused, with a way out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from router.client_files.installing.carry_out import carry_out_install
from router.messages.errors import ConfigError
from tests.router.client_files.installing.bench import NOW, Bench
from tests.router.client_files.shapes import SHAPES

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(bench: Bench) -> Path:
    return SHAPES[2].put(bench.machine)


def _refused(bench: Bench, path: Path, problem: str) -> None:
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=problem):
        bench.install("cursor")
    assert path.read_bytes() == before
    assert not bench.ledger.folder.exists()


def test_a_read_only_file_is_left_alone(bench: Bench, path: Path) -> None:
    path.chmod(0o444)
    _refused(bench, path, r"is read-only; allow it with: chmod u\+w '.*mcp\.json'")


def test_a_file_in_a_read_only_folder_is_left_alone(bench: Bench, path: Path) -> None:
    path.parent.chmod(0o555)
    try:
        _refused(bench, path, r"is read-only; allow it with: chmod u\+w '.*\.cursor'")
    finally:
        path.parent.chmod(0o755)


def test_a_file_with_a_second_name_is_left_alone(bench: Bench, path: Path, tmp_path: Path) -> None:
    os.link(path, tmp_path / "other")
    _refused(bench, path, "second name")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can")
def test_a_file_of_another_user_is_left_alone(bench: Bench, path: Path) -> None:
    os.chown(path, 12345, 12345)
    _refused(bench, path, "belongs to another user")


def test_a_link_to_nothing_is_left_alone(bench: Bench, path: Path, tmp_path: Path) -> None:
    path.unlink()
    path.symlink_to(tmp_path / "nowhere" / "mcp.json")

    with pytest.raises(ConfigError, match=r"is a link to .*nowhere/mcp\.json, which is not there"):
        bench.install("cursor")

    assert not (tmp_path / "nowhere").exists()


def test_what_is_no_regular_file_is_refused(bench: Bench, path: Path) -> None:
    path.unlink()
    path.mkdir()

    with pytest.raises(ConfigError, match="cannot be read"):
        bench.install("cursor")


def test_a_file_that_changed_after_it_was_shown_is_not_written(bench: Bench, path: Path) -> None:
    plan = bench.plan("cursor")
    path.write_bytes(b'{"mcpServers": {}}')

    with pytest.raises(ConfigError, match="has changed since it was read; nothing was written"):
        carry_out_install(plan, bench.ledger, NOW)

    assert path.read_bytes() == b'{"mcpServers": {}}'
    assert bench.ledger.rows() == []


def test_a_link_that_leads_elsewhere_now_is_not_followed(
    bench: Bench, path: Path, tmp_path: Path
) -> None:
    plan = bench.plan("cursor")
    other = tmp_path / "other.json"
    other.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(other)

    with pytest.raises(ConfigError, match="has changed since it was read"):
        carry_out_install(plan, bench.ledger, NOW)


def test_what_reads_back_differently_is_reported(
    bench: Bench, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = bench.plan("cursor")
    replace = os.replace

    def replace_and_lose(source: str, target: str, **folders: int) -> None:
        replace(source, target, **folders)
        if target == path.name:
            path.write_bytes(b"{}")

    monkeypatch.setattr(os, "replace", replace_and_lose)

    with pytest.raises(ConfigError, match="does not hold what was written"):
        carry_out_install(plan, bench.ledger, NOW)

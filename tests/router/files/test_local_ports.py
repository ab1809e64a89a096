"""Which local port a command takes for that of a living router."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec
import pytest

from router.files import local_ports
from router.files.local_ports import (
    LocalPortFile,
    file_name,
    local_port_of,
    lock_name,
    open_ports_folder,
    state_folder,
)
from router.files.safe_folder import lock_within

if TYPE_CHECKING:
    from pathlib import Path

WRITTEN = LocalPortFile("http://127.0.0.1:5000", "t0ken", 7)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(local_ports, "state_folder", lambda: tmp_path / "state")
    return tmp_path / "config.json"


def test_port_counts_only_while_a_router_holds_its_lock(config: Path) -> None:
    assert local_port_of(config) is None
    with open_ports_folder(create=True) as folder:
        folder.write(file_name(config), msgspec.json.encode(WRITTEN))
        assert local_port_of(config) is None
        lock = folder.open_lock_file(lock_name(config))
        assert lock_within(lock, 0.0)
    assert local_port_of(config) == WRITTEN
    assert local_port_of(config.with_name("other.json")) is None
    os.close(lock)  # as the system does for a process that was killed
    assert local_port_of(config) is None


def test_file_that_cannot_be_read_is_no_port(config: Path) -> None:
    with open_ports_folder(create=True) as folder:
        lock = folder.open_lock_file(lock_name(config))
        assert lock_within(lock, 0.0)
        folder.write(file_name(config), b'{"url": "http://127.0.0.1:5000"}')
        assert local_port_of(config) is None
        folder.write(file_name(config), b"")
        assert local_port_of(config) is None
    os.close(lock)


def test_folder_and_file_are_for_this_user_alone(config: Path, tmp_path: Path) -> None:
    with open_ports_folder(create=True) as folder:
        folder.write(file_name(config), msgspec.json.encode(WRITTEN))
    if os.name == "posix":
        assert (tmp_path / "state" / "run").stat().st_mode & 0o777 == 0o700
        assert (tmp_path / "state" / "run" / file_name(config)).stat().st_mode & 0o777 == 0o600
    assert "t0ken" not in repr(WRITTEN)


def test_state_folder_is_that_of_the_system_for_this_program() -> None:
    assert state_folder().name == "mcp-router"

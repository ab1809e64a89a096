"""A folder to run commands in."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory; the collector, which `main` turns off, is on again after it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MCP_ROUTER_CONFIG", raising=False)
    monkeypatch.delenv("MCP_ROUTER_TOKEN", raising=False)
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    yield tmp_path
    gc.enable()

"""The folder of providers that the tests here write and read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """An empty `data/`."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder

"""The config file that the tests here write and read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The path of a config file that is not there yet."""
    return tmp_path / "config.json"

"""Fixtures for the tests that start processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.processes import kill_all, running_with

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def token(tmp_path: Path) -> Iterator[str]:
    """Yield a mark for the command lines of the processes of a test, and kill them at its end."""
    yield str(tmp_path)
    kill_all(running_with(str(tmp_path)))

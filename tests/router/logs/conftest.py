"""The logs that the tests here write to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.router.logs.log_setup import Setup

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def setup(tmp_path: Path) -> Iterator[Setup]:
    setup = Setup(tmp_path / "logs")
    yield setup
    setup.console.may_write.set()
    setup.end()

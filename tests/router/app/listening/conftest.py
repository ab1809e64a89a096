"""A folder for sockets."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder whose path is short enough for a socket: pytest's own is not, on every machine."""
    with TemporaryDirectory(prefix="r") as folder:
        yield Path(folder).resolve()

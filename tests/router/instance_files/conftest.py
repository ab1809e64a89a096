"""The folders that the tests here write and read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.router.instance_files.kept_catalogues import A, B, Site, known

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """An empty `data/`."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "cache")


@pytest.fixture
def written(site: Site) -> Site:
    """A folder in which the lists of `A` and `B` were kept."""
    folder = site.start(A, B)
    folder.write(A, known("one"))
    folder.write(B, known("two"))
    return site

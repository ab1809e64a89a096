"""A router of fixed answers, and a folder whose router does not run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.router.cli.changing.data_folder import write
from tests.router.cli.rest_api.fake_router import ROW, FakeRouter, fake_router

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def router() -> Iterator[FakeRouter]:
    with fake_router(ROW, ROW | {"name": "new", "tools_count": 12}) as router:
        yield router


@pytest.fixture
def offline(home: Path) -> Path:
    """A folder whose router does not run; returns its `data/`, which has the instance `files`."""
    config = {"api": {"enabled": True, "port": 9}, "profiles": {"work": {"instances": ["*"]}}}
    (home / "config.json").write_text(json.dumps(config))
    write(home / "data", "files", {"command": "x"})
    return home / "data"

"""The packages that have been ready once, on disk."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest

from router.reload.package_store import FILE_NAME, MAX_PACKAGES, PackageStore

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_package_is_known_once_it_was_added_and_to_the_next_router_too(
    tmp_path: Path,
) -> None:
    cache = tmp_path / "not" / "there"
    store = PackageStore(cache)
    assert not await store.knows("npm", "a")
    await store.add("npm", "a")
    assert await store.knows("npm", "a")
    assert not await store.knows("uv", "a")
    assert await PackageStore(cache).knows("npm", "a")


async def test_no_part_of_a_name_is_written(tmp_path: Path) -> None:
    await PackageStore(tmp_path).add("uv", "git+https://user:s3cret@x.example/r")
    assert "s3cret" not in (tmp_path / FILE_NAME).read_text()


async def test_the_oldest_packages_are_forgotten(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(json.dumps([str(n) for n in range(MAX_PACKAGES)]))
    store = PackageStore(tmp_path)
    await store.add("npm", "a")
    await store.add("npm", "a")
    written = json.loads((tmp_path / FILE_NAME).read_text())
    assert len(written) == MAX_PACKAGES
    assert written[0] == "1"


@pytest.mark.parametrize("content", ["", "{", '{"a": 1}', "[1]"])
async def test_a_file_of_something_else_is_written_anew(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    (tmp_path / FILE_NAME).write_text(content)
    store = PackageStore(tmp_path)
    assert not await store.knows("npm", "a")
    assert f"{tmp_path / FILE_NAME} is not used, and written anew" in caplog.text
    await store.add("npm", "a")
    assert await PackageStore(tmp_path).knows("npm", "a")


async def test_a_file_that_cannot_be_written_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    (tmp_path / "cache").write_text("a file, no folder")
    store = PackageStore(tmp_path / "cache")
    await store.add("npm", "a")
    assert "cannot be written" in caplog.text
    assert await store.knows("npm", "a")


async def test_a_disk_that_hangs_holds_up_nothing_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("router.reload.package_store.DISK_LIMIT_S", 0.0)
    store = PackageStore(tmp_path)
    assert not await store.knows("npm", "a")
    await store.add("npm", "a")
    assert "was not written within 0 s" in caplog.text
    assert await store.knows("npm", "a")

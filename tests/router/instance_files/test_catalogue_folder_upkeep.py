"""The folder of the last known lists: disks that fail, and files that are removed."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Any

import attrs
import pytest

from router.instance_files.catalogue_folder import TEMPORARY_AGE_S
from tests.router.instance_files.kept_catalogues import A, B, Site, known, spec, warnings

posix_only = pytest.mark.skipif(os.name != "posix", reason="modes, links and pipes of POSIX")


# --- A disk that fails -----------------------------------------------------------------------


@pytest.mark.parametrize("step", ["fsync", "replace", "open"])
def test_failed_write_leaves_the_file_as_it_was_and_is_made_up_for(
    written: Site, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    folder = written.start(A, B)
    with monkeypatch.context() as patch:
        patch.setattr(os, step, no_space)
        with pytest.raises(OSError, match="No space left"):
            folder.write(A, known("new"))
    assert written.after_restart(A) == {"a": known("one")}
    assert written.names() == {written.file_of(A).name, written.file_of(B).name}
    assert folder.write(A, known("new"))
    assert written.after_restart(A) == {"a": known("new")}


def test_crash_before_the_file_is_in_place_leaves_the_one_before(
    written: Site,
) -> None:
    temporary = written.path / f".{written.file_of(A).name}.0123456789abcdef.tmp"
    temporary.write_bytes(b'{"format":1,"ent')
    assert written.after_restart(A) == {"a": known("one")}
    written.start(A, B).tidy(is_complete=True)
    assert temporary.exists()  # It may be that of another router, which is writing it.
    long_ago_s = time.time() - TEMPORARY_AGE_S - 1
    os.utime(temporary, (long_ago_s, long_ago_s))
    written.start(A, B).tidy(is_complete=True)
    assert written.names() == {written.file_of(A).name, written.file_of(B).name}


# --- Removing --------------------------------------------------------------------------------


def test_files_of_entries_that_exist_no_longer_are_removed_at_a_start(written: Site) -> None:
    written.start(A).tidy(is_complete=True)
    assert written.names() == {written.file_of(A).name}


@pytest.mark.parametrize("change", [{"is_active": False}, {"problem": "x is not set"}])
def test_file_of_an_instance_that_does_not_run_now_is_kept(
    written: Site, change: dict[str, Any]
) -> None:
    written.start(attrs.evolve(A, **change), B).tidy(is_complete=True)
    assert written.after_restart(A) == {"a": known("one")}


def test_files_are_kept_while_some_entries_cannot_be_read(written: Site) -> None:
    folder = written.start()
    folder.tidy(is_complete=False)
    assert written.after_restart(A, B).keys() == {"a", "b"}
    folder.read([A])
    folder.tidy(is_complete=True)
    assert written.after_restart(A, B).keys() == {"a"}


def test_files_of_entries_that_go_while_it_runs_stay_until_the_next_start(written: Site) -> None:
    folder = written.start(A, B)
    folder.tidy(is_complete=True)
    folder.read([B])
    folder.tidy(is_complete=True)
    assert written.after_restart(A) == {"a": known("one")}


def test_files_of_others_stay(written: Site) -> None:
    others = {"notes.txt", "settings.json", f"{'g' * 32}.json", ".hidden"}
    for name in others:
        (written.path / name).write_bytes(b"x")
    written.start().tidy(is_complete=True)
    assert written.names() == others


def test_switching_the_cache_off_removes_the_file_and_on_again_keeps_one(written: Site) -> None:
    folder = written.start(A, B)
    folder.tidy(is_complete=True)
    folder.read([attrs.evolve(A, catalogue_cache=False), B])
    folder.tidy(is_complete=True)
    assert written.names() == {written.file_of(B).name}
    folder.read([A, B])
    folder.tidy(is_complete=True)
    assert folder.write(A, known("one"))
    assert written.after_restart(A) == {"a": known("one")}


def test_cache_that_is_off_at_the_start_removes_the_file_even_of_an_incomplete_reading(
    written: Site,
) -> None:
    written.start(attrs.evolve(A, catalogue_cache=False)).tidy(is_complete=False)
    assert written.names() == {written.file_of(B).name}


def test_file_that_cannot_be_removed_is_reported(
    written: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def read_only(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    folder = written.start(A)
    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", read_only)
        folder.tidy(is_complete=True)
    assert warnings(caplog) == [
        f"{written.file_of(B)} is not needed and cannot be removed: Read-only file system"
    ]


def test_one_that_cannot_be_removed_does_not_keep_the_others(
    written: Site, caplog: pytest.LogCaptureFixture
) -> None:
    folders = [written.path / f"{digit * 32}.json" for digit in "0f"]
    for path in folders:
        path.mkdir()
    written.start().tidy(is_complete=True)
    assert written.names() == {path.name for path in folders}
    assert len(warnings(caplog)) == 2


def test_tidying_without_a_folder_does_nothing(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.start(attrs.evolve(A, catalogue_cache=False)).tidy(is_complete=True)
    assert not site.cache.exists()
    assert caplog.messages == []


def test_temporary_file_that_goes_away_while_it_is_looked_at_is_left_alone(
    written: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def gone(_: Path) -> None:
        raise FileNotFoundError

    (written.path / f".{written.file_of(A).name}.0123456789abcdef.tmp").write_bytes(b"")
    folder = written.start(A, B)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "lstat", gone)
        folder.tidy(is_complete=True)
    assert len(written.names()) == 3
    assert caplog.messages == []


def test_cache_that_is_off_for_an_instance_without_a_file_removes_nothing(
    written: Site, caplog: pytest.LogCaptureFixture
) -> None:
    written.start(A, B, spec("c", catalogue_cache=False)).tidy(is_complete=True)
    assert len(written.names()) == 2
    assert caplog.messages == []


def test_folder_that_cannot_be_opened_is_reported(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.cache.write_bytes(b"")
    site.start(spec("c", catalogue_cache=False)).tidy(is_complete=True)
    (warning,) = warnings(caplog)
    assert warning.startswith(f"{site.path} cannot be tidied: ")

"""The folder of the last known lists: which files are read and written."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from router.files.safe_folder import SafeFolder
from router.instance_files import catalogue_folder
from router.instance_files.catalogue_files import MAX_FILE_BYTES
from router.instance_files.catalogue_folder import CatalogueFolder
from tests.router.instance_files.kept_catalogues import A, B, Site, known, spec, warnings

if TYPE_CHECKING:
    from pathlib import Path

    from router.messages.instances.instance_spec import InstanceSpec

posix_only = pytest.mark.skipif(os.name != "posix", reason="modes, links and pipes of POSIX")


def count_of_writes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that gets the name of each file that is written."""
    names: list[str] = []
    write = SafeFolder.write

    def counted(folder: SafeFolder, name: str, data: bytes) -> None:
        names.append(name)
        write(folder, name, data)

    monkeypatch.setattr(SafeFolder, "write", counted)
    return names


# --- Out and in again ------------------------------------------------------------------------


def test_lists_are_known_after_a_restart(written: Site) -> None:
    assert written.after_restart(A, B) == {"a": known("one"), "b": known("two")}


def test_without_a_folder_nothing_is_known_and_no_folder_is_made(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    assert site.after_restart(A) == {}
    site.cache.mkdir()
    assert site.after_restart(A) == {}
    assert list(site.cache.iterdir()) == []
    assert caplog.messages == []


def test_each_change_of_the_lists_replaces_the_file(written: Site) -> None:
    folder = written.start(A)
    assert folder.write(A, known("one", "more"))
    assert folder.write(A, known())
    assert written.after_restart(A) == {"a": known()}


def test_changed_entry_does_not_get_the_lists_of_the_one_before(written: Site) -> None:
    assert written.after_restart(spec("a", args=("other",))) == {}


def test_instances_that_differ_in_a_secret_alone_have_different_files(site: Site) -> None:
    one, other = (spec("a", env={"TOKEN": value}) for value in ("sk-11111", "sk-22222"))
    site.start(one).write(one, known("one"))
    site.start(other).write(other, known("other"))
    assert site.after_restart(one) == {"a": known("one")}
    assert site.after_restart(other) == {"a": known("other")}
    for file in site.path.iterdir():
        assert b"sk-" not in file.read_bytes()


def test_instances_of_the_same_command_have_a_file_each(written: Site) -> None:
    assert written.file_of(A) != written.file_of(B)
    assert written.names() == {written.file_of(A).name, written.file_of(B).name}


@posix_only
def test_files_and_folders_are_for_their_owner_alone(site: Site) -> None:
    before = os.umask(0o000)
    try:
        site.start(A).write(A, known("one"))
    finally:
        os.umask(before)
    paths = (site.cache, site.path, site.file_of(A))
    assert [stat.S_IMODE(path.stat().st_mode) for path in paths] == [0o700, 0o700, 0o600]


# --- Which files are read --------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [{"is_active": False}, {"problem": "x is not set"}, {"catalogue_cache": False}],
)
def test_file_of_an_instance_that_is_not_to_show_it_is_not_read(
    written: Site, change: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_reading(*_: object) -> bytes:
        raise AssertionError

    monkeypatch.setattr(SafeFolder, "read", no_reading)
    assert written.after_restart(attrs.evolve(A, **change)) == {}


def test_later_readings_give_what_is_new_or_changed_alone(written: Site) -> None:
    folder = CatalogueFolder(written.cache)
    assert folder.read([A]) == {"a": known("one")}
    assert folder.read([A]) == {}
    assert folder.read([attrs.evolve(A, timeout_s=3.0), B]) == {"b": known("two")}
    assert folder.read([spec("a", args=("x",)), B]) == {}
    assert folder.read([A, B]) == {"a": known("one")}


def test_instance_that_is_switched_on_again_gets_its_lists_again(written: Site) -> None:
    folder = CatalogueFolder(written.cache)
    folder.read([A])
    assert folder.read([attrs.evolve(A, is_active=False)]) == {}
    assert folder.read([A]) == {"a": known("one")}


# --- Files that are not used -----------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"{}", b"null"])
def test_bad_file_is_reported_and_costs_only_itself(
    written: Site, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    written.file_of(A).write_bytes(content)
    assert written.after_restart(A, B) == {"b": known("two")}
    (warning,) = warnings(caplog)
    assert warning.startswith("The catalogue of a on disk is not used: ")


def test_bad_file_is_replaced_by_the_next_lists(written: Site) -> None:
    written.file_of(A).write_bytes(b"{")
    assert written.start(A).write(A, known("one"))
    assert written.after_restart(A) == {"a": known("one")}


def test_file_of_another_instance_under_this_name_is_not_used(
    written: Site, caplog: pytest.LogCaptureFixture
) -> None:
    written.file_of(A).write_bytes(written.file_of(B).read_bytes())
    assert written.after_restart(A) == {}
    assert warnings(caplog) == ["The catalogue of a on disk is not used: it is of another entry"]


def test_file_that_is_too_large_is_not_read_to_its_end(
    written: Site, caplog: pytest.LogCaptureFixture
) -> None:
    with written.file_of(A).open("r+b") as file:
        file.truncate(MAX_FILE_BYTES * 100)
    assert written.after_restart(A, B) == {"b": known("two")}
    assert warnings(caplog) == ["The catalogue of a on disk is not used: it is too large"]


def test_files_that_are_too_large_together_are_read_up_to_the_limit(
    written: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(
        catalogue_folder, "MAX_TOTAL_BYTES", len(written.file_of(A).read_bytes()) + 10
    )
    assert written.after_restart(A, B) == {"a": known("one")}
    assert warnings(caplog) == [
        "The catalogue of b on disk is not used: all of them together are too large"
    ]


def _as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _as_link(path: Path) -> None:
    path.rename(path.with_name("content"))
    path.symlink_to(path.with_name("content"))


def _as_endless_link(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def _as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@posix_only
@pytest.mark.parametrize("make", [_as_folder, _as_link, _as_endless_link, _as_pipe])
def test_anything_but_a_file_is_not_used_and_makes_nobody_wait(
    written: Site, make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    make(written.file_of(A))
    assert written.after_restart(A, B) == {"b": known("two")}
    assert len(warnings(caplog)) == 1


def test_file_that_may_not_be_read_is_not_used(
    written: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(*_: object) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(SafeFolder, "read", refused)
    assert written.after_restart(A) == {}
    assert warnings(caplog) == ["The catalogue of a on disk is not used: Permission denied"]


def test_file_in_the_place_of_the_folder_is_reported(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.cache.write_bytes(b"")
    assert site.after_restart(A) == {}
    (warning,) = warnings(caplog)
    assert warning.startswith(f"{site.path} cannot be read: ")


# --- Which files are written -----------------------------------------------------------------


def test_content_that_is_on_disk_already_is_not_written_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = count_of_writes(monkeypatch)
    folder = site.start(A)
    assert folder.write(A, known("one"))
    assert not folder.write(A, known("one"))
    assert not site.start(A).write(A, known("one"))
    assert names == [site.file_of(A).name]
    assert folder.write(A, known("two"))
    assert folder.write(A, known("one"))
    assert len(names) == 3


@pytest.mark.parametrize(
    "now",
    [(), (attrs.evolve(A, catalogue_cache=False),), (spec("a", args=("other",)),)],
    ids=["removed", "switched off", "changed"],
)
def test_late_lists_of_an_instance_that_is_not_configured_so_any_more_are_not_written(
    site: Site, now: tuple[InstanceSpec, ...]
) -> None:
    folder = site.start(A)
    folder.read(now)
    assert not folder.write(A, known("one"))
    assert not site.cache.exists()


def test_lists_that_could_not_be_read_again_take_the_place_of_none(
    written: Site, caplog: pytest.LogCaptureFixture
) -> None:
    folder = written.start(A)
    assert not folder.write(A, known("x" * MAX_FILE_BYTES))
    assert warnings(caplog) == [
        "The catalogue of a cannot be kept on disk: it is larger than 16 MB"
    ]
    assert not written.file_of(A).exists()
    assert folder.write(A, known("one"))
    assert written.after_restart(A) == {"a": known("one")}

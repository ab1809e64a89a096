"""The folder of the last known lists: which files are read, written and removed."""

from __future__ import annotations

import errno
import logging
import os
import stat
import time
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from msgspec import Raw

from router.files.safe_folder import SafeFolder
from router.instance_files import catalogue_folder
from router.instance_files.catalogue_files import MAX_FILE_BYTES, hash_entry, name_file
from router.instance_files.catalogue_folder import TEMPORARY_AGE_S, CatalogueFolder
from router.messages.catalog import Catalog, Item, KnownServer
from router.messages.instance_spec import InstanceSpec

if TYPE_CHECKING:
    from pathlib import Path

posix_only = pytest.mark.skipif(os.name != "posix", reason="modes, links and pipes of POSIX")


def spec(name: str, **changes: Any) -> InstanceSpec:
    settings: dict[str, Any] = {"name": name, "provider": "acme", "command": "npx"}
    return InstanceSpec(**settings | changes)


def known(*tools: str) -> KnownServer:
    items = tuple(Item(name, Raw(b'{"name":"%b"}' % name.encode())) for name in tools)
    return KnownServer("2025-11-25", Raw(b"{}"), Raw(b"{}"), None, Catalog(tools=items))


A, B = spec("a"), spec("b")


@attrs.define
class Site:
    """A cache folder, and the routers that use it one after the other."""

    cache: Path

    @property
    def path(self) -> Path:
        return self.cache / "catalogues"

    def start(self, *specs: InstanceSpec) -> CatalogueFolder:
        """Return the folder as a router that was just started has it, for these instances."""
        folder = CatalogueFolder(self.cache)
        folder.read(specs)
        return folder

    def after_restart(self, *specs: InstanceSpec) -> dict[str, KnownServer]:
        """Return what the next router reads."""
        return CatalogueFolder(self.cache).read(specs)

    def file_of(self, spec: InstanceSpec) -> Path:
        return self.path / name_file(hash_entry(spec))

    def names(self) -> set[str]:
        return {file.name for file in self.path.iterdir()}


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


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.WARNING]


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

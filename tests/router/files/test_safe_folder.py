"""Folders that are written to, and the lock between those who write."""

from __future__ import annotations

import errno
import os
import stat
import threading
from typing import TYPE_CHECKING

import pytest

from router.files import safe_folder
from router.files.safe_folder import SafeFolder, locked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAIT_S = 60.0

posix_only = pytest.mark.skipif(os.name != "posix", reason="links and pipes of POSIX")


@pytest.fixture(params=["by descriptor", "by path"])
def folder(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SafeFolder]:
    """A folder, on a system that can open folders and on one that cannot."""
    if request.param == "by path" or os.name != "posix":
        monkeypatch.setattr(safe_folder, "_DIRECTORY", 0)
    with SafeFolder.open(tmp_path) as folder:
        yield folder


# --- Files and folders in it -----------------------------------------------------------------


def test_what_was_written_can_be_read_replaced_and_removed(folder: SafeFolder) -> None:
    folder.write("x", b"one")
    folder.write("x", b"two")
    assert folder.read("x", 100) == b"two"
    assert folder.read("x", 1) == b"t"
    folder.remove("x")
    with pytest.raises(FileNotFoundError):
        folder.read("x", 100)
    assert list(folder.path.iterdir()) == []


def test_folder_in_it_is_made_when_asked_for_and_goes_when_it_is_empty(folder: SafeFolder) -> None:
    with pytest.raises(FileNotFoundError):
        folder.subfolder("p").read("x", 1)
    with folder.subfolder("p", create=True) as sub:
        sub.write("x", b"one")
    folder.remove_empty_folder("p")
    with folder.subfolder("p", create=True) as sub:
        assert sub.read("x", 100) == b"one"
        sub.remove("x")
    folder.remove_empty_folder("p")
    folder.remove_empty_folder("p")
    assert list(folder.path.iterdir()) == []


@posix_only
def test_link_to_a_file_is_neither_read_nor_written(folder: SafeFolder) -> None:
    target, link = folder.path / "target", folder.path / "link"
    target.write_text("old")
    link.symlink_to(target)
    with pytest.raises(OSError, match="symbolic link") as raised:
        folder.read("link", 100)
    assert raised.value.errno == errno.ELOOP
    with pytest.raises(OSError, match="symbolic link"):
        folder.write("link", b"new")
    assert target.read_text() == "old"


@posix_only
@pytest.mark.parametrize("create", [False, True])
def test_link_to_a_folder_is_not_entered(folder: SafeFolder, *, create: bool) -> None:
    (folder.path / "target").mkdir()
    (folder.path / "link").symlink_to(folder.path / "target")
    with pytest.raises(OSError, match="symbolic link"):
        folder.subfolder("link", create=create)


@posix_only
def test_pipe_makes_nobody_wait(folder: SafeFolder) -> None:
    os.mkfifo(folder.path / "pipe")
    with pytest.raises(OSError, match="no regular file"):
        folder.read("pipe", 100)


@posix_only
def test_modes_do_not_depend_on_the_umask(folder: SafeFolder) -> None:
    previous = os.umask(0o777)
    try:
        folder.write("x", b"")
    finally:
        os.umask(previous)
    assert stat.S_IMODE((folder.path / "x").stat().st_mode) == 0o600


# --- The lock --------------------------------------------------------------------------------


def test_only_one_holds_the_lock(folder: SafeFolder) -> None:
    events: list[str] = []
    may_enter = threading.Event()

    def enter() -> None:
        with SafeFolder.open(folder.path) as mine:
            may_enter.set()
            with locked(mine):
                events.append("second")

    with locked(folder):
        thread = threading.Thread(target=enter)
        thread.start()
        assert may_enter.wait(WAIT_S)
        events.append("first")
    thread.join(WAIT_S)
    assert events == ["first", "second"]


def test_lock_that_is_held_for_too_long_is_an_error(
    folder: SafeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safe_folder, "LOCK_TIMEOUT_S", 0.0)
    with locked(folder), SafeFolder.open(folder.path) as other:
        with (
            pytest.raises(OSError, match="another process is changing it") as raised,
            locked(other),
        ):
            pass
        assert raised.value.errno == errno.ETIMEDOUT
    with locked(folder):
        pass


def test_lock_is_given_back_after_a_failure(folder: SafeFolder) -> None:
    with pytest.raises(ZeroDivisionError), locked(folder):
        raise ZeroDivisionError
    with locked(folder):
        pass

"""The log file belongs to one router, and an old one is renamed."""

from __future__ import annotations

import os
import re
import stat
import time
from typing import TYPE_CHECKING

import pytest

from router.logs import log_file
from router.logs.log_file import open_log

if TYPE_CHECKING:
    from pathlib import Path

posix = pytest.mark.skipif(os.name != "posix", reason="modes and locks of POSIX")


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _write(folder: Path, text: str, mode: str = "http") -> None:
    with open_log(folder, mode) as file:
        file.write(text.encode())


def _age(path: Path, year: int = 2024, minute: int = 5) -> None:
    then = time.mktime((year, 3, 2, 14, minute, 0, 0, 0, -1))
    os.utime(path, (then, then))


def test_folder_is_made_and_the_file_is_called_after_the_mode(tmp_path: Path) -> None:
    _write(tmp_path / "a" / "logs", "x", "http+sse")
    assert _names(tmp_path / "a" / "logs") == ["latest-http+sse.txt"]


@posix
def test_folder_and_file_are_for_their_user_alone(tmp_path: Path) -> None:
    _write(tmp_path / "logs", "x")
    assert stat.S_IMODE((tmp_path / "logs").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "logs" / "latest-http.txt").stat().st_mode) == 0o600


@posix
def test_mode_of_a_folder_that_was_there_is_left_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    _write(tmp_path, "x")
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


@posix
@pytest.mark.parametrize("is_read", [False, True])
def test_pipe_is_not_waited_for_and_named(tmp_path: Path, is_read: bool) -> None:
    path = tmp_path / "latest-http.txt"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK) if is_read else None
    with pytest.raises(OSError, match=r"latest-http\.txt is no regular file"):
        open_log(tmp_path, "http")
    if reader is not None:
        os.close(reader)
    assert stat.S_ISFIFO(path.stat().st_mode)


def test_old_log_is_renamed_by_its_time_of_modification(tmp_path: Path) -> None:
    _write(tmp_path, "old")
    _age(tmp_path / "latest-http.txt")
    _write(tmp_path, "new")
    assert _names(tmp_path) == ["24.03.02-14-05-http.txt", "latest-http.txt"]
    assert (tmp_path / "24.03.02-14-05-http.txt").read_text() == "old"
    assert (tmp_path / "latest-http.txt").read_text() == "new"


def test_old_logs_of_one_minute_are_numbered(tmp_path: Path) -> None:
    for text in ("a", "b", "c"):
        _write(tmp_path, text)
        _age(tmp_path / "latest-http.txt")
    _write(tmp_path, "d")
    texts = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert texts == {
        "24.03.02-14-05-http.txt": "a",
        "24.03.02-14-05-http-1.txt": "b",
        "24.03.02-14-05-http-2.txt": "c",
        "latest-http.txt": "d",
    }


def test_empty_log_is_used_again(tmp_path: Path) -> None:
    _write(tmp_path, "")
    _write(tmp_path, "new")
    assert _names(tmp_path) == ["latest-http.txt"]


def test_logs_of_another_mode_are_left_alone(tmp_path: Path) -> None:
    _write(tmp_path, "other", "sse")
    _write(tmp_path, "this", "http")
    assert (tmp_path / "latest-sse.txt").read_text() == "other"


@posix
def test_two_routers_of_one_mode_have_a_file_each(tmp_path: Path) -> None:
    with open_log(tmp_path, "http") as first, open_log(tmp_path, "http") as second:
        first.write(b"first")
        second.write(b"second")
        first.write(b" goes on")
    assert (tmp_path / "latest-http.txt").read_text() == "first goes on"
    assert (tmp_path / "latest-http-2.txt").read_text() == "second"


@posix
def test_file_is_taken_again_once_its_router_has_ended(tmp_path: Path) -> None:
    with open_log(tmp_path, "http"):
        pass
    with open_log(tmp_path, "http"):
        assert _names(tmp_path) == ["latest-http.txt"]


@posix
def test_search_for_a_free_name_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_file, "MAX_FILES", 2)
    with (
        open_log(tmp_path, "http"),
        open_log(tmp_path, "http"),
        pytest.raises(OSError, match="2 routers"),
    ):
        open_log(tmp_path, "http")


@posix
def test_planted_link_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("precious")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "latest-http.txt").symlink_to(target)
    with pytest.raises(OSError):  # noqa: PT011 - its text is the system's
        open_log(tmp_path / "logs", "http")
    assert target.read_text() == "precious"


def test_without_locks_a_file_in_use_shows_when_it_is_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_file, "fcntl", None)
    _write(tmp_path, "old")
    _age(tmp_path / "latest-http.txt")
    _write(tmp_path, "new")
    assert _names(tmp_path) == ["24.03.02-14-05-http.txt", "latest-http.txt"]

    def refuse(path: Path, mode: str) -> Path:
        raise PermissionError(f"{path} of {mode}") if path.exists() else FileNotFoundError

    monkeypatch.setattr(log_file, "put_aside", refuse)
    _write(tmp_path, "beside")
    assert (tmp_path / "latest-http.txt").read_text() == "new"
    assert (tmp_path / "latest-http-2.txt").read_text() == "beside"


def test_name_says_when_the_old_log_ended(tmp_path: Path) -> None:
    _write(tmp_path, "old")
    _write(tmp_path, "new")
    (old,) = set(_names(tmp_path)) - {"latest-http.txt"}
    assert re.fullmatch(r"\d\d\.\d\d\.\d\d-\d\d-\d\d-http\.txt", old)

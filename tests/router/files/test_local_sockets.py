"""The folders and names of local sockets."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from router.files import local_sockets
from router.files.local_sockets import (
    FOLDER,
    PATH_LIMIT_BYTES,
    check_own,
    folders,
    has_local_sockets,
    own_folder,
    socket_name,
    sockets_of,
)

pytestmark = pytest.mark.skipif(not has_local_sockets(), reason="there are no Unix sockets")


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Variables by which only this folder counts."""
    monkeypatch.setattr(local_sockets, "_usual_folders", lambda _: iter(()))
    return {"XDG_RUNTIME_DIR": str(tmp_path)}


def put_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


def test_one_file_has_one_name_however_it_is_reached(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    (tmp_path / "link").symlink_to(tmp_path)
    assert socket_name(tmp_path / "link" / "config.json") == socket_name(config)
    assert socket_name(tmp_path / "other.json") != socket_name(config)
    assert len(socket_name(config)) == 16 + len(".sock")


def test_folder_of_the_service_comes_first_then_that_of_the_session(tmp_path: Path) -> None:
    environ = {
        "RUNTIME_DIRECTORY": "/run/other:/run/mcp-router",
        "XDG_RUNTIME_DIR": str(tmp_path),
    }
    found = [chain[-1] for chain in folders(environ)]
    assert found[:2] == [Path("/run/mcp-router"), tmp_path / FOLDER]
    assert found[-1] == Path(f"/tmp/runtime-{os.geteuid()}") / FOLDER


@pytest.mark.parametrize("value", ["", "run", ":relative/mcp-router"])
def test_relative_folders_do_not_count(value: str) -> None:
    environ = {"RUNTIME_DIRECTORY": value, "XDG_RUNTIME_DIR": value}
    assert list(folders(environ)) == list(folders({}))


def test_folder_is_made_for_this_user_alone(environ: dict[str, str], tmp_path: Path) -> None:
    assert own_folder(environ) == own_folder(environ) == tmp_path / FOLDER
    assert (tmp_path / FOLDER).stat().st_mode & 0o777 == 0o700


def test_folder_that_others_write_to_is_refused_with_the_reason(
    environ: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER).chmod(0o770)
    with pytest.raises(OSError, match=rf"{FOLDER}: may be written to by other users"):
        own_folder(environ)


def test_link_is_refused_with_the_reason(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / FOLDER).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=rf"{FOLDER}: is a link or no folder"):
        own_folder(environ)


def test_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    with pytest.raises(OSError, match="belongs to another user"):
        check_own(tmp_path)


def test_folder_that_cannot_be_made_gives_way_to_the_next(
    environ: dict[str, str], tmp_path: Path
) -> None:
    usable = tmp_path / FOLDER
    usable.mkdir(mode=0o700)
    environ["RUNTIME_DIRECTORY"] = str(tmp_path / "missing" / FOLDER)
    assert own_folder(environ) == usable


def test_folder_whose_path_is_too_long_gives_way_to_the_next(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * PATH_LIMIT_BYTES)
    long.mkdir(mode=0o700)
    environ["XDG_RUNTIME_DIR"] = str(long)
    with pytest.raises(OSError, match=f"{FOLDER}: is too long a path for a socket"):
        own_folder(environ)
    monkeypatch.setattr(local_sockets, "_usual_folders", lambda _: iter((tmp_path,)))
    assert own_folder(environ) == tmp_path / FOLDER


def test_only_a_socket_in_an_own_folder_is_found(environ: dict[str, str], tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    path = own_folder(environ) / socket_name(config)
    assert list(sockets_of(config, environ)) == []
    path.write_text("no socket")
    assert list(sockets_of(config, environ)) == []
    path.unlink()
    put_socket(path)
    assert list(sockets_of(config, environ)) == [path]
    path.parent.chmod(0o777)
    assert list(sockets_of(config, environ)) == []


@pytest.mark.parametrize(("user", "is_found"), [(0, True), (1000, False)])
def test_socket_of_the_service_is_for_root(
    environ: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    user: int,
    *,
    is_found: bool,
) -> None:
    config, folder = tmp_path / "config.json", tmp_path / "service"
    folder.mkdir(mode=0o700)
    put_socket(folder / socket_name(config))
    monkeypatch.setattr(local_sockets, "SERVICE_FOLDER", folder)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert bool(list(sockets_of(config, environ))) == is_found

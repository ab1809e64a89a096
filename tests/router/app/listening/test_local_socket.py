"""The router's local socket: made, kept by one router, replaced after a dead one, removed."""

from __future__ import annotations

import logging
import os
import socket
from typing import TYPE_CHECKING

import pytest

from router.app.listening import local_socket as module
from router.app.listening.local_socket import LocalSocket, local_socket, open_local_socket
from router.files.local_sockets import FOLDER, has_local_sockets, socket_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(not has_local_sockets(), reason="there are no Unix sockets")


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"XDG_RUNTIME_DIR": str(tmp_path)}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config.json"


@pytest.fixture
def local(config: Path, environ: dict[str, str]) -> Iterator[LocalSocket]:
    with local_socket(config, environ) as opened:
        assert opened is not None
        yield opened


def can_connect(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as sock:
        return sock.connect_ex(str(path)) == 0


def test_socket_is_for_this_user_alone(local: LocalSocket, config: Path, tmp_path: Path) -> None:
    assert local.path == tmp_path / FOLDER / socket_name(config)
    assert local.path.stat().st_mode & 0o777 == 0o600
    assert can_connect(local.path)


def test_nothing_is_left_of_it(local: LocalSocket) -> None:
    local.close()
    local.close()
    assert list(local.path.parent.iterdir()) == []
    assert local.sock.fileno() == -1


def test_socket_of_a_living_router_is_not_taken(
    local: LocalSocket, config: Path, environ: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    inode = local.path.stat().st_ino
    with local_socket(config, environ) as second:
        assert second is not None
        assert not second.take()
    assert caplog.messages == [
        f"Another router runs for {config} and has its local socket; commands reach that one until "
        "it ends, and then this one"
    ]
    assert local.path.stat().st_ino == inode
    assert can_connect(local.path)


def test_socket_is_taken_once_the_router_that_had_it_has_ended(
    local: LocalSocket, config: Path, environ: dict[str, str]
) -> None:
    with local_socket(config, environ) as second:
        assert second is not None
        local.close()
        assert second.take()
        assert second.take()
        assert can_connect(second.path)


def test_socket_of_another_router_is_left_where_somebody_has_tidied_up(
    local: LocalSocket, config: Path, environ: dict[str, str]
) -> None:
    for path in local.path.parent.iterdir():
        path.unlink()
    with local_socket(config, environ) as second:
        assert second is not None
        local.close()
        assert can_connect(second.path)
        with local_socket(config, environ) as third:
            assert third is not None
            assert not third.take()


def test_routers_of_other_files_have_sockets_of_their_own(
    local: LocalSocket, tmp_path: Path, environ: dict[str, str]
) -> None:
    with local_socket(tmp_path / "other.json", environ) as other:
        assert other is not None
        assert other.path != local.path


def test_socket_of_a_dead_router_is_replaced(config: Path, environ: dict[str, str]) -> None:
    dead = open_local_socket(config, environ)
    assert dead is not None
    os.close(dead._lock or 0)  # as the system does for a process that was killed
    dead.sock.close()
    assert not can_connect(dead.path)
    with local_socket(config, environ) as opened:
        assert opened is not None
        assert can_connect(opened.path)


def test_lock_that_its_holder_removes_meanwhile_is_no_lock(
    local: LocalSocket, config: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, locks = module.fcntl.flock, list[int]()

    def flock(fd: int, operation: int) -> None:
        if not locks:
            local.close()
        locks.append(fd)
        real(fd, operation)

    monkeypatch.setattr(module.fcntl, "flock", flock)
    with local_socket(config, environ) as second:
        assert second is not None
        with local_socket(config, environ) as third:
            assert third is not None
            assert not third.take()
        assert can_connect(second.path)
    assert len(locks) == 4


@pytest.mark.parametrize("long", ["x" * 100, ""])
def test_router_starts_without_one_where_it_cannot_be_made(
    tmp_path: Path, config: Path, caplog: pytest.LogCaptureFixture, long: str
) -> None:
    caplog.set_level(logging.INFO)
    folder = tmp_path / long if long else tmp_path
    folder.mkdir(mode=0o700, exist_ok=True)
    if not long:
        (folder / FOLDER).write_text("in the way")
        os.chmod(folder / FOLDER, 0o600)
    environ = {"XDG_RUNTIME_DIR": str(folder)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("router.files.local_sockets._usual_folders", lambda _: iter(()))
        assert open_local_socket(config, environ) is None
    (line,) = caplog.messages
    assert line.startswith("There is no local socket (")
    assert caplog.records[0].levelno == logging.INFO
    if long:
        assert list((folder / FOLDER).iterdir()) == []

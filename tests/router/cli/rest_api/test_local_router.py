"""The running router of a `config.json`, found by its local socket."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from router.app.listening.local_port import local_port
from router.cli.rest_api import local_router
from router.cli.rest_api.local_router import find_local_router, no_local_router
from router.cli.rest_api.rest_client import RestApi, get, no_answer
from router.doctor.facts import Process
from router.doctor.system import processes
from router.files import local_ports
from router.files.local_sockets import FOLDER, socket_name
from router.messages.errors import ConfigError
from tests.router.cli.rest_api.answering import answering_locally, http_response

if TYPE_CHECKING:
    from pathlib import Path


def test_router_is_asked_through_its_socket(home: Path) -> None:
    with answering_locally(home, http_response("200 OK", "[1]")) as requests:
        api = find_local_router(home / "config.json", os.environ)
        assert api is not None
        assert get(api, "/api/status") == b"[1]"
    assert requests[0].startswith(b"GET /api/status HTTP/1.1\r\nHost: localhost\r\n")
    assert b"Authorization" not in requests[0]


def test_answer_that_is_none_names_the_socket(home: Path) -> None:
    with answering_locally(home, b""):
        api = find_local_router(home / "config.json", os.environ)
        assert api is not None
        with pytest.raises(ConfigError, match=r"\.sock: no answer \(.*\)\. The router there is "):
            get(api, "/api/status")


def test_socket_of_a_dead_router_is_none(home: Path) -> None:
    (home / FOLDER).mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(home / FOLDER / socket_name(home / "config.json")))
    assert find_local_router(home / "config.json", os.environ) is None


@pytest.mark.skipif(sys.platform != "linux", reason="others refuse it, as if nobody listened")
def test_router_that_hangs_while_many_wait_is_there(home: Path) -> None:
    (home / FOLDER).mkdir(mode=0o700)
    path = home / FOLDER / socket_name(home / "config.json")
    with socket.socket(socket.AF_UNIX) as hanging, ExitStack() as waiting:
        hanging.bind(str(path))
        hanging.listen(0)
        error = 0
        while not error:
            one = waiting.enter_context(socket.socket(socket.AF_UNIX))
            one.setblocking(False)
            error = one.connect_ex(str(path))
        api = find_local_router(home / "config.json", os.environ)
        assert api is not None
        with pytest.raises(ConfigError, match="The router there is busy"):
            get(api, "/api/status")


def test_routers_that_run_for_another_config_are_named(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = (Process(7, config=home / "config.json"), Process(8, config=home / "b.json"), Process(9))
    monkeypatch.setattr(processes, "find_routers", lambda: here)
    (home / FOLDER).mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(home / FOLDER / socket_name(home / "config.json")))
        listener.listen()
        text = str(no_local_router(home / "none" / "config.json"))
    assert f"no router of yours runs for it; one does with -c {home}/config.json; start" in text
    assert "b.json" not in text


def test_router_is_asked_through_its_port_where_there_are_no_sockets(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_router, "has_local_sockets", lambda: False)
    monkeypatch.setattr(local_ports, "state_folder", lambda: home / "state")
    config = home / "config.json"
    assert find_local_router(config, os.environ) is None
    with local_port(config) as local:
        assert local is not None
        api = find_local_router(config, os.environ)
        assert api == RestApi(local.address, local.token, is_local=True)
        assert api is not None
        assert "busy, or about to stop" in no_answer(api, OSError())
    assert find_local_router(config, os.environ) is None

"""Following the log of a REST API that listens on a real socket."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection

from router.cli.rest_api.rest_client import RestApi
from router.cli.running import follow_log
from router.cli.running.follow_log import follow
from router.cli.running.status import status_text
from router.logs.broadcast import Broadcast
from router.messages.commands import Principal
from router.messages.errors import ConfigError, HttpRefusal
from tests.router.cli.rest_api.answering import unused_url
from transports.listen.rest.backend import RestBackend
from transports.listen.rest.rest_app import RestApp
from transports.listen.serving.hosting.listener import AsgiListener

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

LIMIT_S: Final = 30


class Router:
    """A REST API, in a thread because the follower has an event loop of its own."""

    def __init__(self, *, has_logs: bool = True) -> None:
        self.broadcast = Broadcast(lambda text: f"note: {text}")
        self._follow = self.broadcast.follow if has_logs else None
        self._sock = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._sock.getsockname()[1]}"
        self.api = RestApi(self.url, "right")
        self._up = threading.Event()
        self._stopping = trio.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._run,))
        self._token: Any = None

    async def _run(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        inbox, _ = trio.open_memory_channel[Any](1)
        backend = RestBackend(inbox, _admit, "9", follow=self._follow)
        async with trio.open_nursery() as nursery:
            listener = AsgiListener(self._sock, self.url, lambda: RestApp(backend))
            await nursery.start(listener, self._stopping)
            self._up.set()

    def __enter__(self) -> Router:
        self._thread.start()
        assert self._up.wait(LIMIT_S)
        return self

    def stop(self) -> None:
        with suppress(trio.RunFinishedError):  # it may have been stopped before
            self._token.run_sync_soon(self._stopping.set)
        self._thread.join(LIMIT_S)

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._sock.close()


def _admit(headers: Mapping[str, str], _address: str) -> Principal:
    if headers.get("authorization") == "Bearer caller":
        return Principal("caller", frozenset({"call"}))
    if headers.get("authorization") != "Bearer right":
        raise HttpRefusal(401, "Invalid bearer token")
    return Principal("right")


@pytest.fixture
def router() -> Iterator[Router]:
    with Router() as router:
        yield router


class Printed:
    """A stdout that does something once a text is written to it."""

    def __init__(self, wanted: str, then: Callable[[], None]) -> None:
        self.text = ""
        self._wanted = wanted
        self._then = then

    def write(self, text: str) -> None:
        self.text += text
        if self._wanted in text:
            self._then()

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


def test_it_prints_the_log_until_the_router_stops(
    router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    router.broadcast.put(20, "before")
    printed = Printed("before", lambda: threading.Thread(target=router.stop).start())
    monkeypatch.setattr(sys, "stdout", printed)
    assert follow(router.api, "INFO") == 0
    greeting, ruler, line, *_ = printed.text.splitlines()
    assert greeting == "Connected to MCP Router API v9 - Realtime Logs"
    assert (set(ruler), line) == ({"-"}, "before")


def test_what_comes_cannot_move_the_cursor(router: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    router.broadcast.put(20, "a\x1b[2Jb")
    printed = Printed("b", lambda: threading.Thread(target=router.stop).start())
    monkeypatch.setattr(sys, "stdout", printed)
    follow(router.api)
    assert "\\x1b[2J" in printed.text


def test_closed_stdout_ends_following(router: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> None:
        raise BrokenPipeError

    router.broadcast.put(20, "enough")
    monkeypatch.setattr(sys, "stdout", Printed("enough", gone))
    assert follow(router.api) == 0


def test_wrong_token_says_what_to_do(router: Router) -> None:
    with pytest.raises(ConfigError, match=r": Invalid bearer token\. Give --token"):
        follow(RestApi(router.url, "wrong"))


def test_token_without_the_permission_is_refused_with_the_reason(router: Router) -> None:
    with pytest.raises(ConfigError, match=r"403: This token has no permission \"read\""):
        follow(RestApi(router.url, "caller"))


def test_failure_has_the_same_words_as_that_of_the_status(router: Router) -> None:
    for api in (
        RestApi(unused_url()),
        RestApi(router.url, "wrong"),
        RestApi(router.url),
        RestApi(router.url.replace("http:", "https:"), "right"),
    ):
        with pytest.raises(ConfigError) as of_logs:
            follow(api)
        with pytest.raises(ConfigError) as of_status:
            status_text(api, as_json=False)
        assert str(of_logs.value) == str(of_status.value)


def test_router_without_realtime_logs_says_how_to_have_them() -> None:
    with (
        Router(has_logs=False) as router,
        pytest.raises(ConfigError, match=r"api\.enable_realtime_logs"),
    ):
        follow(router.api)


def test_unreachable_router_is_one_line() -> None:
    with pytest.raises(ConfigError, match="Is the router running") as caught:
        follow(RestApi(unused_url()))
    assert "\n" not in str(caught.value)


def test_router_that_answers_no_ping_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    frames: list[bytes] = []

    def accept_and_stay_silent(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.settimeout(LIMIT_S)
            websocket = WSConnection(ConnectionType.SERVER)
            websocket.receive_data(connection.recv(1 << 16))
            connection.sendall(websocket.send(AcceptConnection()))
            while data := connection.recv(1 << 16):
                frames.append(data)

    monkeypatch.setattr(follow_log, "PING_S", 0.01)
    monkeypatch.setattr(follow_log, "ANSWER_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=accept_and_stay_silent, args=(server,))
        thread.start()
        with pytest.raises(ConfigError, match=r"no answer \(timed out\)"):
            follow(RestApi(f"http://127.0.0.1:{server.getsockname()[1]}"))
        thread.join(LIMIT_S)
    assert frames[0][0] == 0x89  # a ping (RFC 6455 section 5.2)


@pytest.fixture
def heeds_ctrl_c() -> Iterator[None]:
    """Programs that are started here heed SIGINT, also where a shell has the tests ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeds_ctrl_c")
@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_ends_it_without_a_traceback(router: Router) -> None:
    router.broadcast.put(20, "written")
    words = ["logs", "-f", "--url", router.url, "--token", "right"]
    with subprocess.Popen(
        [sys.executable, "-m", "router", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as follower:
        assert follower.stdout is not None
        while b"written" not in follower.stdout.readline():
            pass
        follower.send_signal(signal.SIGINT)
        _, complaints = follower.communicate(timeout=LIMIT_S)
    assert (follower.returncode, complaints) == (128 + signal.SIGINT, b"")

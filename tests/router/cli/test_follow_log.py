"""`mcp-router logs -f`, against a listener of the real kind on a real socket."""

from __future__ import annotations

import socket
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio

from router.cli.follow_log import follow
from router.logs.broadcast import Broadcast
from router.messages.commands import Principal
from router.messages.errors import ConfigError, HttpRefusal
from transports.listen.rest.backend import RestBackend
from transports.listen.rest.rest_app import RestApp
from transports.listen.serving.hosting import AsgiListener

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LIMIT_S: Final = 30


class Router:
    """A REST API in a thread of its own, as the follower has an event loop of its own."""

    def __init__(self, *, has_logs: bool = True) -> None:
        self.broadcast = Broadcast(lambda text: f"note: {text}")
        self._follow = self.broadcast.follow if has_logs else None
        self._sock = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._sock.getsockname()[1]}"
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
        with suppress(trio.RunFinishedError):  # it may have been told before
            self._token.run_sync_soon(self._stopping.set)
        self._thread.join(LIMIT_S)

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._sock.close()


def _admit(headers: Mapping[str, str]) -> Principal:
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
    """A stdout that does something once it has read a line."""

    def __init__(self, wanted: str, then: Any) -> None:
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
    assert follow(router.url, "right", "INFO") == 0
    greeting, ruler, line, *_ = printed.text.splitlines()
    assert greeting == "Connected to MCP Router API v9 - Realtime Logs"
    assert (set(ruler), line) == ({"-"}, "before")


def test_what_comes_cannot_move_the_cursor(router: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    router.broadcast.put(20, "a\x1b[2Jb")
    printed = Printed("b", lambda: threading.Thread(target=router.stop).start())
    monkeypatch.setattr(sys, "stdout", printed)
    follow(router.url, "right")
    assert "\\x1b[2J" in printed.text


def test_reader_that_has_seen_enough_ends_it(
    router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone() -> None:
        raise BrokenPipeError

    router.broadcast.put(20, "enough")
    monkeypatch.setattr(sys, "stdout", Printed("enough", gone))
    assert follow(router.url, "right") == 0


def test_wrong_token_says_what_to_do(router: Router) -> None:
    with pytest.raises(ConfigError, match=r"401: Invalid bearer token\. Give --token"):
        follow(router.url, "wrong")


def test_token_that_may_not_is_told_so(router: Router) -> None:
    with pytest.raises(ConfigError, match=r"403: This token has no permission \"read\""):
        follow(router.url, "caller")


def test_router_without_realtime_logs_says_how_to_have_them() -> None:
    with (
        Router(has_logs=False) as router,
        pytest.raises(ConfigError, match=r"api\.enable_realtime_logs"),
    ):
        follow(router.url, "right")


def test_nobody_there_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    with pytest.raises(ConfigError, match="Is the router running") as caught:
        follow(f"http://127.0.0.1:{port}", "")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["127.0.0.1:8001", "ftp://x", "http://", "http://x:99999"])
def test_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="expected a URL"):
        follow(url, "")

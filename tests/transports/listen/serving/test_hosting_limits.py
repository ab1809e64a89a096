"""Limits of idle connections in time and number, on real sockets."""

from __future__ import annotations

import sys

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.transports.listen.serving.echo_site import Site, request, rest_of, serving
from transports.listen.serving import hosting
from transports.listen.serving.hosting import connection_limit


@pytest.mark.parametrize(
    "sent",
    [b"", b"POST", b"POST /mcp HTTP/1.1\r\nHost: x\r\nX: ", request()],
    ids=["silent", "word", "half a head", "idle after an answer"],
)
async def test_connection_without_a_request_is_closed(
    sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosting, "IDLE_S", 0.05)
    async with serving() as site:
        answer = await site.answer_to(sent)
        assert answer.count(b"HTTP/1.1 200 ") == len(site.app.asked) == (sent == request())


async def _held(site: Site) -> trio.SocketStream:
    """A connection that has its place; one that is leaving may still have it."""
    while True:
        stream = await site.say(request())
        try:
            data = await stream.receive_some()
            while data and not data.endswith(b"spoken: 1.1"):
                data += await stream.receive_some()
        except trio.BrokenResourceError:
            data = b""
        if data:
            return stream
        await stream.aclose()


async def _leave(stream: trio.SocketStream) -> None:
    await stream.send_all(request("Connection: close"))
    await rest_of(stream)
    await stream.aclose()
    await wait_all_tasks_blocked()


async def test_clients_that_come_and_go_at_the_limit_are_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(max_connections=10) as site:
        held = [await _held(site) for _ in range(10)]
        for _ in range(5):
            assert await site.answer_to(request()) == b""
            await _leave(held.pop())
            held.append(await _held(site))
        assert caplog.text.count("10 connections are open") == 1
        await _leave(held.pop())
        await _leave(held.pop())
        held += [await _held(site) for _ in range(2)]
        assert await site.answer_to(request()) == b""
        assert caplog.text.count("10 connections are open") == 2
        for stream in held:
            await stream.aclose()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
@pytest.mark.parametrize("files", [64, 256, 1024, 4096])
def test_three_full_listeners_leave_a_quarter_of_the_files(
    files: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource  # not on Windows

    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    assert 3 * connection_limit() == 3 * files // 4

"""Limits of idle connections in time and number, on real sockets."""

from __future__ import annotations

import errno
import os
import re
import sys

import pytest
import trio

from tests.transports.listen.serving.hosting.echo_site import request, serving
from transports.listen.serving.hosting import listener as module
from transports.listen.serving.hosting.listener import connection_limit


@pytest.mark.parametrize(
    "sent",
    [b"", b"POST", b"POST /mcp HTTP/1.1\r\nHost: x\r\nX: ", request()],
    ids=["silent", "word", "half a head", "idle after an answer"],
)
async def test_connection_without_a_request_is_closed(
    sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IDLE_S", 0.05)
    async with serving() as site:
        answer = await site.answer_to(sent)
        assert answer.count(b"HTTP/1.1 200 ") == len(site.app.asked) == (sent == request())


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
async def test_lack_of_files_is_logged_once_with_a_count_and_ends_when_there_are_some(
    code: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failures = 20
    accept = trio.SocketListener.accept

    async def failing(listener: trio.SocketListener) -> trio.SocketStream:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise OSError(code, os.strerror(code))
        return await accept(listener)

    monkeypatch.setattr(trio.SocketListener, "accept", failing)
    monkeypatch.setattr(module, "ACCEPT_RETRY_S", 0.001)
    async with serving() as site:
        answer = await site.answer_to(request("Connection: close"))
        assert answer.startswith(b"HTTP/1.1 200 ")
    told = [record for record in caplog.records if record.levelname == "ERROR"]
    assert [os.strerror(code) in record.getMessage() for record in told] == [True, True]
    # The first is told at once; whether a second one came before that is the scheduler's to choose.
    tries = [int(re.findall(r"failed tries: (\d+),", one.getMessage())[0]) for one in told]
    assert sum(tries) == 20
    assert tries[0] < 20


async def test_socket_that_cannot_accept_at_all_ends_the_listener(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(_: trio.SocketListener) -> trio.SocketStream:
        raise OSError(errno.EINVAL, "broken")

    monkeypatch.setattr(trio.SocketListener, "accept", broken)
    broken_alone = pytest.RaisesExc(OSError, match="broken")
    with pytest.RaisesGroup(broken_alone, flatten_subgroups=True):
        async with serving():
            await trio.sleep_forever()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
@pytest.mark.parametrize("files", [64, 256, 1024, 4096])
def test_three_full_listeners_leave_a_quarter_of_the_files(
    files: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource  # not on Windows

    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    assert 3 * connection_limit() == 3 * files // 4

"""How long and how many connections may be there without asking for anything, on real sockets."""

from __future__ import annotations

import sys

import pytest

from tests.transports.listen.echo_site import request, serving
from transports.listen import hosting
from transports.listen.hosting import connection_limit


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


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
@pytest.mark.parametrize("files", [64, 256, 1024, 4096])
def test_three_full_listeners_leave_a_quarter_of_the_files(
    files: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource  # not on Windows

    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    assert 3 * connection_limit() == 3 * files // 4

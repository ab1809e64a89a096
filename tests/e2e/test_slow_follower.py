"""Somebody follows the log and reads slowly, or not at all: that costs them lines, nobody else."""

from __future__ import annotations

import base64
import os
import re
import socket
from contextlib import closing
from typing import TYPE_CHECKING, Final

from tests.e2e.guarded import LIMIT_S
from tests.e2e.resources import MIB, resident_bytes
from tests.e2e.rest import TOKEN, configure, running
from tests.e2e.wire import HttpClient

if TYPE_CHECKING:
    from tests.e2e.site import Site

BURST: Final = 200
"""Lines that one start of the loud server says, and that are all logged."""

LINE_CHARACTERS: Final = 1900
LOUD: Final = (
    f"""seq -f "line %g of $$ $(printf %0{LINE_CHARACTERS}d 0)" {BURST} >&2; exec cat >/dev/null"""
)
"""It says more than what may wait for one follower in three starts, and ends with its stdin."""

FILLING: Final = 10
"""Bursts after which what buffers for one who does not read is full, or almost (3.8 MB).

The kernel may have up to 4 MB of it, but has little where the other side takes little at once.
"""

MORE: Final = 25
"""Bursts after that, of which nothing may stay (9.5 MB)."""

MORE_BYTES: Final = 5 * MIB

DROPPED: Final = re.compile(r" - (\d+) records were dropped here: they were read too slowly$")


class Follower:
    """A WebSocket to `/ws`, over a socket of our own (RFC 6455 section 5.2)."""

    def __init__(self, port: int, *, receive_bytes: int | None = None) -> None:
        self._socket = socket.socket()
        if receive_bytes is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self._socket.settimeout(LIMIT_S)
        self._socket.connect(("127.0.0.1", port))
        self._read = self._socket.makefile("rb")
        self._shake_hands()
        assert self.text().startswith("Connected to MCP Router API")

    def _shake_hands(self) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        self._socket.sendall(
            "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Authorization: Bearer {TOKEN}\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        assert self._read.readline().startswith(b"HTTP/1.1 101 ")
        while self._read.readline() != b"\r\n":
            pass

    def text(self) -> str:
        """The next frame, which is a whole message from a server."""
        first, length = self._read.read(2)
        assert first == 0x81, f"no text frame: {first:#x}"
        if length == 126:
            length = int.from_bytes(self._read.read(2))
        elif length == 127:
            length = int.from_bytes(self._read.read(8))
        return self._read.read(length).decode()

    def until(self, mark: str) -> list[str]:
        """All records up to and with the next one in which `mark` is."""
        found = [self.text()]
        while mark not in found[-1]:
            found.append(self.text())
        return found

    def close(self) -> None:
        self._read.close()
        self._socket.close()


def lost_and_found(late: list[str], all_of_it: list[str]) -> tuple[int, int]:
    """How many records a slow follower was told it lost, and how many it has.

    Raises:
        AssertionError: together they are not exactly what a prompt one has, in its order.
    """
    place = lost = 0
    for line in late:
        if told := DROPPED.search(line):
            lost += int(told[1])
            place += int(told[1])
        else:
            assert line == all_of_it[place]
            place += 1
    assert place == len(all_of_it)
    return lost, place - lost


def test_slow_follower_loses_the_oldest_records_and_holds_up_nobody(site: Site) -> None:
    configure(site, logging={"level": "DEBUG"})
    site.add_chaos("plain").add_command("loud", "sh", "-c", LOUD, isActive=False)
    with (
        running(site, "http", "api") as (router, rest),
        closing(HttpClient(router.url("/mcp"), TOKEN)) as client,
        closing(Follower(rest.port)) as prompt,
        closing(Follower(rest.port, receive_bytes=4096)) as slow,
    ):
        client.initialize()
        seen: list[str] = []

        def log_more(bursts: int) -> None:
            for _ in range(bursts):
                assert rest.ask("POST", "/api/instances/loud/enable").status == 200
                seen.extend(prompt.until(f"line {BURST} of"))  # before any more is logged
                assert rest.ask("POST", "/api/instances/loud/disable").status == 200
                assert client.call(1, "plain", "echo", text="here")["content"]

        log_more(FILLING)
        memory_bytes = resident_bytes(router.pid)
        log_more(MORE)
        assert resident_bytes(router.pid) - memory_bytes < MORE_BYTES
        said = [line for line in seen if " of " in line and "000" in line]
        assert len(said) == BURST * (FILLING + MORE)
        assert not any(map(DROPPED.search, seen))

        assert rest.ask("PATCH", "/api/instances/plain", {"description": "last"}).status == 200
        seen.extend(prompt.until("UpdateInstance: plain"))
        lost, found = lost_and_found(slow.until("UpdateInstance: plain"), seen)
        assert lost > BURST * MORE // 2
        assert found > 0

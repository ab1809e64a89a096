"""A slow reader of the log loses lines; nobody else loses anything."""

from __future__ import annotations

import re
from contextlib import closing
from typing import TYPE_CHECKING, Final

from tests.e2e.process_resources import MIB, resident_bytes
from tests.e2e.raw_client import HttpClient
from tests.e2e.rest_client import TOKEN, configure_rest, rest_router
from tests.e2e.websocket_client import Follower

if TYPE_CHECKING:
    from tests.e2e.workspace import Workspace

BURST: Final = 200
"""Lines that one start of the loud server says, and that are all logged."""

LINE_CHARACTERS: Final = 1900
LOUD: Final = (
    f"""seq -f "line %g of $$ $(printf %0{LINE_CHARACTERS}d 0)" {BURST} | tr 0-9 a-j >&2\n"""
    "exec cat >/dev/null"
)
"""It says more than what may wait for one follower in three starts, and ends with its stdin.

Its numbers are written in letters: lines that differ only in a number would be collapsed.
"""

LAST: Final = str(BURST).translate(str.maketrans("0123456789", "abcdefghij"))

FILLING: Final = 10
"""Bursts after which what buffers for one who does not read is full, or almost (3.8 MB).

The kernel may have up to 4 MB of it, but has little where the other side takes little at once.
"""

MORE: Final = 25
"""Bursts after that, of which nothing may stay (9.5 MB)."""

MORE_BYTES: Final = 5 * MIB

DROPPED: Final = re.compile(r" - (\d+) records were dropped here: they were read too slowly$")


def lost_and_found(late: list[str], all_of_it: list[str]) -> tuple[int, int]:
    """Count the records that a slow follower is told it lost, and those that it has.

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


def test_slow_follower_loses_the_oldest_records_and_holds_up_nobody(workspace: Workspace) -> None:
    configure_rest(workspace, logging={"level": "DEBUG"})
    workspace.add_chaos("plain").add_command("loud", "sh", "-c", LOUD, isActive=False)
    with (
        rest_router(workspace, "http", "api") as (router, rest),
        closing(HttpClient(router.url("/mcp"), TOKEN)) as client,
        Follower(rest.netloc, TOKEN) as prompt,
        Follower(rest.netloc, TOKEN, receive_bytes=4096) as slow,
    ):
        client.initialize()
        for follower in (prompt, slow):
            assert follower.until("\n")[0].startswith("Connected to MCP Router API")
        seen: list[str] = []

        def log_more(bursts: int) -> None:
            for _ in range(bursts):
                assert rest.ask("POST", "/api/instances/loud/enable").status == 200
                seen.extend(prompt.until(f"line {LAST} of"))  # before any more is logged
                assert rest.ask("POST", "/api/instances/loud/disable").status == 200
                assert client.call(1, "plain", "echo", text="here")["content"]

        log_more(FILLING)
        memory_bytes = resident_bytes(router.pid)
        log_more(MORE)
        assert resident_bytes(router.pid) - memory_bytes < MORE_BYTES
        said = [line for line in seen if " of " in line and "aaa" in line]
        assert len(said) == BURST * (FILLING + MORE)
        assert not any(map(DROPPED.search, seen))

        assert rest.ask("PATCH", "/api/instances/plain", {"description": "last"}).status == 200
        seen.extend(prompt.until("UpdateInstance: plain"))
        lost, found = lost_and_found(slow.until("UpdateInstance: plain"), seen)
        assert lost > BURST * MORE // 2
        assert found > 0

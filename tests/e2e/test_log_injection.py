"""Text of others in the log must not look like a line of ours, nor move a cursor.

`tests/router/logs/test_logs.py` has each character alone. Here are the ways into the log, and the
ways out: the file, stderr, the WebSocket, and `mcp-router status`.
"""

from __future__ import annotations

import re
import subprocess
import unicodedata
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from tests.e2e.processes import router_command
from tests.e2e.secured_router import ALL, SecuredRouter, ask, call, rpc
from tests.e2e.websocket_client import Follower

if TYPE_CHECKING:
    from collections.abc import Iterable

FORGED: Final = "2026-01-01 00:00:00,000 - mcp_router.auth - INFO - forged"
NASTY: Final = (
    f"\x1b[2J\x1b]0;title\x07\r{FORGED}\n{FORGED}\x00\x08\x7f\x85{FORGED}\x9b31m\u2028{FORGED}\u2029"
    "\u202edesrever\u202c\u200b\ufeff\u2066"
)
OURS: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - [\w.]+(\.[^ ]+)? - [A-Z]+ - ")
END: Final = "the-end-of-what-is-nasty"


def nasty_things(secured: SecuredRouter) -> None:
    """Have the router log hostile text in every way that others have."""
    raw = NASTY.encode() + b"\xff\xfe\x9b31m\n"
    for place in ("stderr", "stdout"):
        told = call("snooping", "complain", **{place: (b"{" + raw).hex(), "stderr": raw.hex()})
        assert ask(secured.http, "POST", "/mcp", ALL, told)[0] == 200
    info = {"name": NASTY, "version": NASTY}
    hello = rpc("initialize", protocolVersion=NASTY, capabilities={}, clientInfo=info)
    for body in (hello, call(NASTY, NASTY), rpc(NASTY), rpc("tools/call", name=NASTY)):
        ask(secured.http, "POST", "/mcp", ALL, body)
    for path in (f"/api/instances/{quote(NASTY)}", f"/{quote(NASTY)}", "/ws?level=" + quote(NASTY)):
        ask(secured.api, "GET", path, ALL)
    ask(secured.http, "GET", f"/{quote(NASTY)}?{quote(NASTY)}", ALL)
    ask(secured.api, "POST", "/api/instances", ALL, {"name": NASTY, "command": NASTY})
    entry = {"name": "nasty", "command": "/" + NASTY.replace("\0", ""), "metadata": {NASTY: NASTY}}
    assert ask(secured.api, "POST", "/api/instances", ALL, entry)[0] == 201
    ask(secured.api, "POST", "/api/instances/nasty/enable?wait=ready", ALL)
    ask(secured.api, "DELETE", "/api/instances/nasty", ALL)


def check_lines(lines: Iterable[str]) -> None:
    """Assert that each line is ours or the indented rest of one, and that all of it prints."""
    for line in lines:
        assert OURS.match(line) or line.startswith("    ") or not line, ascii(line)
        assert "mcp_router.auth - INFO - forged" not in line[: len(FORGED)], ascii(line)
        shown = [character for character in line if unicodedata.category(character)[0] == "C"]
        assert shown == [], ascii(line)


def test_nothing_that_others_say_can_pass_for_a_line_of_ours(secured: SecuredRouter) -> None:
    before = len(secured.router.stderr.text)
    with Follower(secured.api, ALL) as follower:
        nasty_things(secured)
        told = call("snooping", "complain", stderr=f"{END}\n".encode().hex())
        ask(secured.http, "POST", "/mcp", ALL, told)
        secured.router.stderr.wait_for(END)
        _, *live = follower.until(END)
    assert any("forged" in line for line in live)
    check_lines(live)
    check_lines(secured.router.stderr.text[before:].split("\n")[1:])
    logged = (secured.workspace.path / "logs" / "latest-http+sse.txt").read_text()
    check_lines(logged.split("\n"))


def test_status_shows_what_others_say_on_one_line_each(secured: SecuredRouter) -> None:
    entry = {"name": "nasty", "command": "/" + NASTY.replace("\0", "")}
    assert ask(secured.api, "POST", "/api/instances?wait=ready", ALL, entry)[0] == 503
    try:
        words = router_command("status", "--url", f"http://{secured.api}", "--token", ALL)
        done = subprocess.run(words, capture_output=True, check=True, timeout=60)
        lines = [line for line in done.stdout.decode().split("\n") if line.startswith("nasty")]
        row, reason = lines
        assert reason.startswith("nasty: ")
        for line in row, reason:
            assert "forged" in line
            assert [one for one in line if unicodedata.category(one)[0] == "C"] == []
    finally:
        ask(secured.api, "DELETE", "/api/instances/nasty", ALL)

"""The program as a process: its start-up time and its standard streams."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from router.version import VERSION

pytestmark = pytest.mark.usefixtures("home")

CONFIG = {"server": {"http": {"port": 0}, "sse": {"port": 0}}}


FORBIDDEN = (
    *("mcp", "pydantic", "quart", "starlette", "hypercorn", "anyio", "httpx2", "asyncio"),
    "sqlite3",
)

LOADED_AT_FIRST_ANSWER = f"""
import os, sys
from router.cli import main as cli
from transports.listen.stdio.outbox import StdioOutbox

put = StdioOutbox.put

def note(self, line):
    loaded = [name for name in {FORBIDDEN!r} if name in sys.modules]
    os.write(2, f"loaded: {{loaded}}\\n".encode())  # at once: the log writes there too
    put(self, line)

StdioOutbox.put = note
sys.exit(cli.main(["stdio"]))
"""


@pytest.mark.parametrize("kind", ["none", "stdio"])
def test_first_answer_needs_none_of_the_heavy_libraries(home: Path, kind: str) -> None:
    if kind == "stdio":
        (home / "data" / "p").mkdir(parents=True)
        entry = {"command": sys.executable, "args": ["-c", ""]}
        (home / "data" / "p" / "mcp_settings.json").write_text(json.dumps(entry))
    Path("config.json").write_text(json.dumps(CONFIG))
    done = subprocess.run(
        [sys.executable, "-c", LOADED_AT_FIRST_ANSWER],
        input=b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n',
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout) == {"jsonrpc": "2.0", "id": 1, "result": {}}
    assert b"loaded: []" in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="a shell of POSIX")
@pytest.mark.parametrize(
    ("closed", "status", "answers"),
    [("<&-", 1, 0), (">&-", 1, 0), ("2>&-", 0, 1), ("2>/dev/full", 0, 1)],
)
def test_closed_descriptors_are_not_mistaken_for_others(
    closed: str, status: int, answers: int
) -> None:
    Path("config.json").write_text(json.dumps(CONFIG))
    command = f'"$0" -m router stdio {closed}'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable],
        input=b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n',
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout.count(b"\n")) == (status, answers)
    assert b"Traceback" not in done.stderr
    if status:
        assert done.stderr.endswith(b"stdio: the router was started without stdin or stdout\n")


def test_program_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "router", "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=dict(os.environ),
    )
    assert done.stdout == f"MCP Router v{VERSION}\n"

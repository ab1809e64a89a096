"""Why is it down? State, cause and the time of the next try stand wherever a user looks."""

from __future__ import annotations

import re
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

from tests.e2e.processes import run_command
from tests.e2e.rest_client import TOKEN, RestClient, configure_rest, rest_router
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.processes import RouterProcess

LIMIT_S: Final = 60.0
"""For a failure to be seen: a busy machine starts few processes at a time."""

ANSWERS: Final = """
for line in sys.stdin:
    asked = json.loads(line)
    is_first = asked.get("method") == "initialize"
    answer = INITIALIZE if is_first else {"error": {"code": -32601, "message": "no"}}
    if "id" in asked:
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **answer}), flush=True)
"""
"""Refuses everything, and answers `initialize` with INITIALIZE."""

OLD: Final = {"result": {"protocolVersion": "1999-01-01", "capabilities": {}}}
REFUSAL: Final = {"error": {"code": -32603, "message": "Internal error"}}
NEVER: Final = "while os.read(0, 1000): pass"


def _says(line: str) -> str:
    return f"os.write(2, b'{line}\\n')\n"


SCRIPTS: Final[dict[str, tuple[str, str]]] = {
    "exits": (
        _says("no licence was found") + "sys.exit(3)",
        "exited with status 3: no licence was found",
    ),
    "raises": ("def main(): {}['API_KEY']\nmain()", "exited with status 1: KeyError: 'API_KEY'"),
    "killed": (
        _says("at work") + "os.kill(os.getpid(), 9)",
        "was killed by SIGKILL; last: at work",
    ),
    "closes": (
        _says("bad state") + "os.close(1); time.sleep(1000)",
        "closed its stdout; last: bad state",
    ),
    "waits": (
        _says("waiting for the database") + NEVER,
        r"not started within \d+ s; last: waiting for the database",
    ),
    "silent": (NEVER, r"not started within \d+ s; last: no answer to [a-z]+"),
    "refuses": (
        _says("no such table") + ANSWERS.replace("INITIALIZE", repr(REFUSAL)),
        "initialize was refused: Internal error; last: no such table",
    ),
    "ancient": (
        ANSWERS.replace("INITIALIZE", repr(OLD)),
        "speaks protocol revision 1999-01-01, which is not spoken here",
    ),
}  # fmt: skip
"""What a process does, and the reason that is to be shown."""

COMMANDS: Final = {
    "missing": "command not found: 'no-such-program'; install it",
    "forbidden": "permission denied: '.*' may not be executed; see `chmod [+]x`",
    "headless": "cannot be executed: Exec format error; a script must begin with a #! line",
}


@attrs.frozen
class Failing:
    """A router before servers that fail, each in its way."""

    router: RouterProcess
    api: RestClient

    def row(self, name: str) -> dict[str, Any]:
        """Return the row of an instance once it has failed and waits for its next try."""
        ends_at_s = time.monotonic() + LIMIT_S
        while True:
            row = next(
                row for row in self.api.ask("GET", "/api/status").json if row["name"] == name
            )
            if row["state"] in {"backoff", "failed"}:
                return row
            assert time.monotonic() < ends_at_s, row


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Failing]:
    workspace = Workspace(tmp_path_factory.mktemp("failing"))
    for name, (code, _) in SCRIPTS.items():
        # A start that is cut off gets more time at the next try.
        more = {"start_timeout_s": 1} if "not started" in SCRIPTS[name][1] else {}
        argv = [sys.executable, "-B", "-S", "-c", f"import json, os, sys, time\n{code}"]
        workspace.add_command(name, *argv, **more)
    files = {name: workspace.path / name for name in COMMANDS}
    files["forbidden"].write_text("#!/bin/sh\n")
    files["headless"].write_text("echo\n")
    files["headless"].chmod(0o755)
    workspace.add_command("missing", "no-such-program")
    workspace.add_command("forbidden", str(files["forbidden"]))
    workspace.add_command("headless", str(files["headless"]))
    configure_rest(workspace)
    with rest_router(workspace) as (router, api):
        yield Failing(router, api)


REASONS: Final = {name: reason for name, (_, reason) in SCRIPTS.items()} | COMMANDS


@pytest.mark.parametrize("name", REASONS)
def test_the_reason_stands_wherever_a_user_looks(failing: Failing, name: str) -> None:
    reason = re.compile(REASONS[name])
    row = failing.row(name)
    assert reason.match(row["last_error"])
    assert row["retry_in_s"] >= 0

    listed = failing.api.row(name)
    assert reason.match(listed["last_error"])

    called = failing.api.call("echo", name)
    assert called.code == "UNAVAILABLE"
    message = called.json["detail"]["error"]
    assert reason.search(message)
    assert re.search(r"next try|starting", message)

    shown = run_command("status", "--url", failing.api.url, "--token", TOKEN).stdout
    assert any(line.startswith(name) and reason.search(line) for line in shown.splitlines())

    failing.router.stderr.wait_for(f"{name} is down")
    logged = [line for line in failing.router.stderr.text.splitlines() if f"{name} is down" in line]
    assert reason.search(logged[0])
    assert "next try in" in logged[0]


def test_the_traceback_of_a_server_that_crashes_again_and_again_is_logged_once(
    failing: Failing,
) -> None:
    failing.router.stderr.wait_for(r"raises failed \(.*KeyError: 'API_KEY'\)")
    lines = [line for line in failing.router.stderr.text.splitlines() if ".raises - " in line]
    assert sum("Traceback (most recent call last):" in line for line in lines) == 1
    assert not any("like before" in line for line in lines)

"""Runs the official conformance suite, and the server that it is written for.

The suite is the npm package `@modelcontextprotocol/conformance`. The server is the
everything-server, one of the examples of the Python SDK.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections import Counter
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.e2e import peers, real_servers
from tests.e2e.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

REVISIONS: Final = ("2025-06-18", "2025-11-25", "2026-07-28")

SCENARIO_LIMIT_MS: Final = 10_000
"""For one scenario; the longest takes 3 s."""

CLIENT_LIMIT_MS: Final = 60_000
"""For a client in one scenario, with the start of a router; the longest takes 4 s."""

RUN_LIMIT_S: Final = 150.0
"""For all scenarios of a revision, which take 3 s together where none fails."""

MOST_DETAILS: Final = 1000
"""Characters of a check's details in a message; some hold whole lists."""

_DATE: Final = re.compile(r"-\d{4}(-\d\d)+T[-\dZ]+$")
"""Ends the names of the folders that the suite makes."""

SUITE: Final = "@modelcontextprotocol/conformance"
STATUS: Final = "ClientStatus"
"""The name of a check of our own: that the client has ended without an error."""

VENV: Final = "sdk-examples"
SERVER: Final = "examples/servers/everything-server"
STDIO_SERVER: Final = str(peers.SOURCES / "everything_stdio.py")


# --- The suite -------------------------------------------------------------------------------


class Check(NamedTuple):
    """One check; a scenario may make the check of one name several times."""

    scenario: str
    id: str
    name: str
    number: int = 1

    def __str__(self) -> str:
        return f"{self.scenario}: {self.id} ({self.name}, {self.number})"


class Outcome(NamedTuple):
    """The checks of one run.

    Attributes:
        passed: those that passed.
        others: all others, each with its status and the suite's words. `INFO` and `SKIPPED` mean
            that a check does not apply; `FAILURE` and `WARNING`, that it failed.
    """

    passed: frozenset[Check]
    others: dict[Check, str]

    @property
    def failed(self) -> list[str]:
        """The checks that failed, each with the suite's words."""
        return [
            f"{check}: {words}"
            for check, words in self.others.items()
            if words.startswith(("FAILURE", "WARNING"))
        ]

    def lost(self, directly: Outcome) -> dict[Check, str]:
        """Return the checks that passed `directly` and not here, and what became of them."""
        lost = sorted(directly.passed - self.passed)
        return {check: self.others.get(check, "NOT MADE") for check in lost}


class ClientRun(NamedTuple):
    """A scenario for clients, with what the client has said."""

    outcome: Outcome
    stdout: str
    stderr: str


def suite_script() -> Path:
    """Return the program of the suite; skip the test where it is not installed."""
    return Path(peers.npm_script(SUITE, "dist/index.js"))


def run_server_suite(url: str, revision: str, results: Path, script: Path | None = None) -> Outcome:
    """Run all scenarios of a revision against the server at `url`.

    Args:
        url: of a streamable HTTP endpoint on this machine.
        revision: one of `REVISIONS`.
        results: a folder that does not exist yet, for the files that the suite writes.
        script: another copy of the suite.
    """
    command = [peers.NODE, str(script or suite_script()), "server", "--url", url, "--suite", "all"]
    command += ["--spec-version", revision, "--timeout", str(SCENARIO_LIMIT_MS)]
    command += ["--output-dir", str(results)]
    # Its status is 1 where a check has failed, and where it did not run at all.
    ran = subprocess.run(command, capture_output=True, text=True, timeout=RUN_LIMIT_S, check=False)
    assert ran.returncode in {0, 1}, ran.stderr
    outcome = read_results(results, "server-")
    assert outcome.passed or outcome.others, ran.stdout + ran.stderr
    return outcome


@cache
def list_client_scenarios(revision: str) -> list[str]:
    """Return the names of the scenarios for clients of a revision."""
    command = [peers.NODE, str(suite_script()), "list", "--client", "--spec-version", revision]
    listing = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return re.findall(r"^ +- (\S+)", listing.stdout, re.MULTILINE)


def run_client_scenario(command: str, scenario: str, revision: str, results: Path) -> Outcome:
    """Run a scenario for clients, in which the suite is the server.

    Args:
        command: starts the client; the suite adds its URL. It splits the command at spaces.
        scenario: one of `list_client_scenarios`.
        revision: one of `REVISIONS`.
        results: a folder for the files that the suite writes.
    """
    words = [peers.NODE, str(suite_script()), "client", "--command", command]
    words += ["--scenario", scenario, "--spec-version", revision, "--output-dir", str(results)]
    words += ["--timeout", str(CLIENT_LIMIT_MS)]
    ran = subprocess.run(
        words, cwd=peers.ROOT, capture_output=True, text=True, timeout=RUN_LIMIT_S, check=False
    )
    assert ran.returncode in {0, 1}, ran.stderr
    outcome = read_results(results)
    if ran.returncode and not outcome.failed:
        words = f"FAILURE: the client ended with an error\n{ran.stdout}{ran.stderr}"
        outcome.others[Check(scenario, "client", STATUS)] = words
    return outcome


def run_client_suite(
    command: str, suite: str, revision: str, results: Path
) -> dict[str, ClientRun]:
    """Run all scenarios of a suite for clients, all at once; return them by name.

    Args:
        command: see `run_client_scenario`.
        suite: such as `extensions`.
        revision: one of `REVISIONS`; empty for scenarios that belong to none of them.
        results: a folder for the files that the suite writes.
    """
    words = [peers.NODE, str(suite_script()), "client", "--command", command, "--suite", suite]
    words += ["--output-dir", str(results), "--timeout", str(CLIENT_LIMIT_MS)]
    words += ["--spec-version", revision] if revision else []
    ran = subprocess.run(
        words, cwd=peers.ROOT, capture_output=True, text=True, timeout=RUN_LIMIT_S, check=False
    )
    assert ran.returncode in {0, 1}, ran.stderr
    runs: dict[str, ClientRun] = {}
    for path in sorted(results.rglob("checks.json")):
        folder = path.parent
        said = [(folder / f"{pipe}.txt").read_text() for pipe in ("stdout", "stderr")]
        name = str(folder.relative_to(results))
        runs[_DATE.sub("", name)] = ClientRun(read_results(folder), *said)
    return runs


def read_results(results: Path, prefix: str = "") -> Outcome:
    """Return the outcome that the suite has written into a folder."""
    passed: set[Check] = set()
    others: dict[Check, str] = {}
    for path in sorted(results.rglob("checks.json")):
        name = _DATE.sub("", path.parent.name).removeprefix(prefix)
        numbers = Counter[str]()
        for row in json.loads(path.read_bytes()):
            numbers[row["name"]] += 1
            check = Check(name, row["id"], row["name"], numbers[row["name"]])
            if row["status"] == "SUCCESS":
                passed.add(check)
            else:
                others[check] = _words(row)
    return Outcome(frozenset(passed), others)


def _words(row: dict[str, object]) -> str:
    message = row.get("errorMessage") or row.get("description")
    return f"{row['status']}: {message} {json.dumps(row.get('details'))[:MOST_DETAILS]}"


# --- Its server ------------------------------------------------------------------------------


@contextmanager
def everything_server() -> Iterator[str]:
    """Run the everything-server over streamable HTTP; yields its URL."""
    port = free_port()
    python = peers.python_of(VENV)
    command = [python, "-m", "mcp_everything_server", "--port", str(port)]
    with real_servers.listening(command, "Uvicorn running on", env=server_environment()):
        yield f"http://127.0.0.1:{port}/mcp"


def server_environment() -> dict[str, str]:
    """Return the environment in which the everything-server finds its modules."""
    return dict(os.environ) | {"PYTHONPATH": str(peers.sdk_source(SERVER))}

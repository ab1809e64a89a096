"""The `protocol` of an instance: `auto` finds out what a server speaks, the others insist.

The side under test is the router as a client of servers. Each server's stdin is recorded in a file:
`tee` records it for servers of other makers.
"""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e import peers, probed_upstream, sdk_upstream_router
from tests.e2e.client_2026 import PREFIX, REVISION_2026
from tests.e2e.sdk_client import Target, call_text, listed_when, run
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EVERYTHING: Final = "@modelcontextprotocol/server-everything"

LEGACY: Final = "legacy"

PROBE: Final = "server/discover"
HANDSHAKE: Final = ["initialize", "notifications/initialized"]

ENDED: Final = r"{}: .*\(when asked whether it speaks 2026-07-28\); started again"
"""What the log says of a server that ended when it was asked."""


def _record(workspace: Workspace, name: str) -> Path:
    return workspace.path / f"{name}.said"


def _add(workspace: Workspace, name: str, *command: str, **entry: Any) -> None:
    """Add a server; `tee` records its stdin."""
    script = 'tee "$0" | "$@"'
    workspace.add_command(
        name, "sh", "-c", script, str(_record(workspace, name)), *command, **entry
    )


def _add_probed(workspace: Workspace, name: str, mode: str, protocol: str) -> None:
    script = [sys.executable, "-B", probed_upstream.__file__]
    record = str(_record(workspace, name))
    workspace.add_command(name, *script, mode, record, protocol=protocol)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One router in front of all of ours but the one that needs time to start."""
    workspace = Workspace(tmp_path_factory.mktemp("protocol"))
    _add(workspace, "sdk-legacy", *sdk_upstream_router.COMMAND, "stdio", protocol=LEGACY)
    _add(workspace, "sdk-2026", *sdk_upstream_router.COMMAND, "stdio", protocol=REVISION_2026)
    for mode in probed_upstream.MODES:
        _add_probed(workspace, mode, mode, "auto")
    _add_probed(workspace, "refuses-legacy", "refuses", LEGACY)
    _add_probed(workspace, "refuses-2026", "refuses", REVISION_2026)
    _add_probed(workspace, "dies-legacy", "dies", LEGACY)
    _add_probed(workspace, "2026-legacy", "2026", LEGACY)
    _add_probed(workspace, "2026-2026", "2026", REVISION_2026)
    with workspace.serve("http") as router:
        yield Target("http", workspace, router)


@contextmanager
def _router_before(workspace: Workspace) -> Iterator[Target]:
    """Run a router before a single server that is probed.

    With a dozen others that start at the same time, an SDK may take longer than 5 s to be imported.
    Then it is sent `initialize` as well, although its first answer decides.
    """
    with workspace.serve("http") as router:
        yield Target("http", workspace, router)


def _wait(target: Target, name: str, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Wait until the row of an instance is as wanted; return the row."""
    rows: list[dict[str, Any]] = []

    async def scenario() -> None:
        async with target.connect(mode=LEGACY) as client:
            rows.append(await listed_when(client, name, is_so))

    run(scenario)
    return rows[0]


def _is_ready(row: dict[str, Any]) -> bool:
    return row["state"] == "ready"


def _said(target: Target, name: str) -> list[str]:
    """Return the methods that a server received."""
    lines = _record(target.workspace, name).read_text().splitlines()
    told = [json.loads(line).get("method") if line[0] == "{" else line for line in lines]
    return [method for method in told if method is not None]  # the others are answers


# --- Finding out -----------------------------------------------------------------------------


def _check_known_by_its_answer(target: Target, name: str) -> None:
    assert _wait(target, name, _is_ready)["last_error"] is None
    said = [method for method in _said(target, name) if method != "initialize"]
    assert said[:2] == [PROBE, "tools/list"]
    assert "notifications/initialized" not in said


@pytest.mark.parametrize("name", ["2026", "sdk-2026", "2026-2026"])
def test_server_of_2026_is_known_by_its_answer(target: Target, name: str) -> None:
    _check_known_by_its_answer(target, name)


def test_sdk_server_that_speaks_2026_07_28_is_known_by_its_answer(workspace: Workspace) -> None:
    _add(workspace, "sdk", *sdk_upstream_router.COMMAND, "stdio")
    with _router_before(workspace) as target:
        _check_known_by_its_answer(target, "sdk")


@pytest.mark.parametrize("name", ["refuses", "ignores"])
def test_server_that_does_not_answer_well_is_greeted_on_the_same_wire(
    target: Target, name: str
) -> None:
    row = _wait(target, name, _is_ready)
    assert (row["restarts"], row["last_error"]) == (0, None)
    asked = [method for method in _said(target, name) if method != "notifications/cancelled"]
    assert asked[:4] == [PROBE, *HANDSHAKE, "tools/list"]


def test_server_that_dies_of_the_question_is_greeted_in_its_next_life(target: Target) -> None:
    row = _wait(target, "dies", _is_ready)
    assert (row["restarts"], row["last_error"]) == (0, None)
    assert _said(target, "dies") == [PROBE, *HANDSHAKE, "tools/list"]
    assert target.router is not None
    target.router.stderr.wait_for(ENDED.format("dies"))


def test_server_over_http_is_found_out_as_well(workspace: Workspace) -> None:
    async def scenario(target: Target) -> None:
        async with target.connect(mode=LEGACY) as client:
            meta = json.loads(await call_text(client, "sdk-http", "meta"))
            assert meta[f"{PREFIX}protocolVersion"] == REVISION_2026

    with sdk_upstream_router.listening() as url:
        workspace.add("sdk-http", type="http", url=url)
        with _router_before(workspace) as target:
            run(lambda: scenario(target))


def test_server_of_an_unknown_revision_fails_and_says_which(target: Target) -> None:
    row = _wait(target, "future", lambda row: row["last_error"] is not None)
    assert row["last_error"] == (
        f"speaks protocol revision {probed_upstream.FUTURE}, which is not spoken here"
    )
    assert "initialize" not in _said(target, "future")


# --- Insisting -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sdk-legacy", "refuses-legacy", "dies-legacy"])
def test_legacy_is_never_probed(target: Target, name: str) -> None:
    row = _wait(target, name, _is_ready)
    assert (row["restarts"], row["last_error"]) == (0, None)
    assert _said(target, name)[:3] == [*HANDSHAKE, "tools/list"]


def test_server_of_2026_set_to_legacy_fails_and_says_why(target: Target) -> None:
    row = _wait(target, "2026-legacy", lambda row: row["last_error"] is not None)
    assert row["last_error"].startswith("initialize was refused: ")
    assert set(_said(target, "2026-legacy")) == {"initialize"}


def test_handshake_server_set_to_2026_07_28_fails_and_says_the_way_out(target: Target) -> None:
    row = _wait(target, "refuses-2026", lambda row: row["last_error"] is not None)
    assert row["last_error"].startswith("server/discover was refused: Method not found")
    assert 'set "protocol" to "auto"' in row["last_error"]
    assert set(_said(target, "refuses-2026")) == {PROBE}


# --- Servers that others made ----------------------------------------------------------------


def test_python_server_that_speaks_2026_07_28_too_gets_no_handshake(workspace: Workspace) -> None:
    time = Path(peers.python_of("servers")).with_name("mcp-server-time")
    _add(workspace, "time", str(time), "--local-timezone", "UTC")
    with _router_before(workspace) as target:
        _check_known_by_its_answer(target, "time")


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One router in front of two servers that get a handshake, however late they answer."""
    workspace = Workspace(tmp_path_factory.mktemp("protocol-others"))
    _add(
        workspace, "everything", peers.NODE, peers.npm_script(EVERYTHING, "dist/index.js"), "stdio"
    )
    oldest = [peers.python_of("sdk-2024-11-05"), "-B", str(peers.SOURCES / "old_server.py")]
    workspace.add_command("oldest", *oldest, "stdio")  # a pipe would hide its end
    with workspace.serve("http") as router:
        yield Target("http", workspace, router)


def test_npm_server_that_only_has_a_handshake_gets_one(others: Target) -> None:
    assert _wait(others, "everything", _is_ready)["restarts"] == 0
    assert _said(others, "everything")[:4] == [PROBE, *HANDSHAKE, "tools/list"]


def test_oldest_sdk_dies_of_the_question_and_is_ready_in_its_next_life(others: Target) -> None:
    async def scenario() -> None:
        async with others.connect(mode=LEGACY) as client:
            assert await call_text(client, "oldest", "greet", name="Zo\u00eb") == "Hello, Zo\u00eb!"

    assert _wait(others, "oldest", _is_ready)["restarts"] == 0
    assert others.router is not None
    others.router.stderr.wait_for(ENDED.format("oldest"))
    run(scenario)

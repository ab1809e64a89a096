"""The `protocol` of an instance: `auto` finds out what a server speaks, the others insist.

What was said to each server stands in a file of its own: `tee` writes it for those of others.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e import dual, eras, peers, picky_upstream
from tests.e2e.clients import Target, call_text, listed_when, run
from tests.e2e.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EVERYTHING: Final = "@modelcontextprotocol/server-everything"

LEGACY: Final = "legacy"
STATELESS: Final = "2026-07-28"

PROBE: Final = "server/discover"
HANDSHAKE: Final = ["initialize", "notifications/initialized"]

ENDED: Final = r"{}: .*\(when asked whether it speaks 2026-07-28\); started again"
"""What the log says of a server that ended when it was asked."""


def _record(site: Site, name: str) -> Path:
    return site.folder / f"{name}.said"


def _add(site: Site, name: str, *command: str, **entry: Any) -> None:
    """Add a server that has a copy of all that it is told written down."""
    script = 'tee "$0" | "$@"'
    site.add_command(name, "sh", "-c", script, str(_record(site, name)), *command, **entry)


def _add_picky(site: Site, name: str, mode: str, protocol: str) -> None:
    script = [sys.executable, "-B", picky_upstream.__file__]
    record = str(_record(site, name))
    site.add_command(name, *script, mode, record, protocol=protocol)


def _write(site: Site, url: str) -> None:
    _add(site, "dual", *dual.COMMAND, "stdio")
    site.add("dual-http", type="http", url=url)
    _add(site, "dual-legacy", *dual.COMMAND, "stdio", protocol=LEGACY)
    _add(site, "dual-stateless", *dual.COMMAND, "stdio", protocol=STATELESS)
    for mode in picky_upstream.MODES:
        _add_picky(site, mode, mode, "auto")
    _add_picky(site, "refuses-legacy", "refuses", LEGACY)
    _add_picky(site, "refuses-stateless", "refuses", STATELESS)
    _add_picky(site, "dies-legacy", "dies", LEGACY)
    _add_picky(site, "stateless-legacy", "stateless", LEGACY)
    _add_picky(site, "stateless-stateless", "stateless", STATELESS)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One router in front of all of ours."""
    site = Site(tmp_path_factory.mktemp("protocol"))
    with dual.listening() as url:
        _write(site, url)
        with site.serve("http") as router:
            yield Target("http", site, router)


def _wait(target: Target, name: str, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """What `mcp.router.list` says of an instance once it is as wanted."""
    rows: list[dict[str, Any]] = []

    async def scenario() -> None:
        async with target.connect(mode=LEGACY) as client:
            rows.append(await listed_when(client, name, is_so))

    run(scenario)
    return rows[0]


def _is_ready(row: dict[str, Any]) -> bool:
    return row["state"] == "ready"


def _said(target: Target, name: str) -> list[str]:
    """The methods that a server was told."""
    lines = _record(target.site, name).read_text().splitlines()
    told = [json.loads(line).get("method") if line[0] == "{" else line for line in lines]
    return [method for method in told if method is not None]  # the others are answers


# --- Finding out -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dual", "stateless", "dual-stateless", "stateless-stateless"])
def test_server_without_sessions_is_known_by_its_answer(target: Target, name: str) -> None:
    assert _wait(target, name, _is_ready)["last_error"] is None
    assert _said(target, name)[:2] == [PROBE, "tools/list"]
    assert "initialize" not in _said(target, name)


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


def test_server_over_http_is_found_out_as_well(target: Target) -> None:
    async def scenario() -> None:
        async with target.connect(mode=LEGACY) as client:
            meta = json.loads(await call_text(client, "dual-http", "meta"))
            assert meta[f"{eras.PREFIX}protocolVersion"] == STATELESS

    run(scenario)


def test_server_of_an_unknown_revision_fails_and_says_which(target: Target) -> None:
    row = _wait(target, "future", lambda row: row["last_error"] is not None)
    assert row["last_error"] == (
        f"speaks protocol revision {picky_upstream.FUTURE}, which is not spoken here"
    )
    assert "initialize" not in _said(target, "future")


# --- Insisting -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dual-legacy", "refuses-legacy", "dies-legacy"])
def test_legacy_is_never_asked_for_its_era(target: Target, name: str) -> None:
    row = _wait(target, name, _is_ready)
    assert (row["restarts"], row["last_error"]) == (0, None)
    assert _said(target, name)[:3] == [*HANDSHAKE, "tools/list"]


def test_server_without_sessions_set_to_legacy_fails_and_says_why(target: Target) -> None:
    row = _wait(target, "stateless-legacy", lambda row: row["last_error"] is not None)
    assert row["last_error"].startswith("initialize was refused: ")
    assert set(_said(target, "stateless-legacy")) == {"initialize"}


def test_server_with_sessions_set_to_2026_07_28_fails_and_says_the_way_out(target: Target) -> None:
    row = _wait(target, "refuses-stateless", lambda row: row["last_error"] is not None)
    assert row["last_error"].startswith("server/discover was refused: Method not found")
    assert 'set "protocol" to "auto"' in row["last_error"]
    assert set(_said(target, "refuses-stateless")) == {PROBE}


# --- Servers that others made ----------------------------------------------------------------


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One router in front of those."""
    site = Site(tmp_path_factory.mktemp("protocol-others"))
    npm = peers.npm_script(EVERYTHING, "dist/index.js")
    time = Path(peers.python_of("servers")).with_name("mcp-server-time")
    oldest = [peers.python_of("sdk-2024-11-05"), "-B", str(peers.SOURCES / "old_server.py")]
    _add(site, "everything", peers.NODE, npm, "stdio")
    _add(site, "time", str(time), "--local-timezone", "UTC")
    site.add_command("oldest", *oldest, "stdio")  # a pipe would hide its end
    with site.serve("http") as router:
        yield Target("http", site, router)


def test_server_that_speaks_both_eras_has_no_session(others: Target) -> None:
    assert _wait(others, "time", _is_ready)["last_error"] is None
    assert _said(others, "time")[:2] == [PROBE, "tools/list"]


def test_server_that_only_shakes_hands_has_a_session(others: Target) -> None:
    assert _wait(others, "everything", _is_ready)["restarts"] == 0
    assert _said(others, "everything")[:4] == [PROBE, *HANDSHAKE, "tools/list"]


def test_oldest_sdk_dies_of_the_question_and_is_ready_in_its_next_life(others: Target) -> None:
    assert _wait(others, "oldest", _is_ready)["restarts"] == 0
    assert others.router is not None
    others.router.stderr.wait_for(ENDED.format("oldest"))

    async def scenario() -> None:
        async with others.connect(mode=LEGACY) as client:
            assert await call_text(client, "oldest", "greet", name="Zo\u00eb") == "Hello, Zo\u00eb!"

    run(scenario)

"""Any client with any server: every feature, at every revision, over every transport.

`docs/matrix.md` has the tables; `scenario.py` in `tests/peers/matrix` has the features.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import ExitStack
from http.client import HTTPException
from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e import matrix, measured_pages
from tests.e2e.matrix import CLIENT_LACKS, FEATURES, OK, PAIRS, PEERS, REVISIONS, SERVER_LACKS
from tests.e2e.processes import running_with, still_running
from tests.e2e.raw_client import HttpClient, StdioRouter

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.e2e.matrix import Matrix

pytestmark = pytest.mark.timeout(600)
"""The whole matrix is measured in the first test, and takes longer where much of it fails."""

COMMAND: Final = "WRITE_DOCS=1 .venv/bin/python -m pytest tests/e2e/test_matrix.py"

CELLS: Final = {OK: "✓", CLIENT_LACKS: "client", SERVER_LACKS: "server"}
"""What the tables say of an outcome; a revision that lacks a feature is named by its side."""

END_LIMIT_S: Final = 15.0
"""For processes that are to end by themselves."""


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Matrix:
    folder = tmp_path_factory.mktemp("matrix")
    measured = matrix.measure(folder)
    assert not still_running(running_with(str(folder)), limit_s=END_LIMIT_S)
    return measured


@pytest.mark.parametrize("peer", PEERS)
def test_every_feature_works_without_a_router(peer: str, measured: Matrix) -> None:
    """Or else the matrix says nothing of the router."""
    assert measured.direct[peer] == matrix.expected(peer, peer)


@pytest.mark.parametrize(("client", "server"), PAIRS)
def test_every_feature_works_that_both_revisions_have(
    client: str, server: str, measured: Matrix
) -> None:
    assert measured.routed[client, server] == matrix.expected(client, server)


# --- Faults of the oldest SDKs -----------------------------------------------------------------

AS_IS: Final = {"SDK_AS_IS": "1"}
"""Has a server keep the faults that are mended for the matrix, as the page says."""

MOST_PINGS: Final = 1000
"""That a session answers after the other one has ended: the fault needs a moment to spread."""


@pytest.mark.parametrize("revision", ["2024-11-05", "2025-03-26"])
def test_a_cancelled_call_ends_a_server_of_the_oldest_sdks(revision: str) -> None:
    """The answer to the cancelled call is lost if the answer before it is still being written."""
    (_, *command) = matrix.stdio_address(revision)
    with StdioRouter(command, env=os.environ | AS_IS, stderr=subprocess.DEVNULL) as server:
        server.initialize()
        wait = {"name": "wait", "arguments": {"label": "a"}}
        server.send(id="wait", method="tools/call", params=wait)
        server.request("tools/call", name="await_begun", arguments={"label": "a"})
        server.send(method="notifications/cancelled", params={"requestId": "wait"})
        while server.read().get("method") != "notifications/session_ended":
            pass
        server.send(id="ping", method="ping")
        assert server.popen.wait(END_LIMIT_S) != 0


def test_the_end_of_one_session_ends_all_others_of_sdk_1_9() -> None:
    with ExitStack() as stack:
        _, url = matrix.listening("2025-03-26", stack, **AS_IS)
        leaving, staying = HttpClient(f"{url}/"), HttpClient(f"{url}/")
        for client in (leaving, staying):
            stack.callback(client.close)
            client.initialize()
        assert _is_served(staying)
        assert leaving.delete() == 200
        assert not all(_is_served(staying) for _ in range(MOST_PINGS))


def _is_served(client: HttpClient) -> bool:
    try:
        return client.post({"id": "ping", "method": "ping"})[0] == 200
    except (OSError, HTTPException):
        return False


# --- The page ----------------------------------------------------------------------------------


def test_page_says_what_works(measured: Matrix) -> None:
    routed = [
        [client, server, *_cells(_outcomes(measured, client, server))]
        for client in REVISIONS
        for server in REVISIONS
    ]
    _keep("routed", ["Client", "Server", *FEATURES], routed)


def test_page_says_what_works_without_a_router(measured: Matrix) -> None:
    direct = [
        [each, *_cells({peer: measured.direct[peer] for peer in _peers_of(each)})]
        for each in REVISIONS
    ]
    _keep("direct", ["Both", *FEATURES], direct)


def _keep(name: str, header: list[str], rows: Iterable[list[str]]) -> None:
    measured_pages.keep("matrix.md", name, measured_pages.table(header, rows), COMMAND)


def _peers_of(revision: str) -> list[str]:
    return [peer for peer in PEERS if matrix.revision_of(peer) == revision]


def _outcomes(measured: Matrix, client: str, server: str) -> dict[str, dict[str, str]]:
    """Return the outcomes over all transports between two revisions."""
    return {
        f"{one} to {other}": outcomes
        for (one, other), outcomes in measured.routed.items()
        if (matrix.revision_of(one), matrix.revision_of(other)) == (client, server)
    }


def _cells(outcomes: dict[str, dict[str, str]]) -> list[str]:
    return [_cell({way: each[feature] for way, each in outcomes.items()}) for feature in FEATURES]


def _cell(outcomes: dict[str, str]) -> str:
    """Return one outcome for all ways, or else those ways that failed."""
    if len(kinds := set(outcomes.values())) == 1 and (kind := kinds.pop()) in CELLS:
        return CELLS[kind]
    return ", ".join(f"not {way}" for way, outcome in outcomes.items() if outcome != OK)

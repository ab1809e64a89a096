"""How a router with several servers starts, and what its log says of those that do not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.e2e.fault_site import Site, text_of
from tests.e2e.raw_client import HttpClient

if TYPE_CHECKING:
    from tests.e2e.workspace import Workspace

SAID_LIMIT_S = 90.0
"""For a line that is due some seconds after the start, on a busy machine."""


def test_log_says_once_that_all_servers_are_up(workspace: Workspace) -> None:
    for name in ("one", "two", "three"):
        workspace.add_chaos(name)
    with workspace.serve("http") as router:
        router.stderr.wait_for("All 3 instances are up", SAID_LIMIT_S)
        text = router.stderr.text
    assert len(re.findall("instances are up", text)) == 1


def test_log_names_those_that_are_not_up_and_what_became_of_them(workspace: Workspace) -> None:
    workspace.add_chaos("good").add_chaos("broken", "exit").add_chaos("mute", "silent")
    with workspace.serve("http") as router:
        line = router.stderr.wait_for(r"instances are up; not up: .*", SAID_LIMIT_S)
        assert re.search(r"1 of 3 instances are up; not up: ", line.string)
        assert re.search(r"\bbroken \((failed|down)\)", line[0])
        assert "mute (starting)" in line[0]


@pytest.mark.fault(3, "exits three times alike before it was ready", "`failed` with the reason")
def test_server_that_exits_three_times_alike_before_it_was_ready_has_failed(
    workspace: Workspace,
) -> None:
    workspace.add_chaos("good").add_chaos("broken", "exit")
    with workspace.serve("http") as router:
        failed = router.stderr.wait_for(r"broken failed \((.*)\); next probe in (\d+) s")
        client = HttpClient(router.url("/mcp"))
        client.initialize()
        listed = client.call(1, "good", "echo", text="still served")
        assert "still served" in str(listed)
        client.close()
    assert 10 <= int(failed[2]) <= 15
    tries = re.findall(r"broken is down", router.stderr.text)
    assert len(tries) == 2


def test_start_that_is_cut_off_gets_twice_the_time_at_the_next_try(workspace: Workspace) -> None:
    workspace.add_command("slow", "sleep", "1000", start_timeout_s=0.5)
    with workspace.serve("http") as router:
        for limit_s in ("0.5", "1", "2"):
            router.stderr.wait_for(rf"slow .*not started within {re.escape(limit_s)} s")


def test_server_that_waits_for_its_turn_says_so(workspace: Workspace) -> None:
    workspace.configure(mcp_client={"max_starting": 1, "timeout": 1})
    workspace.add_command("first", "sleep", "1000").add_command("second", "sleep", "1000")
    with workspace.serve("http") as router:
        site = Site(workspace, router)
        rows = [site.state(name) for name in ("first", "second")]
        assert [row["state"] for row in rows] == ["starting"] * 2
        (waiting,) = [row for row in rows if "doing" in row]
        assert waiting["doing"] == "waits for its turn to start"
        with site.client() as client:
            result = client.call(1, waiting["name"], "echo")
    assert "starting: waits for its turn to start" in text_of(result)

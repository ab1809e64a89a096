"""Instances of the running router that are down."""

from __future__ import annotations

from pathlib import Path

from router.doctor.facts import InstanceState, Process, Running
from router.doctor.rules.instances import judge
from tests.router.doctor.made_facts import facts, lines


def test_instances_that_are_down_say_why_and_others_are_no_finding() -> None:
    states = (
        InstanceState("a", "ready"),
        InstanceState("b", "failed", "command not found: 'npx'", 30.0),
        InstanceState("c", "degraded", "refused 5 calls"),
        InstanceState("d", "idle"),
        InstanceState("e", "starting"),
        InstanceState("f", "disabled"),
        InstanceState("g", "needs_login", "who are you?"),
        InstanceState("h", "needs_login", "nobody is logged in; run: mcp-router login h"),
        InstanceState("i", "needs_login", "no token; then: mcp-router restart i"),
    )
    assert lines(judge, facts(running=Running("u", "2.0.0", states))) == [
        "error b: has failed: command not found: 'npx' -> mend what the reason says, then: "
        "mcp-router restart b (the router tries again by itself)",
        "warning c: is degraded: refused 5 calls -> mend what the reason says, then: mcp-router "
        "restart c",
        "note e: is starting -> wait for it: mcp-router status",
        "warning g: needs a login: who are you? -> mcp-router login g",
        "warning h: needs a login: nobody is logged in -> mcp-router login h",
        "warning i: needs a login: no token -> then: mcp-router restart i",
    ]


def test_tools_that_are_not_as_they_were_approved_are_named() -> None:
    states = (
        InstanceState("a", "ready", unapproved=("send\n", "read")),
        InstanceState("b", "idle", unapproved=tuple("abcdefg")),
    )
    assert lines(judge, facts(running=Running("u", "2.0.0", states))) == [
        "warning a: offers tools that are not as they were approved: send\\n, read -> look at them "
        "and approve them: mcp-router tools approve a",
        "warning b: offers tools that are not as they were approved: a, b, c, d, e and 2 more -> "
        "look at them and approve them: mcp-router tools approve b",
    ]


def test_router_that_does_not_answer_is_a_note() -> None:
    silent = Running(problem="http://x: no answer (refused). Is the router running?")
    not_there = (
        "note the router: does not run, so its instances were not looked at -> start it: "
        "mcp-router serve --transport http"
    )
    assert lines(judge, facts(running=silent)) == [not_there]
    other = Process(7, config=Path("/other/config.json"))
    assert lines(judge, facts(running=silent, processes=(other,))) == [not_there]
    assert lines(judge, facts(running=silent, processes=(Process(7),))) == [
        "note the running router: did not say how its instances are: http://x: no answer (refused) "
        "-> Is the router running?"
    ]


def test_instance_whose_file_has_the_problem_is_not_told_twice() -> None:
    problem = "data/a/mcp_settings.json: env.K: ${secret:X}: there is no secret X"
    running = Running("u", "2.0.0", (InstanceState("a", "failed", problem),))
    assert lines(judge, facts(running=running, problems=(problem,))) == []

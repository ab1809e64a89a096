"""Lines on stderr that older servers say because they were asked `server/discover`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from transports.connect.stdio.probe_echo import ECHO_S, HELD_LINES, ProbeEcho

if TYPE_CHECKING:
    from collections.abc import Iterable


def probing() -> ProbeEcho:
    probe = ProbeEcho()
    probe.begin()
    return probe


def sort(probe: ProbeEcho, lines: Iterable[str], now_s: float = 0.0) -> list[tuple[str, bool]]:
    """Return the lines that come out, each with whether it is an echo."""
    return [(one.line, one.is_echo) for line in lines for one in probe.sort(line, now_s)]


def test_without_a_probe_nothing_is_an_echo() -> None:
    assert sort(ProbeEcho(), ["unknown method: x"]) == [("unknown method: x", False)]


@pytest.mark.parametrize(
    "complaint",
    [
        "Failed to validate request: 24 validation errors for ClientRequest",
        "WARNING:root:Failed to validate request: 31 validation errors for ClientRequest",
        "RuntimeError: Received request before initialization was complete",
        "Error: Unknown method: server/discover",
        "MCP error -32601: Method not found",
    ],
)
def test_a_complaint_is_an_echo_to_its_end(complaint: str) -> None:
    lines = ["PingRequest.method", "  Input should be 'ping'", "CompleteRequest.params.ref"]
    assert sort(probing(), ["running", complaint, *lines, "at work", *lines, "x"]) == [
        ("running", False),
        (complaint, True),
        *[(line, True) for line in lines],
        ("at work", False),
        *[(line, False) for line in lines],
        ("x", False),
    ]


def test_the_traceback_before_the_complaint_is_an_echo_too() -> None:
    lines = [
        "running",
        "  + Exception Group Traceback (most recent call last):",
        '  |   File "server.py", line 1, in <module>',
        "  | ValidationError: 24 validation errors for ClientRequest",
    ]
    assert sort(probing(), lines) == [("running", False), *[(line, True) for line in lines[1:]]]


def test_the_traceback_of_the_complaint_is_an_echo_without_borders_too() -> None:
    lines = ["Traceback (most recent call last):", "  File x", "McpError: Method not found"]
    assert sort(probing(), lines) == [(line, True) for line in lines]


def test_a_warning_before_the_complaint_is_none() -> None:
    lines = ["x.py:51: UserWarning: y", "  warnings.warn(", "Failed to validate request: z"]
    assert sort(probing(), lines) == [
        (line, is_echo) for line, is_echo in zip(lines, [False, False, True], strict=True)
    ]


def test_a_traceback_about_something_else_is_none() -> None:
    lines = ["Traceback (most recent call last):", "  File x", "KeyError: 'API_KEY'", "bye"]
    assert sort(probing(), lines) == [(line, False) for line in lines]


def test_a_long_block_does_not_wait_for_ever() -> None:
    lines = [f"  {n}" for n in range(HELD_LINES + 1)]
    assert sort(probing(), lines) == [(line, False) for line in lines]


def test_a_complaint_may_come_a_moment_after_the_answer() -> None:
    probe = probing()
    probe.end(10.0)
    assert not probe.is_over(10.0)
    assert sort(probe, ["method not found"], 10.0) == [("method not found", True)]
    assert probe.is_over(10.0 + ECHO_S)
    assert sort(probe, ["method not found"], 10.0 + ECHO_S) == [("method not found", False)]


def test_that_it_is_over_is_noted_once() -> None:
    probe = probing()
    probe.end(10.0)
    probe.end(60.0)
    assert probe.is_over(20.0)


def test_what_is_held_is_released_in_order() -> None:
    probe = probing()
    assert sort(probe, ["  one", "  two"]) == []
    assert probe.holds_lines
    probe.end(0.0)
    assert sort(probe, ["three"], 60.0) == [("  one", False), ("  two", False), ("three", False)]
    assert not probe.holds_lines

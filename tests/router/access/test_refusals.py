"""Refused requests are reported: the first at once, the others with their number."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from router.access.refusals import MAX_KINDS, NO_TOKEN, OTHERS, QUIET_S, Refusals
from router.messages.errors import HttpRefusal
from router.messages.observability.records import RefusalRecord

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

WRONG = HttpRefusal(401, "Invalid bearer token")
MISSING = HttpRefusal(401, NO_TOKEN)
A, B = "10.0.0.5", "10.0.0.6"


class Reported:
    """Refusals with the lines and records that come of them."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self.records: list[RefusalRecord] = []
        self.refusals = Refusals(self.records.append)
        self._caplog = caplog

    @property
    def lines(self) -> list[str]:
        return [record.getMessage() for record in self._caplog.records]

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.refusals.run)
            yield
            nursery.cancel_scope.cancel()


@pytest.fixture
def reported(caplog: pytest.LogCaptureFixture) -> Reported:
    caplog.set_level(logging.INFO, "mcp_router.access")
    return Reported(caplog)


async def test_first_refusal_is_reported_at_once_and_the_others_with_their_number(
    reported: Reported, autojump_clock: trio.abc.Clock
) -> None:
    async with reported.running():
        for _ in range(1000):
            reported.refusals.note(A, "/mcp", WRONG)
        assert reported.lines == [f"Refused {A} (/mcp): 401 Invalid bearer token"]
        await trio.sleep(QUIET_S + 1)
        assert reported.lines[1:] == [
            f"Refused {A} 999 times more, 1,000 in all (/mcp): 401 Invalid bearer token"
        ]
    assert [one.count for one in reported.records] == [1, 999]


async def test_each_minute_of_a_long_series_is_one_line_with_the_total(
    reported: Reported, autojump_clock: trio.abc.Clock
) -> None:
    async with reported.running():
        reported.refusals.note(A, "/mcp", WRONG)
        await trio.sleep(QUIET_S / 120)
        for _ in range(179):
            reported.refusals.note(A, "/mcp", WRONG)
            await trio.sleep(QUIET_S / 60)
    assert [one.count for one in reported.records] == [1, 60, 60, 59]
    assert "180 in all" in reported.lines[-1]


async def test_after_a_quiet_time_the_next_one_is_the_first_again(
    reported: Reported, autojump_clock: trio.abc.Clock
) -> None:
    async with reported.running():
        reported.refusals.note(A, "/mcp", WRONG)
        await trio.sleep(QUIET_S + 1)
        reported.refusals.note(A, "/mcp", WRONG)
        assert len(reported.lines) == 2
        assert reported.lines[0] == reported.lines[1]


async def test_what_is_not_told_yet_is_told_when_the_router_stops(reported: Reported) -> None:
    async with reported.running():
        reported.refusals.note(A, "/mcp", WRONG)
        reported.refusals.note(A, "/sse", WRONG)
    assert reported.records == [
        RefusalRecord(A, 401, "/mcp", WRONG.detail),
        RefusalRecord(A, 401, "/sse", WRONG.detail),
    ]


async def test_addresses_and_reasons_are_counted_apart(reported: Reported) -> None:
    reported.refusals.note(A, "/mcp", WRONG)
    reported.refusals.note(B, "/mcp", WRONG)
    reported.refusals.note(A, "/mcp", MISSING)
    assert len(reported.lines) == 3


async def test_request_without_a_token_is_no_warning(
    reported: Reported, caplog: pytest.LogCaptureFixture
) -> None:
    reported.refusals.note(A, "/mcp", MISSING)
    reported.refusals.note(A, "/mcp", WRONG)
    assert [one.levelno for one in caplog.records] == [logging.INFO, logging.WARNING]


async def test_however_many_addresses_are_refused_the_reports_are_bounded(
    reported: Reported, autojump_clock: trio.abc.Clock
) -> None:
    async with reported.running():
        for number in range(10 * MAX_KINDS):
            reported.refusals.note(f"2001:db8:{number:x}::", "/mcp", WRONG)
        assert len(reported.lines) == MAX_KINDS + 1
        assert OTHERS in reported.lines[-1]
        await trio.sleep(QUIET_S + 1)
        assert reported.records[-1].count == 9 * MAX_KINDS - 1
        assert len(reported.lines) == MAX_KINDS + 2


async def test_long_path_is_cut(reported: Reported) -> None:
    reported.refusals.note(A, "/" + "x" * 10_000, WRONG)
    assert len(reported.lines[0]) < 300

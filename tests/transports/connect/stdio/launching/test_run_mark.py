"""The mark of a run, and when a run is certainly over."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest
from msgspec.structs import replace

from transports.connect.stdio.launching.run_mark import (
    Mark,
    ProcessStatus,
    Run,
    is_over,
    mark_in,
    this_run,
)

if TYPE_CHECKING:
    from pathlib import Path

OURS: Final = Run("4b0e-1f", 4026531836, 1000, 7, 50, 900)
DEAD: Final = Run("4b0e-1f", 4026531836, 1000, 7, 40, 700)
MARK: Final = Mark(OURS, 3)

STAT: Final = b"40 (a ) R (x) S 7 40 40 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 700 999 1 2 3\n"


def test_a_mark_is_read_as_it_was_written() -> None:
    assert MARK.text == "4b0e-1f:4026531836:1000:7:50:900:3"
    assert Mark.parse(MARK.text) == MARK


@pytest.mark.parametrize(
    "mark",
    [
        "",
        "mine",
        "4b0e:1:1000:7:50:900",
        "4b0e:1:1000:7:50:900:3:1",
        "4b0e:1:1000:7:-1:900:3",
        "4b0e:1:1000:7:0:900:3",
        "4b0e:1:1000:7:9999999999:900:3",
        "4b0e:1:1000:7:50:900:3\n",
        "4b0e:1:1000:7:\N{ARABIC-INDIC DIGIT FIVE}:900:3",
        ":1:1000:7:50:900:3",
    ],
)
def test_what_is_no_mark_means_nothing(mark: str) -> None:
    assert Mark.parse(mark) is None


@pytest.mark.parametrize(
    ("environ", "mark"),
    [
        (b"", None),
        (b"A=1\0B=2\0", None),
        (f"A=1\0MCP_ROUTER_RUN={MARK.text}\0B=2\0".encode(), MARK),
        (f"MCP_ROUTER_RUN={MARK.text}".encode(), MARK),
        (f"X=MCP_ROUTER_RUN={MARK.text}\0".encode(), None),
        (f"XMCP_ROUTER_RUN={MARK.text}\0".encode(), None),
        (b"MCP_ROUTER_RUN=\xff\0", None),
        (b"MCP_ROUTER_RUN\0", None),
    ],
)
def test_the_mark_is_found_in_an_environment(environ: bytes, mark: Mark | None) -> None:
    assert mark_in(environ) == mark


def test_the_status_is_read_whatever_the_name_of_the_program() -> None:
    assert ProcessStatus.parse(STAT) == ProcessStatus(False, 7, 700)
    assert ProcessStatus.parse(STAT.replace(b") S", b") Z")).has_ended


def _is_over(run: Run, status: ProcessStatus | None, *, is_there: bool) -> bool:
    def status_of(pid: int) -> ProcessStatus | None:
        assert pid == run.pid
        return status

    return is_over(run, OURS, lambda _: is_there, status_of)


def test_a_run_is_over_when_nobody_has_its_process_id() -> None:
    assert _is_over(DEAD, None, is_there=False)


def test_a_run_is_over_when_another_process_has_its_process_id() -> None:
    assert _is_over(DEAD, ProcessStatus(False, 1, 701), is_there=True)


def test_a_run_is_over_when_its_process_waits_for_its_parent_alone() -> None:
    assert _is_over(DEAD, ProcessStatus(True, 1, 700), is_there=True)


def test_a_run_goes_on_as_long_as_its_process() -> None:
    assert not _is_over(DEAD, ProcessStatus(False, 1, 700), is_there=True)


def test_a_run_whose_process_is_hidden_may_go_on() -> None:
    assert not _is_over(DEAD, None, is_there=True)


@pytest.mark.parametrize("other", [{"boot": "9"}, {"namespace": 1}, {"user": 0}, {"data": 8}])
def test_nothing_is_certain_of_runs_elsewhere(other: dict[str, Any]) -> None:
    assert not _is_over(replace(DEAD, **other), None, is_there=False)


def test_the_run_of_this_process_is_the_same_each_time(tmp_path: Path) -> None:
    run = this_run(tmp_path)
    if run is None:
        pytest.skip("the system does not tell")
    assert (run.pid, run.user) == (os.getpid(), os.geteuid())
    assert this_run(tmp_path) == run
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    assert this_run(link) == run
    other = this_run(tmp_path / "other")
    assert other is not None
    assert not other.is_comparable(run)


def test_there_is_no_mark_on_other_systems(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert this_run(tmp_path) is None


def test_there_is_no_mark_where_the_system_does_not_tell(tmp_path: Path) -> None:
    assert this_run(tmp_path, tmp_path) is None

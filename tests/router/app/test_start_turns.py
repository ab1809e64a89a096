"""The start slots of the sessions, and the measuring of the CPUs."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from router.app.start_turns import CpuLoad, start_slots
from supervisors.start_limits import AdaptiveLimit, FixedLimit

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def two_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2}, raising=False)


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The load average of the last minute, which a test may change."""
    load = [0.0]
    monkeypatch.setattr(os, "getloadavg", lambda: (load[0], 0.0, 0.0))
    return load


def _write(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def _write_stat(root: Path, **ticks: str) -> None:
    lines = [f"{name} {figures}\n" for name, figures in ticks.items()]
    _write(root, "proc/stat", "cpu  1 1 1 1 1 1 1 1 1 1\n" + "".join(lines) + "ctxt 7\n")


# --- The slots -------------------------------------------------------------------------------


def test_a_number_is_a_limit_that_never_changes() -> None:
    slots = start_slots(3)
    assert slots.limit == FixedLimit(3)


def test_auto_follows_how_busy_the_cpus_are() -> None:
    limit = start_slots("auto").limit
    assert isinstance(limit, AdaptiveLimit)
    assert limit.cores == 2
    assert limit.size(time.monotonic()) == 4


@pytest.mark.parametrize("max_starting", [3, "auto"])
def test_restarts_are_limited_in_any_case(max_starting: int | str) -> None:
    assert start_slots(max_starting).restart_rate is not None


# --- /proc/stat ------------------------------------------------------------------------------


def test_time_that_was_neither_idle_nor_waiting_for_a_disk_was_busy(tmp_path: Path) -> None:
    _write_stat(tmp_path, cpu0="10 0 10 70 10 0 0 0 0 0", cpu2="0 0 0 100 0 0 0 0 0 0")
    load = CpuLoad(tmp_path)
    assert load.measure_busy() is None
    # 200 ticks more: 10 each of user, nice, system, irq, softirq and steal.
    _write_stat(tmp_path, cpu0="20 10 20 90 30 10 10 10 5 5", cpu2="0 0 0 200 0 0 0 0 0 0")
    assert load.measure_busy() == pytest.approx(60 / 200)


def test_only_the_cpus_that_it_may_run_on_count(tmp_path: Path) -> None:
    _write_stat(tmp_path, cpu0="0 0 0 0 0 0 0 0", cpu1="0 0 0 0 0 0 0 0", cpu2="0 0 0 0 0 0 0 0")
    load = CpuLoad(tmp_path)
    load.measure_busy()
    _write_stat(tmp_path, cpu0="9 0 0 0 0 0 0 0", cpu1="0 0 0 99 0 0 0 0", cpu2="9 0 0 0 0 0 0 0")
    assert load.measure_busy() == 1


def test_no_time_between_two_measurements_says_nothing(tmp_path: Path) -> None:
    _write_stat(tmp_path, cpu0="1 1 1 1 1 1 1 1")
    load = CpuLoad(tmp_path)
    load.measure_busy()
    assert load.measure_busy() is None


@pytest.mark.skipif(not os.path.exists("/proc/stat"), reason="Linux")
def test_this_machine_can_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    load = CpuLoad()
    assert 1 <= load.cores <= len(os.sched_getaffinity(0))
    assert load.measure_busy() is None
    busy_until_s = time.monotonic() + 0.1
    while time.monotonic() < busy_until_s:
        pass
    busy = load.measure_busy()
    assert busy is not None
    assert 0 < busy <= 1


# --- The quota of a control group ------------------------------------------------------------


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000", 2), ("50000 100000", 1), ("150000 100000", 2), ("900000 100000", 2)],
)
def test_a_quota_counts_as_so_many_cpus(tmp_path: Path, quota: str, cores: int) -> None:
    _write(tmp_path, "sys/fs/cgroup/cpu.max", quota)
    assert CpuLoad(tmp_path).cores == cores


def test_a_used_up_quota_is_busy_on_an_idle_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    _write(tmp_path, "sys/fs/cgroup/cpu.max", "50000 100000\n")
    _write(tmp_path, "sys/fs/cgroup/cpu.stat", "usage_usec 7000000\nuser_usec 1\n")
    _write_stat(tmp_path, cpu0="0 0 0 0 0 0 0 0")
    load = CpuLoad(tmp_path)
    assert load.measure_busy() is None
    now_s += 1
    _write(tmp_path, "sys/fs/cgroup/cpu.stat", "usage_usec 7400000\nuser_usec 1\n")
    _write_stat(tmp_path, cpu0="10 0 0 90 0 0 0 0")
    assert load.measure_busy() == pytest.approx(0.8)


# --- Where there is neither ------------------------------------------------------------------


@pytest.mark.parametrize(("average", "busy"), [(0.1, None), (2.0, None), (2.1, 1.0)])
def test_load_average_says_only_that_the_machine_is_busy(
    tmp_path: Path, load: list[float], average: float, busy: float | None
) -> None:
    load[0] = average
    assert CpuLoad(tmp_path).measure_busy() == busy


@pytest.mark.parametrize(
    ("path", "text"),
    [("proc/stat", "cpu0 a b c\n"), ("sys/fs/cgroup/cpu.max", "much\n")],
)
def test_files_that_are_not_understood_say_nothing(
    tmp_path: Path, load: list[float], path: str, text: str
) -> None:
    _write(tmp_path, path, text)
    measured = CpuLoad(tmp_path)
    assert (measured.cores, measured.measure_busy()) == (2, None)


def test_system_without_a_load_average_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise OSError

    monkeypatch.setattr(os, "getloadavg", fail)
    assert CpuLoad(tmp_path).measure_busy() is None


def test_system_without_affinities_counts_all_cpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert CpuLoad(tmp_path).cores == 3

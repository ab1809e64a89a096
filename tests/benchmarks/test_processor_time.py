"""The processor time of a process and its children."""

from __future__ import annotations

import os
import sys
import threading
import time

import pytest

from benchmarks.native.native import Load
from benchmarks.processor_time import processor_time_s, with_cost, with_processor_time

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")

LOAD = Load(10, 0.5, 10, 20, 10, 0, 0, 0.25, None)


def busy() -> Load:
    """Use at least 20 ms of processor time."""
    ends_at_s = time.process_time() + 0.02
    while time.process_time() < ends_at_s:
        pass
    return LOAD


def test_cost_is_that_of_the_process_and_with_the_generator_that_of_all() -> None:
    found, cost = with_cost(os.getpid(), busy)
    assert found is LOAD
    assert cost is not None
    assert cost.proxy_s >= 0.02
    assert cost.all_s >= cost.proxy_s + LOAD.cpu_s


def test_processor_time_of_several_processes_is_added_up() -> None:
    alone = processor_time_s([os.getpid()])
    twice = processor_time_s([os.getpid(), os.getpid()])
    assert alone is not None
    assert twice is not None
    assert twice >= 2 * alone


def test_time_of_threads_that_have_ended_still_counts() -> None:
    def work() -> Load:
        thread = threading.Thread(target=busy_thread)
        thread.start()
        thread.join()
        return LOAD

    def busy_thread() -> None:
        ends_at_s = time.thread_time() + 0.02
        while time.thread_time() < ends_at_s:
            pass

    assert (with_processor_time(os.getpid(), work)[1] or 0) >= 0.02


def test_process_that_is_gone_has_none() -> None:
    gone = 2**22 + 1  # above the highest id that Linux gives
    assert processor_time_s([gone]) is None
    assert with_processor_time(gone, lambda: LOAD) == (LOAD, None)

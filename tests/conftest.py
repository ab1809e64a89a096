"""Sets what holds for every test.

Property tests draw the same examples in every run, and however busy the machine is, none of them
fails for being slow. To search further than that: `pytest --hypothesis-profile=search`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Generator

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("search", max_examples=2000, deadline=None)
settings.load_profile("repeatable")

MOST_WORKERS: Final = 4
"""On more cores, the longest file alone decides how long the run takes."""


def pytest_xdist_auto_num_workers() -> int:
    """Return the number of processes for `-n auto`: one more than there are cores.

    While a test waits for a server that stops slowly, another test has its core.
    """
    return min(MOST_WORKERS, 1 + (os.cpu_count() or 1))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape lone surrogates in what a test logged: between processes, text has to be UTF-8."""
    report = yield
    report.sections = [
        (title, text.encode(errors="backslashreplace").decode()) for title, text in report.sections
    ]
    return report

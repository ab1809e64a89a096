"""This process closes its memory to other processes of the same user."""

from __future__ import annotations

import subprocess
import sys

import pytest

from router.app.process_privacy import keep_private

GET_DUMPABLE = 3
SCRIPT = f"""
import ctypes, sys
from router.app.process_privacy import keep_private

dumpable = lambda: ctypes.CDLL(None).prctl({GET_DUMPABLE}, 0, 0, 0, 0)
print(dumpable(), keep_private(), dumpable())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl(2) is Linux's")
def test_process_is_closed_to_others_of_its_user() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["1", "True", "0"]


def test_other_systems_do_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")

    assert not keep_private()

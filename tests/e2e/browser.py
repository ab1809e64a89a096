"""Runs a real browser without a window: Debian's Chromium, driven by npm `playwright-core`."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import attrs

from tests.e2e import peers

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAMS: Final = ("chromium-headless-shell", "chromium")


@attrs.frozen
class Browser:
    """A browser that runs, with one page.

    Attributes:
        process: takes its steps (tests/peers/browse.mjs).
    """

    process: subprocess.Popen[str]

    def do(self, step: str, *words: Any) -> Any:
        """Take a step; return its value.

        Raises:
            AssertionError: the step failed, or took too long.
        """
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([step, *words]) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self) -> Any:
        """Return the value of the next answer."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "The browser has ended"
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["value"]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a browser that has been nowhere; skip the test where there is none."""
    peers.npm_script("playwright-core", "package.json")
    program, env = peers.debian_program(*PROGRAMS)
    command = [*peers.node_script("browse.mjs"), program]
    with subprocess.Popen(
        command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        browser = Browser(process)
        try:
            assert browser.answer() == "ready"
            yield browser
        finally:
            process.stdin.close()  # pyright: ignore[reportOptionalMemberAccess]
            process.wait(30)

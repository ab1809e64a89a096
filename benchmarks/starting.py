"""Measures the time from starting the router to its first answer on stdio.

The baseline is a process that only imports the libraries every such program needs.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

import attrs

from benchmarks.imports import Import, imports_in
from benchmarks.spread import Spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.e2e.workspace import Workspace

BASELINE: Final = (sys.executable, "-c", "import trio, attrs, msgspec")

_HELLO: Final = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "bench", "version": "1"},
    },
}
_LINE: Final = json.dumps(_HELLO).encode() + b"\n"


@attrs.frozen
class Start:
    """The times of both processes.

    Attributes:
        router_ms: from starting the router to its first answer.
        imports_ms: from starting the baseline to its end.
    """

    router_ms: Spread
    imports_ms: Spread

    @property
    def ratio(self) -> float:
        return self.router_ms.median / self.imports_ms.median


def measure(workspace: Workspace, rounds: int) -> Start:
    """Start both processes in turn, `rounds` times, after one start of each that is not counted."""
    router_ms: list[float] = []
    imports_ms: list[float] = []
    for _ in range(rounds + 1):
        imports_ms.append(_imports_ms())
        router_ms.append(_first_answer_ms(workspace.stdio_command))
    return Start(Spread.of(router_ms[1:]), Spread.of(imports_ms[1:]))


def _imports_ms() -> float:
    began_s = time.perf_counter()
    subprocess.run(BASELINE, check=True)
    return 1000 * (time.perf_counter() - began_s)


def _first_answer_ms(command: Sequence[str]) -> float:
    began_s = time.perf_counter()
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as router:
        assert router.stdin is not None
        assert router.stdout is not None
        router.stdin.write(_LINE)
        router.stdin.flush()
        answer = router.stdout.readline()
        took_ms = 1000 * (time.perf_counter() - began_s)
        router.stdin.close()
        router.wait(30)
    assert json.loads(answer)["result"]["serverInfo"], answer
    return took_ms


def imported(workspace: Workspace) -> list[Import]:
    """Return the imports of a router on stdio that answers one `initialize` and ends."""
    python, *words = workspace.stdio_command
    done = subprocess.run(
        [python, "-X", "importtime", *words], input=_LINE, capture_output=True, check=True
    )
    assert done.stdout, done.stderr
    return imports_in(done.stderr.decode(errors="replace"))

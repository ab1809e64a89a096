"""Measures the time from starting the router to its first answer on stdio.

The baseline is a process that only imports the libraries every such program needs.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.internals.imports import imports_in, slowest, unwanted
from benchmarks.native.native import echo_command
from benchmarks.rows import Row
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.context import Context
    from benchmarks.internals.imports import Import

SUITE: Final = "imports"
LOAD: Final = "first answer on stdio"
BASELINE: Final = (sys.executable, "-c", "import trio, attrs, cattrs, msgspec")

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


def run(context: Context) -> list[Row]:
    """Start both in turn, after one start of each that is not counted; tell of slow imports."""
    router_ms: list[float] = []
    imports_ms: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder)).add_command("echo", *echo_command())
        for _ in range(context.starts + 1):
            imports_ms.append(_imports_ms())
            router_ms.append(_first_answer_ms(workspace.stdio_command))
        imports = imported(workspace)
    context.say(f"Imported without need: {', '.join(unwanted(imports)) or 'nothing'}")
    top = ", ".join(f"{one.name} {one.self_ms:.1f}" for one in slowest(imports, 8))
    context.say(f"Slowest imports, ms: {top}")
    ratios = [one / other for one, other in zip(router_ms[1:], imports_ms[1:], strict=True)]
    return [
        Row.of(SUITE, LOAD, "router", "start", router_ms[1:], "ms"),
        Row.of(SUITE, LOAD, "imports alone", "start", imports_ms[1:], "ms"),
        Row.of(SUITE, LOAD, "router", "start, x imports alone", ratios),
    ]


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

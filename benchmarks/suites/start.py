"""Start: how long a proxy takes from its start to its first answer.

- stdio: to the answer to `initialize`.
- HTTP: to the first call that is answered rightly.
- A server of the MCP SDK on stdio: to its first right answer to a call, with a proxy between and
  without one.

Beside the time is the processor time of the proxy's main process: a busy machine adds to the first
alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import attrs

from benchmarks.client import HELLO, answer_in
from benchmarks.context import BASE
from benchmarks.native.native import LoadError, echo_command
from benchmarks.processor_time import processor_time_s
from benchmarks.proxies.floors import BYTE_PROXY, STDIO_PROXY
from benchmarks.proxies.processes import ROOT, call_once
from benchmarks.proxies.proxy import Upstream
from benchmarks.proxies.router import AS_SHIPPED, ROUTER
from benchmarks.rows import Row
from tests.e2e.processes import descendants, kill_all

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.context import Context
    from benchmarks.proxies.proxy import Proxy

SUITE: Final = "start"
DIRECT: Final = "direct"
SDK_ECHO: Final = Upstream("echo", (sys.executable, str(ROOT / "benchmarks" / "sdk_echo.py")))


@attrs.frozen
class Start:
    """One start.

    Attributes:
        took_ms: from starting the process to the answer.
        cpu_ms: the processor time of the process until then; None where it is unknown.
    """

    took_ms: float
    cpu_ms: float | None

    @classmethod
    def until_now(cls, began_s: float, pid: int) -> Self:
        """Return the start of a process that has just answered."""
        took_ms = 1000 * (time.perf_counter() - began_s)
        cpu_s = processor_time_s([pid])
        return cls(took_ms, None if cpu_s is None else 1000 * cpu_s)


def run(context: Context) -> list[Row]:
    """Start each proxy in turn, `starts` times."""
    starts = attrs.evolve(context, rounds=context.starts)
    return [*_stdio(starts), *_http(starts), *_routed(starts)]


def _stdio(context: Context) -> list[Row]:
    proxies = context.with_peers("stdio", [STDIO_PROXY, ROUTER, AS_SHIPPED])
    with tempfile.TemporaryDirectory() as folder:
        commands = _commands(proxies, [Upstream("echo", echo_command())], Path(folder))
        work = {
            name: lambda command=command: start_and_ask(command)
            for name, (command, *_) in commands.items()
        }
        return _rows("stdio, to `initialize`", context.interleaved(work), BASE)


def _http(context: Context) -> list[Row]:
    proxies = context.with_peers("http", [BYTE_PROXY, ROUTER, AS_SHIPPED])
    with tempfile.TemporaryDirectory() as folder:
        work = {one.name: lambda one=one: _start_and_call(one, Path(folder)) for one in proxies}
        return _rows("HTTP, to the first call", context.interleaved(work), BASE)


def _start_and_call(proxy: Proxy, among: Path) -> Start:
    folder = Path(tempfile.mkdtemp(dir=among))
    upstreams = [Upstream("echo", echo_command())]
    began_s = time.perf_counter()
    with proxy.serve("http", upstreams, folder) as running:
        call_once("http", running)
        return Start.until_now(began_s, running.pid)


def _routed(context: Context) -> list[Row]:
    proxies = context.with_peers("stdio", [STDIO_PROXY, ROUTER, AS_SHIPPED])
    with tempfile.TemporaryDirectory() as folder:
        direct = {DIRECT: (list(SDK_ECHO.command), "echo", '{"text":"%TEXT%"}')}
        commands = direct | _commands(proxies, [SDK_ECHO], Path(folder))
        work = {
            name: lambda command=command, tool=tool, arguments=arguments: start_and_ask(
                command, call_of(tool, arguments)
            )
            for name, (command, tool, arguments) in commands.items()
        }
        return _rows(
            "stdio server of the SDK, to the first call", context.interleaved(work), DIRECT
        )


def _commands(
    proxies: Sequence[Proxy], upstreams: Sequence[Upstream], folder: Path
) -> dict[str, tuple[list[str], str, str]]:
    """Return command, tool and arguments of each proxy, by its name."""
    found: dict[str, tuple[list[str], str, str]] = {}
    for number, proxy in enumerate(proxies):
        (own_folder := folder / str(number)).mkdir()
        tool = proxy.called_over_stdio(upstreams)
        found[proxy.name] = (proxy.command(upstreams, own_folder), *tool)
    return found


def hello() -> dict[str, Any]:
    """Return the first request of a client."""
    return {"id": 1, "method": "initialize", "params": HELLO}


def call_of(tool: str, arguments: str) -> dict[str, Any]:
    """Return a call of a tool; its arguments are as in `Running`."""
    params = {"name": tool, "arguments": json.loads(arguments.replace("%TEXT%", "first"))}
    return {"id": 2, "method": "tools/call", "params": params}


def start_and_ask(command: Sequence[str], call: dict[str, Any] | None = None) -> Start:
    """Start a command, up to its answer to `initialize`, or to a call after it.

    Raises:
        LoadError: an answer is missing, or an error.
    """
    began_s = time.perf_counter()
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            _ask(process, hello())
            if call is not None:
                _send(process, {"method": "notifications/initialized"})
                _ask(process, call)
            return Start.until_now(began_s, process.pid)
        finally:
            children = descendants(process.pid)
            process.kill()
            kill_all(children)


def _send(process: subprocess.Popen[bytes], message: Mapping[str, Any]) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
    process.stdin.flush()


def _ask(process: subprocess.Popen[bytes], request: Mapping[str, Any]) -> None:
    """Send a request, and read lines up to its answer."""
    assert process.stdout is not None
    _send(process, request)
    for line in process.stdout:
        if f'"id":{request["id"]}'.encode() not in line.replace(b": ", b":"):
            continue
        result = answer_in(line, request["id"]).get("result")
        if result is None or result.get("isError"):
            raise LoadError(f"{request['method']} was answered with {line[:200]!r}")
        return
    raise LoadError(f"The command ended before it answered {request['method']}")


def _rows(load: str, starts: Mapping[str, Sequence[Start]], base: str) -> list[Row]:
    rows: list[Row] = []
    for name, values in starts.items():
        times_ms = [one.took_ms for one in values]
        pairs = zip(values, starts[base], strict=True)
        ratios = [one.took_ms / other.took_ms for one, other in pairs]
        rows.append(Row.of(SUITE, load, name, "time", times_ms, "ms"))
        rows.append(Row.of(SUITE, load, name, "ratio", ratios))
        cpus_ms = [one.cpu_ms for one in values if one.cpu_ms is not None]
        if cpus_ms:
            rows.append(Row.of(SUITE, load, name, "cpu", cpus_ms, "ms"))
    return rows

"""Code in real sandboxes, with fake tools."""

from __future__ import annotations

import json
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio
from msgspec import Raw

from router.code_mode import sandboxes
from router.code_mode.code_run import MAX_CALLS, CodeRun, RunReport
from router.code_mode.inner_client import ToolFailed
from router.code_mode.sandboxes import Sandbox, SandboxLost, SandboxPool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TIMEOUT_S = 60.0
MEETING = 5
"""Calls of `meet` wait for so many."""

ODD = {
    "deep": "[" * 100_000 + "]" * 100_000,
    "long number": "1" * 5000,
    "no JSON": '{"a":',
    "half a character": r'{"text": "\ud83d cut", "\uD83D": "\ud83d\ude00"}',
}
"""Name of a tool -> a result as a server may send it."""


class FakeTools:
    """Tools that answer with what they were called with."""

    def __init__(self) -> None:
        self.called: list[tuple[str, dict[str, Any]]] = []
        self.all_met = trio.Event()

    async def call_tool(self, name: str, arguments: dict[str, Any]) -> dict[str, str]:
        self.called.append((name, arguments))
        if len(self.called) == MEETING:
            self.all_met.set()
        if name == "broken":
            raise ToolFailed("it is broken")
        if name == "endless":
            await trio.sleep_forever()
        if name == "meet":
            await self.all_met.wait()
        await trio.lowlevel.checkpoint()
        return {"json": ODD.get(name) or json.dumps({"name": name, **arguments})}

    async def search(self, query: str, limit: int) -> dict[str, str]:
        await trio.lowlevel.checkpoint()
        return {"json": json.dumps({"tools": [{"name": f"{query}-{limit}"}]})}


@asynccontextmanager
async def open_pool() -> AsyncIterator[SandboxPool]:
    with trio.fail_after(TIMEOUT_S):
        async with trio.open_nursery() as nursery:
            yield SandboxPool(nursery)
            nursery.cancel_scope.cancel()


async def run_in(
    sandbox: Sandbox, code: str, tools: FakeTools | None = None, timeout_s: float = 10
) -> RunReport:
    report = RunReport()
    run = CodeRun(sandbox, tools or FakeTools(), report)
    await run.run(code, timeout_s)
    return report


async def run_all(*codes: str) -> list[RunReport]:
    async with open_pool() as pool:
        sandbox = await pool.take()
        try:
            return [await run_in(sandbox, code) for code in codes]
        finally:
            await sandbox.end()


def succeeded(report: RunReport) -> bool:
    return report.result is not msgspec.UNSET


async def test_code_calls_tools_and_returns_json() -> None:
    tools = FakeTools()
    async with open_pool() as pool:
        sandbox = await pool.take()
        code = """
found = await search("files", limit=2)
made = await call_tool(found["tools"][0]["name"], {"path": "/a"})
print("made", made["path"])
{"made": made, 1: (2, None), "kinds": [{3}, b"x", float("inf"), 10**30]}
"""
        report = await run_in(sandbox, code, tools)
        await sandbox.end()
    assert tools.called == [("files-2", {"path": "/a"})]
    assert report.error is None
    assert report.result == {
        "made": {"name": "files-2", "path": "/a"},
        "1": [2, None],
        "kinds": [[3], "b'x'", "inf", hex(10**30)],
    }
    assert report.printed == "made /a\n"
    assert [(call.tool, call.ok) for call in report.calls] == [("search", True), ("files-2", True)]
    text = json.loads(bytes(report.as_result))["content"][0]["text"]
    assert list(json.loads(text)) == ["result", "printed", "calls"]


async def test_calls_at_once_run_at_once() -> None:
    code = """
import asyncio
got = await asyncio.gather(*[call_tool("meet", {"n": n}) for n in range(5)])
[one["n"] for one in got]
"""
    (report,) = await run_all(code)
    assert report.result == [0, 1, 2, 3, 4]


async def test_failure_of_a_tool_can_be_caught_and_shows_the_lines_of_the_code_otherwise() -> None:
    caught = """
try:
    await call_tool("broken")
except RuntimeError as error:
    said = str(error)
said
"""
    got, failed = await run_all(caught, "print('before')\n\nawait call_tool('broken')")
    assert got.result == "it is broken"
    assert [call.ok for call in got.calls] == [False]
    assert failed.error is not None
    assert "line 3" in failed.error
    assert failed.error.endswith("RuntimeError: it is broken")
    assert failed.printed == "before\n"
    assert str(os.getcwd()) not in failed.error


async def test_odd_results_are_errors_in_the_code_or_come_as_far_as_they_make_sense() -> None:
    code = f"""
told = []
for name in {list(ODD)}:
    try:
        told.append(await call_tool(name))
    except RuntimeError as error:
        told.append(str(error)[:35])
told
"""
    (report,) = await run_all(code)
    refused = "The result is no JSON that code can"
    assert report.result == [*[refused] * 3, {"text": "? cut", "?": "😀"}], report.error


async def test_a_sandbox_that_cannot_take_a_line_ends_at_once() -> None:
    """Else nothing in it would see the death of the router."""
    async with open_pool() as pool:
        sandbox = await pool.take()
        await until_it_runs(sandbox)
        await sandbox.send({"answer": Raw(b"[")})
        with pytest.raises(SandboxLost):
            await sandbox.receive()
        await until_it_is_gone(sandbox)
        await sandbox.end()


async def test_wrong_arguments_are_errors_in_the_code() -> None:
    reports = await run_all(
        "call_tool(3)",
        "call_tool('a', [1])",
        "call_tool('a', {'x': {1}})",
        "search(1)",
        "call_tool('a', {'x': 'y' * 600000})",
        "call_tool('\x01' * 500000)",
        "search('\x01' * 500000)",
        "nothing_of_this_name(1)",
        "1 +",
    )
    names = [(report.error or "").splitlines()[-1].partition(":")[0] for report in reports]
    assert names == ["TypeError"] * 4 + ["ValueError"] * 3 + ["NameError", "SyntaxError"]


ESCAPES = {
    "a file is read": "open('/etc/passwd').read()",
    "a file is written": "open('/tmp/escaped', 'w').write('x')",
    "a folder is listed": "import os\nos.listdir('/')",
    "a path is read": "from pathlib import Path\nPath('/etc/passwd').read_text()",
    "the environment": "import os\nos.environ['PATH']",
    "a variable": "import os\nos.getenv('PATH').lower()",
    "a process": "import subprocess\nsubprocess.run(['id'])",
    "a shell": "import os\nos.system('id')",
    "a fork": "import os\nos.fork()",
    "a socket": "import socket\nsocket.socket()",
    "a request": "import urllib.request",
    "native code": "import ctypes",
    "an import by its function": "__import__('os').system('id')",
    "an import by a string": "exec('import subprocess')",
    "an expression of a string": "eval('open(\"/etc/passwd\")')",
    "classes": "().__class__.__bases__[0].__subclasses__()",
    "the globals of a function": "call_tool.__globals__",
    "the code of a function": "(lambda: 1).__code__",
    "frames": "import sys\nsys._getframe()",
    "modules": "import sys\nsys.modules['os']",
    "builtins": "__builtins__",
    "formats": "'{0.__class__.__mro__}'.format(1)",
}


async def test_code_reaches_no_files_environment_processes_network_or_internals() -> None:
    reports = await run_all(*ESCAPES.values())
    escaped = [name for name, one in zip(ESCAPES, reports, strict=True) if succeeded(one)]
    assert escaped == []


async def test_no_variable_of_the_router_reaches_a_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_ROUTER", "x")
    async with open_pool() as pool:
        sandbox = await pool.take()
        await until_it_runs(sandbox)
        group = group_of(sandbox)
        found = b"".join(Path(f"/proc/{pid}/environ").read_bytes() for pid in group)  # noqa: ASYNC240
        await sandbox.end()
    assert b"SECRET" not in found
    assert b"PATH" not in found


PROBE = """
import json, os, runpy, socket, sys
path, *fields = sys.argv[1:]
router = os.getppid()
runpy.run_path(path)["confine"]([each.encode() for each in fields])
def internet(family=socket.AF_INET, kind=socket.SOCK_STREAM):
    socket.socket(family, kind)
tries = {{
    "write": lambda: open({folder!r} + "/written", "w"),
    "read": lambda: open({folder!r} + "/probe.py"),
    "look": lambda: os.listdir({folder!r}),
    "the router": lambda: open(f"/proc/{{router}}/environ"),
    "processes": lambda: os.listdir("/proc"),
    "signal": lambda: os.kill(router, 0),
    "TCP": internet,
    "UDP": lambda: internet(kind=socket.SOCK_DGRAM),
    "IPv6": lambda: internet(socket.AF_INET6),
}}
done = []
for name, one in tries.items():
    try:
        one()
        done.append(name)
    except OSError:
        pass
print(json.dumps({{"result": done}}), flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(not sandboxes.rights(), reason="this system confines no processes")
async def test_what_breaks_out_of_the_interpreter_is_confined(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    probe = tmp_path / "probe.py"
    probe.write_text(PROBE.format(folder=str(tmp_path)))
    monkeypatch.setattr(sandboxes, "PROGRAM", probe)
    async with open_pool() as pool:
        sandbox = await pool.take()
        assert (await sandbox.receive()).result == []
        await sandbox.end()


@pytest.mark.skipif(not sandboxes.rights(), reason="this system confines no processes")
async def test_both_processes_of_a_sandbox_are_confined() -> None:
    async with open_pool() as pool:
        sandbox = await pool.take()
        await until_it_runs(sandbox)
        told = [Path(f"/proc/{pid}/status").read_text() for pid in group_of(sandbox)]  # noqa: ASYNC240
        await sandbox.end()
    assert all("Seccomp:\t2\n" in one and "NoNewPrivs:\t1\n" in one for one in told)


async def test_code_that_wants_too_much_memory_or_depth_ends_alone() -> None:
    reports = await run_all(
        "'a' * 10**9",
        "x = [0] * 1000\nwhile True:\n    x = x + x",
        "10 ** 10**9",
        "def f():\n    return f()\nf()",
        # Small within the sandbox, and gigabytes where it is unfolded.
        "x = 'a' * 10**6\n[x] * 10**4",
        "x = 'a' * 10**6\nawait call_tool('a', {'x': [x] * 10**4})",
        "1 + 1",
    )
    assert [succeeded(report) for report in reports] == [False] * 6 + [True]


async def test_prints_and_results_are_bounded() -> None:
    flood, result, deep, failure, noise = await run_all(
        "for i in range(10000):\n    print('x' * 99)\n'done'",
        "'x' * 300000",
        "x = []\nfor i in range(100000):\n    x = [x]\nx",
        "raise ValueError('x' * 10**6)",
        "print('\\ud800')\n'\\udfff'",
    )
    assert flood.result == "done"
    assert len(flood.printed) < 66_000
    assert flood.printed.endswith("… cut: more than 65,536 bytes were printed")
    assert "at most 262,144 are allowed" in (result.error or "")
    assert len(json.dumps(deep.result)) < 10_000
    assert len(failure.error or "") < 10_000
    assert succeeded(noise)


async def test_the_call_after_the_fiftieth_is_refused() -> None:
    tools = FakeTools()
    async with open_pool() as pool:
        sandbox = await pool.take()
        code = """
made = 0
try:
    for n in range(1000):
        await call_tool("echo", {"n": n})
        made += 1
except RuntimeError as error:
    said = str(error)
[made, said]
"""
        report = await run_in(sandbox, code, tools)
        await sandbox.end()
    assert report.result == [MAX_CALLS, "a run makes at most 50 calls and searches"]
    assert len(tools.called) == len(report.calls) == MAX_CALLS


async def test_code_may_sleep_within_its_time() -> None:
    async with open_pool() as pool:
        sandbox = await pool.take()
        short = await run_in(sandbox, "import asyncio\nawait asyncio.sleep(0.01)\n1", timeout_s=1)
        # Each is more than the time, also the one that is little more than the sandbox's own limit.
        long = await run_in(sandbox, "import time\ntime.sleep(100)", timeout_s=1)
        longer = await run_in(sandbox, "import time\ntime.sleep(11)", timeout_s=10.5)
        await sandbox.end()
    assert short.result == 1
    assert "sleep limit exceeded" in (long.error or "")
    assert "sleep limit exceeded" in (longer.error or "")


@pytest.mark.parametrize("code", ["while True:\n    pass", "await call_tool('endless')"])
async def test_what_is_ended_leaves_no_process(code: str) -> None:
    async with open_pool() as pool:
        sandbox = await pool.take()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_in, sandbox, code)
            await until_it_runs(sandbox)
            assert group_of(sandbox)
            nursery.cancel_scope.cancel()
        await sandbox.end()
        await until_it_is_gone(sandbox)


async def test_a_sandbox_whose_process_dies_is_lost() -> None:
    async with open_pool() as pool:
        sandbox = await pool.take()
        os.kill(sandbox.pid, 9)
        report = await run_in(sandbox, "1")
        assert (report.error or "").startswith("The sandbox has ended, and the code with it")
        with pytest.raises(SandboxLost):
            await sandbox.send({"run": {"code": "x" * 100_000, "timeout_s": 1}})
        await sandbox.end()


async def test_a_sandbox_is_used_again_and_nothing_of_the_run_before_is_there() -> None:
    async with open_pool() as pool:
        first = await pool.take()
        await run_in(first, "secret = 1")
        pool.give_back(first)
        again = await pool.take()
        assert again is first
        report = await run_in(again, "secret")
        assert "NameError" in (report.error or "")
        pool.give_back(again)
    with trio.fail_after(TIMEOUT_S):
        await until_it_is_gone(again)


async def test_only_some_sandboxes_rest_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandboxes, "MAX_RESTING", 1)
    async with open_pool() as pool:
        first, second = await pool.take(), await pool.take()
        pool.give_back(first)
        pool.give_back(second)
        await until_it_is_gone(second)
        assert await pool.take() is first
        pool.give_back(first)


async def until_it_runs(sandbox: Sandbox) -> None:
    """Wait for the process below that of the sandbox."""
    while len(group_of(sandbox)) < 2:  # noqa: ASYNC110
        await trio.sleep(0.01)  # the system tells nobody but the parent


async def until_it_is_gone(sandbox: Sandbox) -> None:
    """Wait until the system has ended what was killed."""
    while group_of(sandbox):  # noqa: ASYNC110
        await trio.sleep(0.01)  # the system tells nobody but the parent


def group_of(sandbox: Sandbox) -> list[int]:
    """Return the living processes of the group of a sandbox."""
    found: list[int] = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as stat:
                    fields = stat.read().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == sandbox.pid and fields[0] != "Z":
                found.append(int(entry))
    return found


if sys.platform != "linux":
    pytestmark = pytest.mark.skip("only Linux tells of processes in /proc")

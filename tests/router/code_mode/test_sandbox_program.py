"""Code in real sandboxes: what it can do, what it cannot, and what its errors say."""

from __future__ import annotations

import json
import os
import sys

import msgspec
import pytest

from router.code_mode.code_run import MAX_CALLS, RunReport
from tests.router.code_mode.sandboxed import ODD, FakeTools, open_pool, run_all, run_in


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


if sys.platform != "linux":
    pytestmark = pytest.mark.skip("only Linux limits the memory of a process")

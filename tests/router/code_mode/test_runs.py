"""Runs of code in front of a fake router."""

from __future__ import annotations

import json
import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio
import trio.testing
from msgspec import Raw

from router.app.wiring import Channels
from router.code_mode import runs as runs_module
from router.code_mode.code_run import MAX_CALLS
from router.code_mode.code_task import keep_running_code
from router.code_mode.inner_client import MAX_VALUE_BYTES
from router.code_mode.sandboxes import Line
from router.messages.commands import Principal
from router.messages.events import ClientClosed, ClientOpened, FromClient
from router.messages.frames import ErrorResponse, Notification, Request, Response
from router.messages.own_tools.code_runs import MAX_RUNS, CodeEnded, EndCode, RunCode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TIMEOUT_S = 60.0
CALLER = Principal("ann", instances=frozenset({"files"}))


class FakeRouter:
    """Takes what the runner sends, and answers calls from `answers`, by the name of the tool.

    Attributes:
        answers: name of a tool -> its result; an int for the code of an error; None for no answer.
        events: the beginnings and ends of clients, in their order.
        requests: method and params of each request.
        called: is set when a tool is called that is not answered.
    """

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.events: list[ClientOpened | ClientClosed] = []
        self.requests: list[tuple[str, Any]] = []
        self.called = trio.Event()
        self.commands: trio.MemorySendChannel[RunCode | EndCode]
        self.ended_in, self.ended = trio.open_memory_channel[CodeEnded](10)
        self.keys = 0

    async def run(self, inbox: trio.MemoryReceiveChannel[Any]) -> None:
        async for event in inbox:
            if isinstance(event, FromClient):
                self._take(event)
            elif isinstance(event, CodeEnded):
                self.ended_in.send_nowait(event)
            else:
                self.events.append(event)

    def _take(self, event: FromClient) -> None:
        frame = event.frame
        assert isinstance(frame, Request)
        params = json.loads(bytes(frame.params))
        self.requests.append((frame.method, params))
        answer = {} if frame.method == "initialize" else self.answers.get(params["name"])
        if answer is None:
            self.called.set()
        elif answer == "close":
            event.reply_to.close()
        elif isinstance(answer, int):
            error = Raw(msgspec.json.encode({"code": answer, "message": "There is no such tool"}))
            event.reply_to.send_nowait(ErrorResponse(frame.id, error))
        else:
            event.reply_to.send_nowait(Notification("notifications/message"))
            result = Raw(msgspec.json.encode(answer))
            event.reply_to.send_nowait(Response(frame.id, result))

    def begin(self, code: str, timeout_s: float = 10) -> int:
        self.keys += 1
        run = RunCode(self.keys, code, timeout_s, CALLER, "work", "192.0.2.1")
        self.commands.send_nowait(run)
        return self.keys

    async def told_of(self, key: int) -> dict[str, Any]:
        """Return the report on a run, with `failed`."""
        ended = await self.ended.receive()
        assert ended.key == key
        result = json.loads(bytes(ended.result))
        return json.loads(result["content"][0]["text"]) | {"failed": result["isError"]}

    async def report(self, code: str, timeout_s: float = 10) -> dict[str, Any]:
        return await self.told_of(self.begin(code, timeout_s))


@asynccontextmanager
async def running(**answers: Any) -> AsyncIterator[FakeRouter]:
    router = FakeRouter(answers)
    inbox_in, inbox = trio.open_memory_channel[Any](100)
    router.commands, commands = trio.open_memory_channel[RunCode | EndCode](10)
    with trio.fail_after(TIMEOUT_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(router.run, inbox)
            nursery.start_soon(keep_running_code, commands, inbox_in)
            yield router
            router.commands.close()


def text(value: str, **more: Any) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": value}], **more}


async def test_a_run_is_a_client_of_its_own_with_the_rights_of_its_caller() -> None:
    async with running(files__read=text("hello")) as router:
        report = await router.report("await call_tool('files__read', {'path': 'a'})")
        assert report.pop("calls")[0].keys() == {"tool", "ok", "ms"}
        assert report == {"result": "hello", "failed": False}
    opened, closed = router.events
    assert isinstance(opened, ClientOpened)
    assert opened.principal is CALLER
    assert (opened.view, opened.address) == ("work", "192.0.2.1")
    assert closed == ClientClosed(opened.client, "The code has ended")
    (_, handshake), call = router.requests
    assert handshake["capabilities"] == {}
    assert handshake["clientInfo"]["name"] == "mcp.router.run"
    assert call == ("tools/call", {"name": "files__read", "arguments": {"path": "a"}})


async def test_results_come_as_code_can_use_them() -> None:
    mixed = [
        {"type": "text", "text": "one"},
        {"type": "image", "mimeType": "image/png", "data": "AAAA"},
        {"type": "resource", "resource": {"uri": "a:b", "text": "two"}},
        {"type": "resource_link", "uri": "c:d"},
    ]
    answers = {
        "structured": text("{}", structuredContent=Raw(b'{\n"n":\n1}')),
        "json": text('{"n": 2}'),
        "mixed": {"content": mixed},
        "broken": text("it is broken", isError=True),
        "unknown": -32014,
        "odd": {"content": 3},
        "huge": text("x" * MAX_VALUE_BYTES),
        "mcp.router.search": text('{"found": "0 of 3 tools"}'),
    }
    code = """
told = []
for name in ["structured", "json", "mixed", "broken", "unknown", "odd", "huge"]:
    try:
        told.append(await call_tool(name))
    except RuntimeError as error:
        told.append([str(error)])
told.append(await search("anything"))
told
"""
    async with running(**answers) as router:
        report = await router.report(code)
    assert report["result"] == [
        {"n": 1},
        '{"n": 2}',
        "one\n[image image/png]\ntwo\nc:d",
        ["it is broken"],
        ["There is no such tool"],
        ["The server's result is malformed"],
        [
            "The result is 8,388,647 bytes long; code can take 8,388,608. Ask the tool for less, "
            "such as a page"
        ],
        {"found": "0 of 3 tools"},
    ]
    assert router.requests[-1][1]["arguments"] == {"query": "anything", "limit": 5}


async def test_the_routers_own_tools_cannot_be_called() -> None:
    code = """
told = []
for name in ["mcp.router.run", "mcp_router_run", "mcp.router.add", "mcp.router.call_tool"]:
    try:
        await call_tool(name, {"code": "1"})
    except RuntimeError as error:
        told.append("cannot be called by code" in str(error))
told
"""
    async with running() as router:
        assert (await router.report(code))["result"] == [True] * 4
    assert [method for method, _ in router.requests] == ["initialize"]


class ScriptedSandbox:
    """Says what a test wants, and then nothing more."""

    def __init__(self, *lines: dict[str, Any]) -> None:
        self.lines = list(lines)
        self.has_ended = False

    async def send(self, line: dict[str, Any]) -> None:
        await trio.lowlevel.checkpoint()

    async def receive(self) -> Line:
        await trio.lowlevel.checkpoint()
        if not self.lines:
            await trio.sleep_forever()
        return msgspec.convert(self.lines.pop(0), Line)

    async def end(self) -> None:
        await trio.lowlevel.checkpoint()
        self.has_ended = True


class ScriptedPool:
    """Hands out these sandboxes, each for one run."""

    def __init__(self, *sandboxes: ScriptedSandbox) -> None:
        self.sandboxes = list(sandboxes)
        self.given_back: list[ScriptedSandbox] = []

    async def take(self) -> ScriptedSandbox:
        await trio.lowlevel.checkpoint()
        return self.sandboxes.pop(0)

    def give_back(self, sandbox: ScriptedSandbox) -> None:
        self.given_back.append(sandbox)


def scripted(monkeypatch: pytest.MonkeyPatch, *sandboxes: ScriptedSandbox) -> ScriptedPool:
    """Have runs use these sandboxes."""
    pool = ScriptedPool(*sandboxes)
    monkeypatch.setattr(runs_module, "SandboxPool", lambda _: pool)
    return pool


async def test_the_time_of_a_run_counts_while_tools_are_called(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    call = {"call": 0, "name": "slow", "arguments": {}}
    sandbox = ScriptedSandbox({"printed": "begun\n"}, call)
    pool = scripted(monkeypatch, sandbox)
    async with running() as router:
        report = await router.report("", timeout_s=7.5)
    assert report["failed"]
    assert report["error"] == "TimeoutError: the code did not end within 7.5 s"
    assert report["printed"] == "begun\n"
    assert report["calls"] == [{"tool": "slow", "ok": None, "ms": None}]
    assert isinstance(router.events[-1], ClientClosed)
    assert sandbox.has_ended
    assert pool.given_back == []


class FullSandbox(ScriptedSandbox):
    """Calls without end, and takes no answers."""

    heard = 0

    async def send(self, line: dict[str, Any]) -> None:
        await trio.sleep(0 if "run" in line else math.inf)

    async def receive(self) -> Line:
        await trio.lowlevel.checkpoint()
        self.heard += 1
        return Line(search=self.heard)


async def test_a_sandbox_that_only_calls_is_not_heard_beyond_the_limit(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    sandbox = FullSandbox()
    scripted(monkeypatch, sandbox)
    async with running() as router:
        report = await router.report("", timeout_s=5)
    assert report["error"] == "TimeoutError: the code did not end within 5 s"
    assert sandbox.heard == len(report["calls"]) + 1 == MAX_CALLS + 1


@pytest.mark.parametrize("line", [{}, {"answer": 1}])
async def test_a_sandbox_that_makes_no_sense_is_lost(
    monkeypatch: pytest.MonkeyPatch, line: dict[str, Any]
) -> None:
    sandbox = ScriptedSandbox(line)
    pool = scripted(monkeypatch, sandbox)
    async with running() as router:
        report = await router.report("")
    assert report["error"].startswith("The sandbox makes no sense, and the code with it")
    assert sandbox.has_ended
    assert pool.given_back == []


async def test_runs_beyond_those_at_a_time_wait_for_their_turn(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    monkeypatch.setattr(runs_module.os, "cpu_count", lambda: 1)
    monkeypatch.setattr(runs_module, "RUNS_PER_CPU", 1)
    last = ScriptedSandbox({"result": 2})
    pool = scripted(monkeypatch, ScriptedSandbox(), last)
    async with running() as router:
        first = router.begin("", timeout_s=9)
        await trio.testing.wait_all_tasks_blocked()
        report = await router.report("", timeout_s=3)
        assert report["error"] == "TimeoutError: the code did not end within 3 s"
        second = router.begin("", timeout_s=9)
        assert (await router.told_of(first))["failed"]
        assert (await router.told_of(second))["result"] == 2
    assert pool.given_back == [last]


async def test_a_run_is_ended_by_command_and_the_next_one_runs() -> None:
    async with running() as router:
        key = router.begin("await call_tool('slow')")
        await router.called.wait()
        router.commands.send_nowait(EndCode(key, "The router is stopping"))
        assert (await router.told_of(key))["error"] == "The router is stopping"
        assert (await router.report("1 + 1"))["result"] == 2
        router.commands.send_nowait(EndCode(key, "late"))
        busy = router.begin("while True:\n    pass")
        router.commands.send_nowait(EndCode(busy, "enough"))
        assert (await router.told_of(busy))["error"] == "enough"


async def test_any_number_of_runs_may_be_begun_and_cancelled_at_once() -> None:
    channels = Channels.open()
    with trio.fail_after(TIMEOUT_S):
        async with trio.open_nursery() as nursery:
            for key in range(10 * MAX_RUNS):
                channels.runs_in.send_nowait(RunCode(key, "1", 10, CALLER, "work", ""))
                channels.runs_in.send_nowait(EndCode(key, "enough"))
            nursery.start_soon(keep_running_code, channels.runs, channels.inbox_in)
            ended: set[int] = set()
            while len(ended) < 10 * MAX_RUNS:
                event = await channels.inbox.receive()
                assert isinstance(event, CodeEnded)
                ended.add(event.key)
            channels.runs_in.close()


async def test_a_run_whose_client_the_router_closes_hears_of_it() -> None:
    async with running(gone="close") as router:
        report = await router.report("await call_tool('gone')")
    assert report["error"].endswith("RuntimeError: The router has ended this run")


async def test_without_a_process_the_run_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    async with running() as router:
        report = await router.report("1")
    assert report["error"].startswith("No sandbox can be started: ")


async def test_all_that_waits_is_taken_at_once_so_that_the_channel_never_fills() -> None:
    async with running() as router:
        for _ in range(5):
            for key in range(10):
                router.commands.send_nowait(EndCode(key, "gone"))
            for _ in range(5):
                await trio.lowlevel.checkpoint()
            assert router.commands.statistics().current_buffer_used == 0

"""Code that calls the tools of real servers, in a real router."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

from tests.e2e.processes import descendants, kill_all, still_running
from tests.e2e.raw_client import HttpClient
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.processes import Process, RouterProcess

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes are ended otherwise")

TOKEN: Final = "token-of-ann-0123456789"
LIMITED: Final = "token-of-bob-0123456789"
RATE: Final = {"calls_per_minute": 3, "burst": 3}
ECHO: Final = Path(__file__).with_name("echo_upstream.py")
WAIT_S: Final = 30.0
SANDBOX: Final = "sandbox_program.py"
BUSY: Final = "print('begun')\nwhile True:\n    pass"


@attrs.frozen
class CodingRouter:
    """A router with two servers and a profile that exposes code."""

    workspace: Workspace
    router: RouterProcess

    @contextmanager
    def client(self, token: str = TOKEN) -> Iterator[HttpClient]:
        url = f"http://{self.router.netloc('/mcp')}/mcp/work"
        with closing(HttpClient(url, token)) as client:
            client.initialize()
            yield client

    def sandboxes(self) -> list[Process]:
        """Return the processes in which code runs, and those below them."""
        found = [one for one in self.router.children() if SANDBOX in one.command]
        return found + [each for one in found for each in descendants(one.pid)]

    def audited(self, event: str) -> list[dict[str, Any]]:
        """Return the lines of an event in the audit log."""
        lines = (self.workspace.path / "logs" / "audit.jsonl").read_text().splitlines()
        return [one for one in map(json.loads, lines) if one["event"] == event]


@contextmanager
def coding_router(path: Path) -> Iterator[CodingRouter]:
    workspace = Workspace(path)
    workspace.configure(
        profiles={"work": {"expose": "code", "tools": {"deny": ["*__pid"]}}},
        logging={"audit": True},
        security={"tokens": {"ann": {"token": TOKEN}, "bob": {"token": LIMITED, "rate": RATE}}},
    )
    workspace.add_chaos("one").add_command("two", sys.executable, "-B", str(ECHO))
    with workspace.serve("http") as router:
        for name in ("one", "two"):
            router.stderr.wait_for(f"{name} is ready")
        yield CodingRouter(workspace, router)


@pytest.fixture(scope="module")
def coding(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CodingRouter]:
    with coding_router(tmp_path_factory.mktemp("coding")) as router:
        yield router


def params(code: str) -> dict[str, Any]:
    return {"name": "mcp.router.run", "arguments": {"code": code}}


def run(client: HttpClient, code: str) -> tuple[dict[str, Any], bool]:
    """Return the report on a run, and whether it failed."""
    status, body = client.post({"id": "run", "method": "tools/call", "params": params(code)})
    assert status == 200, body
    result = json.loads(body)["result"]
    return json.loads(result["content"][0]["text"]), result["isError"]


def wait_until(condition: Any) -> None:
    ends_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < ends_s
        time.sleep(0.02)


def test_tools_of_two_servers_are_found_and_chained_in_one_run(coding: CodingRouter) -> None:
    code = """
found = await search("give back the text", limit=2)
names = sorted(one["name"] for one in found["tools"])
text = await call_tool(names[0], {"text": "hello"})
text = await call_tool(names[1], {"text": text + ", world"})
print(names)
(await call_tool("one__structured"), text)
"""
    with coding.client() as client:
        listed = json.loads(client.post({"id": "list", "method": "tools/list"})[1])
        assert "mcp.router.run" in {one["name"] for one in listed["result"]["tools"]}
        report, failed = run(client, code)
    assert not failed, report
    assert report["printed"] == "['one__echo', 'two__echo']\n"
    assert report["result"][1] == "hello, world"
    assert isinstance(report["result"][0], dict)
    called = ["search", "one__echo", "two__echo", "one__structured"]
    assert [(one["tool"], one["ok"]) for one in report["calls"]] == [
        (name, True) for name in called
    ]
    wait_until(lambda: len(coding.audited("call")) >= len(called) + 1)
    *inner, outer = coding.audited("call")
    assert [one["target"] for one in inner] == ["mcp.router.search", "echo", "echo", "structured"]
    assert outer["target"] == "mcp.router.run"
    assert {one["principal"] for one in (*inner, outer)} == {"ann"}
    infos = {one["client"]: one["client_info"] for one in coding.audited("session_opened")}
    assert {infos[one["client"]].split()[0] for one in inner} == {"mcp.router.run"}


def test_code_has_no_more_rights_than_its_caller_and_reaches_nothing_else(
    coding: CodingRouter,
) -> None:
    code = """
refused = []
for name in ["one__pid", "one__fail", "mcp.router.run", "nobody__nothing"]:
    try:
        await call_tool(name)
    except RuntimeError as error:
        refused.append(name)
print(refused)
open("/etc/passwd").read()
"""
    with coding.client() as client:
        report, failed = run(client, code)
        assert run(client, "1 + 1")[0]["result"] == 2
    assert failed
    assert report["printed"].count("'") == 8
    assert report["error"].endswith("PermissionError: Permission denied: '/etc/passwd'")
    assert str(coding.workspace.path) not in report["error"]


def test_each_call_of_code_counts_against_the_limits_of_the_token(coding: CodingRouter) -> None:
    code = """
made = 0
try:
    for n in range(5):
        await call_tool("two__echo", {"text": "x"})
        made += 1
except RuntimeError as error:
    print(error)
made
"""
    with coding.client(LIMITED) as client:
        report, _ = run(client, code)
    assert report["result"] == RATE["calls_per_minute"]
    assert "bob" in report["printed"]


@pytest.mark.parametrize("code", [BUSY, "await call_tool('one__hang', {'label': 'x'})"])
def test_a_run_whose_client_cancels_it_leaves_no_process(coding: CodingRouter, code: str) -> None:
    with coding.client() as client:
        other = client.on_another_connection()
        client.send({"id": 7, "method": "tools/call", "params": params(code)})
        wait_until(lambda: len(coding.sandboxes()) >= 2)
        before = coding.sandboxes()
        cancelled = {"method": "notifications/cancelled", "params": {"requestId": 7}}
        assert other.post(cancelled)[0] == 202
        assert still_running(before, WAIT_S) == []
        other.close()


def test_a_router_that_is_killed_leaves_no_process(tmp_path: Path) -> None:
    with coding_router(tmp_path) as coding, coding.client() as client:
        client.send({"id": 7, "method": "tools/call", "params": params(BUSY)})
        wait_until(lambda: len(coding.sandboxes()) >= 2)
        left = coding.sandboxes()
        try:
            coding.router.stop(signal.SIGKILL)
            assert still_running(left, WAIT_S) == []
        finally:
            kill_all(left)


def test_a_stop_ends_a_run_with_its_answer(tmp_path: Path) -> None:
    with coding_router(tmp_path) as coding, coding.client() as client:
        answers: list[Any] = []
        thread = threading.Thread(target=lambda: answers.append(run(client, BUSY)))
        thread.start()
        wait_until(lambda: len(coding.sandboxes()) >= 2)
        left = coding.sandboxes()
        assert coding.router.stop() == 0
        thread.join(WAIT_S)
        ((report, failed),) = answers
        assert failed
        assert report["error"] == "The router is stopping"
        assert still_running(left) == []

"""Limits that keep one client, one result and one question from costing all others too much."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any, Final

import pytest

from router.messages.errors import OVERLOADED
from tests.e2e.client_2026 import Client2026, request, tool_call
from tests.e2e.ports import free_port
from tests.e2e.processes import router_command
from tests.e2e.raw_client import HELLO, HttpClient, StdioRouter
from tests.e2e.rest_client import RestClient
from tests.e2e.shared_router import add_asking
from tests.e2e.workspace import CHAOS, CONFIG, Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

FLOOD: Final = 10_000
AT_ONCE: Final = 100
"""Answers that fit into a pipe which nobody reads from meanwhile."""

LIMIT_S: Final = 60.0
LONG_S: Final = 3600
QUESTION_S: Final = 1
LINES: Final = "".join(f"line {number:05}\n" for number in range(2000))
RESULT_LIMIT: Final = 4096


def add_chaos(workspace: Workspace, name: str, **entry: Any) -> None:
    argv = [sys.executable, "-B", str(CHAOS), "plain", str(workspace.path)]
    workspace.add_command(name, *argv, **entry)


def until(is_true: Callable[[], bool]) -> None:
    """Ask again and again; each time is a round trip to the router."""
    ends_at_s = time.monotonic() + LIMIT_S
    while not is_true():
        assert time.monotonic() < ends_at_s


# --- One client floods -----------------------------------------------------------------------


class Flooded:
    """A router with one client on stdio, and others over HTTP."""

    def __init__(self, workspace: Workspace, stack: ExitStack) -> None:
        http, api = free_port(), free_port()
        workspace.configure(
            server=CONFIG["server"] | {"http": {"port": http}},
            api={"enabled": True, "port": api},
            mcp_client={"timeout": LONG_S},
        )
        words = ("serve", "--transport", "stdio", "--transport", "http", *workspace.words)
        # In one process with a listener, so that the client on stdio is one of several.
        command = router_command(*words)
        self.greedy = stack.enter_context(StdioRouter(command, stderr=subprocess.DEVNULL))
        self.greedy.initialize()
        self.rest = RestClient(api, token=None)
        self.other = stack.enter_context(closing(HttpClient(f"http://127.0.0.1:{http}/mcp")))
        self.other.initialize()
        until(lambda: all(row["state"] == "ready" for row in self.status().values()))

    def status(self) -> dict[str, Any]:
        return {row["name"]: row for row in self.rest.ask("GET", "/api/status").json}

    def floods(self, instance: str, numbers: Iterable[int]) -> None:
        """Have the client on stdio begin calls that never end."""
        wanted = {"instance_name": instance, "tool_name": "hang", "arguments": {}}
        params = {"name": "mcp.router.call", "arguments": wanted}
        for number in numbers:
            self.greedy.send(id=f"flood-{number}", method="tools/call", params=params)


@pytest.fixture
def flooded(workspace: Workspace) -> Iterator[Flooded]:
    add_chaos(workspace, "open")
    add_chaos(workspace, "few", max_in_flight=2)
    with ExitStack() as stack:
        yield Flooded(workspace, stack)


def test_a_client_with_ten_thousand_calls_in_flight_does_not_hold_up_another(
    flooded: Flooded,
) -> None:
    flooded.floods("open", range(FLOOD))
    until(lambda: flooded.status()["open"]["in_flight"] == FLOOD)
    assert flooded.other.call(1, "open", "echo", text="hi")["content"][0]["text"] == "hi"


def test_with_few_calls_at_a_time_the_next_turn_is_that_of_the_other_client(
    flooded: Flooded,
) -> None:
    flooded.floods("few", range(4))
    # Two are in flight and two wait for their turn. All others are refused at once.
    for first in range(4, FLOOD // 10, AT_ONCE):
        numbers = range(first, first + AT_ONCE)
        flooded.floods("few", numbers)
        for number in numbers:
            answer = flooded.greedy.answer_to(f"flood-{number}")["result"]
            error = json.loads(answer["content"][0]["text"])
            assert error["code"] == "OVERLOADED"
            assert "2 of 2 calls are in flight and 2 of 2 wait" in error["error"]
    with ThreadPoolExecutor(1) as threads:
        other = threads.submit(flooded.other.call, 1, "few", "echo", text="hi")
        # It got the place of the greedy client's newest call.
        assert flooded.greedy.answer_to("flood-3")["result"]["isError"] is True
        row = flooded.status()["few"]
        assert (row["in_flight"], row["waiting"]) == (2, 2)
        cancelled = {"requestId": "flood-0"}
        flooded.greedy.send(method="notifications/cancelled", params=cancelled)
        assert other.result(LIMIT_S)["content"][0]["text"] == "hi"


def test_beyond_the_queue_a_transparent_view_has_the_error_itself(workspace: Workspace) -> None:
    add_chaos(workspace, "few", max_in_flight=1, timeout=LONG_S)
    with StdioRouter(router_command("stdio", "--view", "few", *workspace.words)) as client:
        client.initialize()
        for number in range(3):
            client.send(id=f"n{number}", method="tools/call", params={"name": "hang"})
        error = client.answer_to("n2")["error"]
    assert (error["code"], error["data"]) == (OVERLOADED, {"max_in_flight": 1})


# --- One result is large ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a router that cuts large results, and gives up on questions soon."""
    workspace = Workspace(tmp_path_factory.mktemp("limited"))
    workspace.configure(mcp_client={"question_timeout_s": QUESTION_S})
    add_chaos(workspace, "cut", max_result_bytes=RESULT_LIMIT)
    add_asking(workspace)
    with workspace.serve("http") as router:
        yield router.url("/mcp")


def read_on(read: Callable[[str], Any], result: Any) -> str:
    """Return the text of a cut result and of all pages after it."""
    text, said = (item["text"] for item in result["content"][:2])
    assert f"of {len(LINES):,} bytes" in said
    while (found := re.search(r"mcp-router://[^ \]]+", said)) is not None:
        page, after = read(found[0])["contents"]
        assert len(page["text"]) <= RESULT_LIMIT
        text, said = text + page["text"], after["text"]
    return text


def test_a_client_with_a_session_reads_on_in_a_cut_result(limited: str) -> None:
    with closing(HttpClient(limited)) as client:
        client.initialize()

        def read(uri: str) -> Any:
            message = {"id": uri, "method": "resources/read", "params": {"uri": uri}}
            return json.loads(client.post(message)[1])["result"]

        result = client.call(1, "cut", "echo", text=LINES)
        assert result["content"][2]["type"] == "resource_link"
        assert read_on(read, result) == LINES
        assert client.call(2, "cut", "echo", text="short")["content"][0]["text"] == "short"


def test_a_client_without_a_session_reads_on_in_a_cut_result(limited: str) -> None:
    client = Client2026(limited)
    result = client.post(tool_call("cut", "echo", {"text": LINES})).result
    assert (
        read_on(lambda uri: client.post(request("resources/read", uri=uri)).result, result) == LINES
    )


def test_a_uri_that_was_changed_reads_nothing(limited: str) -> None:
    client = Client2026(limited)
    result = client.post(tool_call("cut", "echo", {"text": LINES})).result
    uri = result["content"][2]["uri"]
    changed = uri.replace("/results/", "/results/A")
    assert client.post(request("resources/read", uri=changed)).error["code"] == -32602


# --- One question is not answered ------------------------------------------------------------


def test_a_question_that_nobody_answers_fails_and_its_call_goes_on(limited: str) -> None:
    with closing(HttpClient(limited)) as client:
        hello = HELLO | {"capabilities": {"elicitation": {}}}
        assert client.post({"id": "hello", "method": "initialize", "params": hello})[0] == 200
        client.post({"method": "notifications/initialized"})
        wanted = {"instance_name": "asking", "tool_name": "form", "arguments": {}}
        params = {"name": "mcp.router.call", "arguments": wanted}
        _, body = client.post({"id": 1, "method": "tools/call", "params": params})
    events = [line.removeprefix(b"data:") for line in body.splitlines() if b"jsonrpc" in line]
    question, cancelled, answer = map(json.loads, events)
    assert question["method"] == "elicitation/create"
    assert cancelled["params"]["requestId"] == question["id"]
    (reply,) = json.loads(answer["result"]["content"][0]["text"])
    limit = f"{QUESTION_S} s (mcp_client.question_timeout_s)"
    assert reply["error"]["message"] == f"The client has not answered within {limit}"
    assert limit in cancelled["params"]["reason"]

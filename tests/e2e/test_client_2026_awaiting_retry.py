"""Calls held for a raw client of 2026-07-28: it retries, or never does, or others come first.

The upstream has a handshake. `test_client_2026_input_required` has the kinds of questions.
"""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e.client_2026 import Client2026, asked, bare, envelope, request, retried, tool_call
from tests.e2e.client_answers import ALL_CAPABILITIES, FORM_FILLED
from tests.e2e.raw_client import StdioRouter
from tests.e2e.shared_router import add_asking, shared_router
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.shared_router import SharedRouter


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedRouter]:
    workspace = Workspace(tmp_path_factory.mktemp("held-calls"))
    add_asking(workspace)
    with shared_router(workspace) as shared:
        yield shared


@pytest.fixture
def client(shared: SharedRouter) -> Client2026:
    return shared.client()


# --- A client that does not come back --------------------------------------------------------


IMPATIENT: Final = {"timeout": 0.2, "question_timeout_s": 1}
"""The question fails first; then its server does not answer the call either."""


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedRouter]:
    """A call may take 0.2 s, and its client a second to answer."""
    workspace = Workspace(tmp_path_factory.mktemp("impatient"))
    add_asking(workspace)
    with shared_router(workspace, mcp_client=IMPATIENT) as shared:
        yield shared


def test_call_whose_client_does_not_come_back_is_cancelled_upstream(
    impatient: SharedRouter,
) -> None:
    client, record = impatient.client(), impatient.workspace.path / "asking.jsonl"
    asking = tool_call("asking", "form_then_hang")
    while (first := client.post(asking).result)["resultType"] == "complete":
        assert first["isError"]  # it still starts, or the machine is busy
    held = [one["id"] for one in _said(record) if one.get("method") == "tools/call"][-1]
    while held not in [one["params"]["requestId"] for one in _cancelled(record)]:
        client.post(request("tools/list"))  # the limit of the whole test bounds this
    late = client.post(retried(asking, first, dict.fromkeys(asked(first), FORM_FILLED))).result
    assert late["isError"]
    assert json.loads(late["content"][0]["text"])["code"] == "TIMEOUT"


def _said(record: Path) -> list[dict[str, Any]]:
    """Return the whole lines that the upstream has received."""
    *lines, _ = record.read_text().split("\n")
    return [json.loads(line) for line in lines]


def _cancelled(record: Path) -> list[dict[str, Any]]:
    return [one for one in _said(record) if one.get("method") == "notifications/cancelled"]


def test_client_that_has_left_a_question_is_asked_the_next_one(workspace: Workspace) -> None:
    """Over HTTP each request is on its own, but the client of all of them is their principal.

    A client need not come back: that must not keep it from being asked for as long as the call it
    has left may last.
    """
    add_asking(workspace)
    with shared_router(workspace) as shared:
        client = shared.client()
        asking = tool_call("asking", "form")
        results = [client.post(asking).result for _ in range(3)]
        for number, result in enumerate(results):
            answers = dict.fromkeys(asked(result), FORM_FILLED)
            done = client.post(retried(asking, result, answers, f"retry-{number}")).result
            assert json.loads(done["content"][0]["text"]) == [FORM_FILLED]


def test_answer_reaches_the_upstream_even_if_the_call_that_brings_it_has_ended(
    shared: SharedRouter,
) -> None:
    """The server asks about the first call while the second is in flight, and then ends that.

    On stdio it does not say which of the two it asks about. Whichever the client is asked for, its
    answer is what the first call waits for.
    """
    calls = {
        each: tool_call("asking", f"{each}_of_two", request_id=each) for each in ("first", "second")
    }
    ended: dict[str, Any] = {}
    with StdioRouter(shared.workspace.stdio_command) as router:
        router.send(**bare(tool_call("asking", "plain", request_id="ready")))
        router.answer_to("ready")
        for message in calls.values():
            router.send(**bare(message))
        while len(ended) < 2:
            answer = router.read()
            each, result = answer["id"], answer["result"]
            if result["resultType"] == "input_required":
                answers = dict.fromkeys(asked(result), FORM_FILLED)
                router.send(**bare(retried(calls[each], result, answers, each)))
            else:
                ended[each] = result["content"][0]["text"]
    assert ended["second"] == "second"
    assert json.loads(ended["first"]) == [FORM_FILLED]


def test_client_may_come_back_while_the_router_stops(workspace: Workspace) -> None:
    """A held call counts as in flight, so the drain waits for the call."""
    add_asking(workspace)
    with shared_router(workspace) as shared:
        client = shared.client()
        asking = tool_call("asking", "form")
        first = client.post(asking).result
        shared.router.popen.send_signal(signal.SIGTERM)
        shared.router.stderr.wait_for("Stopping")
        done = client.post(retried(asking, first, dict.fromkeys(asked(first), FORM_FILLED))).result
        assert json.loads(done["content"][0]["text"]) == [FORM_FILLED]
        assert shared.router.wait() == 0


def test_leaving_the_stream_of_a_retry_cancels_the_call_upstream(client: Client2026) -> None:
    """The progress of the call comes under the token of the retry."""
    asking = tool_call("asking", "form_then_hang", request_id="first")
    first = client.post(asking).result
    retry = retried(asking, first, dict.fromkeys(asked(first), FORM_FILLED))
    retry["params"]["_meta"] = envelope(ALL_CAPABILITIES, progressToken="of-the-retry")
    with client.stream(retry) as stream:
        assert stream.next()["params"]["progressToken"] == "of-the-retry"
    waits = tool_call("asking", "await_cancelled")
    assert client.post(waits).result["content"][0]["text"] == "cancelled"


def test_held_call_ends_with_its_upstream(workspace: Workspace) -> None:
    """The retry of the client is answered with an error that says so."""
    add_asking(workspace)
    with shared_router(workspace) as shared:
        client = shared.client()
        asking = tool_call("asking", "form")
        first = client.post(asking).result
        client.post(tool_call("asking", "exit", capabilities={}))
        late = client.post(retried(asking, first, dict.fromkeys(asked(first), FORM_FILLED))).result
        assert json.loads(late["content"][0]["text"])["code"] == "SESSION_LOST"


# --- stdio -----------------------------------------------------------------------------------


def test_cancelling_a_retry_on_stdio_cancels_the_call_upstream(shared: SharedRouter) -> None:
    with StdioRouter(shared.workspace.stdio_command) as router:
        asking = tool_call("asking", "form_then_hang", request_id="first")
        router.send(**bare(asking))
        first = router.answer_to("first")["result"]
        (key,) = asked(first)
        router.send(**bare(retried(asking, first, {key: FORM_FILLED}, "retry")))
        assert router.read()["method"] == "notifications/progress"
        params = {"_meta": envelope(), "requestId": "retry"}
        router.send(method="notifications/cancelled", params=params)
        router.send(**bare(tool_call("asking", "await_cancelled", request_id="waits")))
        assert router.answer_to("waits")["result"]["content"][0]["text"] == "cancelled"


def test_two_requests_on_stdio_declare_each_for_itself(shared: SharedRouter) -> None:
    """Capabilities of a request do not count for the next on the same connection."""
    with StdioRouter(shared.workspace.stdio_command) as router:
        able = tool_call("asking", "form", request_id="able", capabilities=ALL_CAPABILITIES)
        router.send(**bare(able))
        first = router.answer_to("able")["result"]
        router.send(**bare(retried(able, first, dict.fromkeys(asked(first), FORM_FILLED), "retry")))
        assert router.answer_to("retry")["result"]["resultType"] == "complete"
        router.send(**bare(tool_call("asking", "form", request_id="unable", capabilities={})))
        (heard,) = json.loads(router.answer_to("unable")["result"]["content"][0]["text"])
        assert heard["error"]["code"] == -32601

"""The load generator: right answers count, and every kind of wrong answer is found."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.native import native
from benchmarks.native.native import Load, LoadError, echo_command, figures_in, load
from tests.benchmarks.native import fake_server
from tests.benchmarks.native.fake_server import Message, calls_answered, right_answer, serving

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.skipif(native.obstacle() is not None, reason=str(native.obstacle()))

CALLS = 12
CALLERS = 4


def make_calls(url: str, **options: Any) -> Load:
    """Make `CALLS` calls by `CALLERS` callers, and count what is wrong."""
    how = {"calls": CALLS, "callers": CALLERS, "counts_faults": True}
    return load("http", url, **(how | options))


@pytest.mark.parametrize(
    "sending",
    [
        fake_server.as_json,
        fake_server.in_chunks,
        fake_server.as_events,
        fake_server.until_close,
    ],
)
def test_right_answers_count_however_they_are_sent(sending: Callable[[Message], bytes]) -> None:
    with serving(sending=sending) as (url, _):
        found = make_calls(url)
    assert (found.calls, found.sent, found.wrong, found.missing) == (CALLS, CALLS, 0, 0)
    assert found.fault is None
    assert 0 < found.p50_us <= found.p99_us


def test_every_call_has_an_id_and_a_text_of_its_own() -> None:
    with serving() as (url, requests):
        make_calls(url)
    calls = [one.message for one in requests if one.message.get("method") == "tools/call"]
    assert len({call["id"] for call in calls}) == CALLS
    assert len({call["params"]["arguments"]["text"] for call in calls}) == CALLS


def test_with_same_ids_all_callers_use_the_same_ones_with_other_texts() -> None:
    with serving() as (url, requests):
        found = make_calls(url, same_ids=True)
    calls = [one.message for one in requests if one.message.get("method") == "tools/call"]
    assert found.calls == CALLS
    assert len({call["id"] for call in calls}) == CALLS // CALLERS
    assert len({call["params"]["arguments"]["text"] for call in calls}) == CALLS


def test_session_is_opened_used_and_closed() -> None:
    with serving() as (url, requests):
        make_calls(url, callers=1)
    assert [one.message.get("method") for one in requests] == [
        "initialize",
        "notifications/initialized",
        *["tools/call"] * CALLS,
        None,
    ]
    assert "Mcp-Session-Id" not in requests[0].head
    assert all("Mcp-Session-Id: a-session" in one.head for one in requests[1:])
    assert requests[-1].head.startswith("DELETE /mcp ")


def test_sessions_can_be_left_open() -> None:
    with serving() as (url, requests):
        make_calls(url, keep_sessions=True)
    assert not any(one.head.startswith("DELETE") for one in requests)


def test_headers_tool_and_arguments_are_those_that_are_asked_for() -> None:
    with serving() as (url, requests):
        make_calls(
            url,
            headers={"Authorization": "Bearer abc"},
            tool="one__echo",
            arguments='{"deep":{"er":1},"text":"%TEXT%"}',
            accept="text/event-stream",
            text_bytes=200,
        )
    assert all("\r\nAuthorization: Bearer abc\r\n" in one.head for one in requests)
    call = next(one for one in requests if one.message.get("method") == "tools/call")
    assert "\r\nAccept: text/event-stream\r\n" in call.head
    assert call.message["params"]["name"] == "one__echo"
    assert call.message["params"]["arguments"]["deep"] == {"er": 1}
    assert len(call.message["params"]["arguments"]["text"]) == 200


def _changed(text: Callable[[str], Any]) -> fake_server.Answering:
    """Answer each call with another text."""

    def change(_: Message, answer: Message) -> Message:
        answer["result"]["content"][0]["text"] = text(answer["result"]["content"][0]["text"])
        return answer

    return calls_answered(change)


@pytest.mark.parametrize(
    "answer",
    [
        _changed(lambda text: text.replace("caller 1", "caller 2")),
        _changed(lambda text: text[:-1]),
        _changed(lambda text: text + "x"),
        _changed(lambda text: text + "."),
        _changed(lambda _: None),
        calls_answered(lambda _, answer: answer | {"result": {}}),
        calls_answered(lambda _, answer: answer | {"result": {"content": []}}),
        calls_answered(lambda call, _: {"id": call["id"], "error": {"code": 1, "message": "no"}}),
    ],
)
def test_another_text_is_a_wrong_answer(answer: fake_server.Answering) -> None:
    with serving(answer) as (url, _):
        found = make_calls(url, callers=2)
    assert found.wrong > 0
    assert found.calls + found.wrong == found.sent == CALLS
    assert found.fault is not None
    assert found.fault.startswith("another text: {")


@pytest.mark.parametrize("other", [lambda id_: id_ + 1, str, lambda _: None])
def test_answer_with_another_id_is_wrong_and_the_call_has_none(other: Callable[[int], Any]) -> None:
    answer = calls_answered(lambda _, answer: answer | {"id": other(answer["id"])})
    with serving(answer) as (url, _):
        found = make_calls(url)
    assert (found.calls, found.wrong, found.missing) == (0, CALLS, CALLS)


def test_crossed_answers_with_same_ids_are_found_by_their_texts() -> None:
    held: list[Message] = []

    def crossed(_: Message, answer: Message) -> Message:
        """Answer with what was held for the caller before."""
        held.append(answer)
        return held.pop(0) | {"id": answer["id"]} if len(held) > 1 else answer

    with serving(calls_answered(crossed)) as (url, _):
        found = make_calls(url, same_ids=True)
    assert found.wrong == CALLS - 1
    assert found.missing == 0


def test_call_without_an_answer_is_missing() -> None:
    with serving(calls_answered(lambda *_: None)) as (url, _):
        found = make_calls(url)
    assert (found.calls, found.wrong, found.missing) == (0, 0, CALLS)
    assert found.fault is not None
    assert found.fault.startswith("a response without the answer")


def test_refused_calls_are_missing() -> None:
    with serving(call_status=503) as (url, _):
        found = make_calls(url)
    assert (found.calls, found.missing) == (0, CALLS)
    assert found.fault == "a call was refused: busy"


def test_calls_on_connections_that_the_server_closes_are_missing() -> None:
    with serving(call_status=0) as (url, _):
        found = make_calls(url)
    assert (found.calls, found.missing) == (0, CALLS)
    assert found.fault is not None
    assert found.fault.startswith("the connection was closed")


def test_wrong_answers_are_an_error_unless_they_are_counted() -> None:
    with (
        serving(_changed(lambda text: text.upper())) as (url, _),
        pytest.raises(LoadError, match=r"12 wrong and 0 missing answers: another text: .*http://"),
    ):
        make_calls(url, counts_faults=False)


def test_session_that_is_refused_ends_the_load() -> None:
    def refusing(message: Message) -> Message:
        return {"jsonrpc": "2.0", "id": message["id"], "error": {"code": -1, "message": "full"}}

    with serving(refusing) as (url, _), pytest.raises(LoadError, match="initialize was refused"):
        make_calls(url)


def test_server_that_is_not_there_ends_the_load() -> None:
    with serving() as (url, _):
        pass
    with pytest.raises(LoadError, match=re.escape(url)):
        make_calls(url)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["ftp", "http://127.0.0.1/"],
        ["http"],
        ["http", "https://127.0.0.1/"],
        ["http", "http://127.0.0.1/", "--callers", "many"],
        ["http", "http://127.0.0.1/", "--callers", "0"],
        ["http", "http://127.0.0.1/", "--arguments", "{}"],
        ["http", "http://127.0.0.1/", "--tool"],
        ["stdio"],
        ["stdio", "--"],
        ["stdio", "--same-ids", "--", "cat"],
    ],
)
def test_options_that_are_not_understood_are_answered_with_the_usage(words: list[str]) -> None:
    done = native.run_program("load", words)
    assert done.returncode == 2
    assert "usage: load http|sse URL" in done.stderr
    assert not done.stdout


# --- Over stdio -------------------------------------------------------------------------------


def test_stdio_calls_share_one_process() -> None:
    found = load("stdio", echo_command(), calls=CALLS, callers=CALLERS)
    assert (found.calls, found.wrong, found.missing) == (CALLS, 0, 0)
    assert found.command_cpu_s is not None
    assert found.command_cpu_s > 0


@pytest.mark.parametrize(("size", "wrong"), [(1 << 18, 0), (1 << 17, CALLS)])
def test_size_of_results_is_checked(size: int, wrong: int) -> None:
    command = echo_command(result_bytes=1 << 18)
    found = load("stdio", command, calls=CALLS, result_bytes=size, counts_faults=True)
    assert (found.calls, found.wrong) == (CALLS - wrong, wrong)


def _crossing_server(crossing: str) -> list[str]:
    """Return a server that answers two calls at a time, after `crossing` changed their ids."""
    program = f"""
import json, sys
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from tests.benchmarks.native.fake_server import right_answer
held = []
for line in sys.stdin:
    answer = right_answer(json.loads(line))
    if answer is None:
        continue
    held.append(answer)
    if "content" in answer["result"] and len(held) < 2:
        continue
    if len(held) == 2:
        {crossing}
    for one in held:
        print(json.dumps(one), flush=True)
    held.clear()
"""
    return [sys.executable, "-c", program]


def test_stdio_answers_may_come_in_any_order() -> None:
    command = _crossing_server("held.reverse()")
    found = load("stdio", command, calls=CALLS, callers=2)
    assert found.calls == CALLS


def test_crossed_stdio_answers_are_wrong() -> None:
    crossing = "held[0]['id'], held[1]['id'] = held[1]['id'], held[0]['id']"
    found = load("stdio", _crossing_server(crossing), calls=CALLS, callers=2, counts_faults=True)
    assert (found.calls, found.wrong) == (0, CALLS)


def test_stdio_answers_that_never_come_are_missing() -> None:
    command = _crossing_server("held.pop()")
    found = load("stdio", command, calls=CALLS, callers=2, patience=0.5, counts_faults=True)
    assert (found.sent, found.calls, found.missing) == (3, 1, 2)  # the server holds the third


def test_command_that_ends_at_once_ends_the_load() -> None:
    with pytest.raises(LoadError, match="the command ended"):
        load("stdio", [sys.executable, "-c", ""], calls=1)


# --- Its figures ------------------------------------------------------------------------------

FIGURES = {
    "calls": 10,
    "seconds": 0.5,
    "p50_us": 1.5,
    "p99_us": 2.0,
    "sent": 12,
    "wrong": 0,
    "missing": 0,
    "cpu_s": 0.1,
    "fault": None,
    "command_cpu_s": 0.2,
}


def test_figures_are_read_back() -> None:
    assert figures_in(json.dumps(FIGURES)) == Load(**FIGURES)
    assert figures_in(json.dumps(FIGURES)).per_second == 20


@pytest.mark.parametrize(
    "line", ["", "calls: 10", "[]", "{}", json.dumps(FIGURES | {"more": 1}), "null"]
)
def test_anything_else_is_an_error(line: str) -> None:
    with pytest.raises(LoadError, match="Not the figures of a load"):
        figures_in(line)


def test_fake_server_answers_rightly_unless_it_is_told_otherwise() -> None:
    call = {"id": 7, "method": "tools/call", "params": {"arguments": {"text": "hello"}}}
    answer = right_answer(call)
    assert answer is not None
    assert answer["id"] == 7
    assert answer["result"]["content"][0]["text"] == "hello"

"""Runs of code: who may begin one, what is run, and how it ends."""

from typing import Any

import pytest

from router.core.protocol.own_tools.search_tools import MAX_CODE_BYTES
from router.messages.commands import Principal
from router.messages.instances.exposure import Profile
from router.messages.observability.records import CallRecord
from router.messages.own_tools.code_runs import MAX_RUNS, CodeEnded, EndCode, RunCode
from tests.router.core.conversation import Conversation, FakeClient, SentRequest, raw

RESULT = {"content": [{"type": "text", "text": '{"result":1}'}], "isError": False}
CODE = "await call_tool('a__echo')"


def coding(*, can_run_code: bool = True, **settings: Any) -> Conversation:
    """Begin a conversation with a profile that exposes code, and one that searches."""
    profiles = {"work": Profile("code"), "home": Profile("search")}
    talk = Conversation(profiles=profiles, can_run_code=can_run_code, **settings)
    talk.with_instance("a", "echo")
    return talk


def runs(client: FakeClient, code: Any = CODE, **arguments: Any) -> SentRequest:
    return client.calls("mcp.router.run", {"code": code} | arguments)


def begun(talk: Conversation) -> RunCode:
    """Return the only run that has begun."""
    (run,) = talk.runs
    assert isinstance(run, RunCode)
    return run


def test_code_is_run_for_its_caller_and_its_result_is_the_answer() -> None:
    talk = coding(records=frozenset({"audit"}))
    ann = talk.client(principal=Principal("ann"), view="work")
    asked = runs(ann)
    assert asked.is_waiting
    run = begun(talk)
    assert (run.code, run.timeout_s) == (CODE, 30)
    assert (run.principal.name, run.place) == ("ann", "work")
    talk.happens(CodeEnded(run.key, raw(RESULT)))
    assert asked.result == RESULT
    assert talk.state.code_runs == {}
    (record,) = [one for one in talk.records if isinstance(one, CallRecord)]
    assert (record.principal, record.target) == ("ann", "mcp.router.run")


@pytest.mark.parametrize(
    ("place", "can_run_code", "way_out"),
    [
        (None, True, 'run is off: a profile with "expose": "code" offers it'),
        ("home", True, 'run is off: a profile with "expose": "code" offers it'),
        ("work", False, "run is off: install mcp-router[code] where the router is, and restart it"),
    ],
)
def test_where_run_is_off_it_is_refused_with_the_way_out(
    place: str | None, can_run_code: bool, way_out: str
) -> None:
    talk = coding(can_run_code=can_run_code)
    alice = talk.client(view=place)
    asked = runs(alice)
    assert asked.result["isError"]
    assert way_out in str(asked.result["content"][0]["text"]).replace('\\"', '"')
    assert talk.runs == []


def test_run_is_listed_where_it_can_be_called() -> None:
    assert "mcp.router.run" in coding().client(view="work").lists()
    assert "mcp.router.run" not in coding().client(view="home").lists()
    without = coding(can_run_code=False).client(view="work").lists()
    assert without == coding().client(view="home").lists()


def test_run_needs_the_permission_to_call() -> None:
    talk = coding()
    reader = Principal("reader", permissions=frozenset({"read"}))
    assert runs(talk.client(principal=reader, view="work")).result["isError"]
    assert talk.runs == []


@pytest.mark.parametrize(
    ("code", "timeout_s", "problem"),
    [
        (3, None, "code must be a string"),
        ("x" * (MAX_CODE_BYTES + 1), None, "arguments.code has 65,537 bytes; at most 65,536"),
        ("1", 0, "a number of seconds from 0.1 to 20, the time of a call (mcp_client.timeout)"),
        ("1", 21, "a number of seconds from 0.1 to 20"),
        ("1", "5", "a number of seconds from 0.1 to 20"),
    ],
)
def test_wrong_arguments_are_refused(code: Any, timeout_s: Any, problem: str) -> None:
    talk = coding(timeout_s=20)
    asked = runs(talk.client(view="work"), code, timeout_s=timeout_s)
    assert problem in asked.result["content"][0]["text"]


def test_a_run_takes_no_longer_than_a_call_may() -> None:
    talk = coding(timeout_s=20)
    alice = talk.client(view="work")
    runs(alice)
    runs(alice, timeout_s=2.5)
    assert [one.timeout_s for one in talk.runs if isinstance(one, RunCode)] == [20, 2.5]


def test_a_run_that_is_cancelled_is_ended_and_its_late_end_is_dropped() -> None:
    talk = coding()
    alice = talk.client(view="work")
    asked = runs(alice)
    run = begun(talk)
    alice.cancels(asked)
    assert talk.runs[1:] == [EndCode(run.key, "Nobody waits for the result any more")]
    talk.happens(CodeEnded(run.key, raw(RESULT)))
    assert not asked.finals


def test_the_runs_of_a_client_that_is_gone_are_ended() -> None:
    talk = coding()
    alice = talk.client(view="work")
    runs(alice)
    run = begun(talk)
    alice.leaves()
    assert talk.runs[1:] == [EndCode(run.key, "Nobody waits for the result any more")]
    assert talk.state.code_runs == {}


def test_a_stop_ends_runs_and_waits_for_their_answers() -> None:
    talk = coding()
    alice = talk.client(view="work")
    asked = runs(alice)
    run = begun(talk)
    talk.drains()
    assert talk.runs[1:] == [EndCode(run.key, "The router is stopping")]
    assert talk.replies == []
    talk.happens(CodeEnded(run.key, raw(RESULT)))
    assert asked.result == RESULT
    assert talk.replies == [None]
    assert runs(alice).result["isError"]


def test_runs_that_wait_are_bounded() -> None:
    talk = coding()
    alice = talk.client(view="work")
    for _ in range(MAX_RUNS):
        runs(alice)
    refused = runs(alice)
    assert "Too many runs of code" in refused.result["content"][0]["text"]
    assert len(talk.runs) == MAX_RUNS


def test_a_request_without_a_session_runs_code_and_is_forgotten_after_its_answer() -> None:
    talk = coding()
    alice = talk.stateless_client(view="work")
    asked = alice.calls("mcp.router.run", {"code": CODE})
    talk.happens(CodeEnded(begun(talk).key, raw(RESULT)))
    assert asked.result["content"] == RESULT["content"]
    assert asked.result["resultType"] == "complete"
    assert talk.state.code_runs == {}

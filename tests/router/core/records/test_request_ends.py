"""Every request is counted once, under its instance and its kind, as `ShowMetrics` shows."""

from typing import Any

import pytest

from router.messages.commands import CallTool, Principal, ShowMetrics
from router.messages.errors import NOT_ALLOWED
from router.messages.instances.exposure import Profile
from router.messages.observability.metrics import CoreMetrics, InstanceMetrics
from router.messages.observability.records import CallRecord
from tests.router.core.conversation import T_S, Conversation, raw, ready, spec
from tests.router.core.limits import limited
from tests.router.core.per_client import per_client

OK = {"content": [], "isError": False}


def metrics(talk: Conversation, principal: Principal | None = None) -> CoreMetrics:
    return talk.admin_asks(ShowMetrics(), principal or Principal("watcher")).answer


def of(talk: Conversation, name: str = "a") -> InstanceMetrics:
    (found,) = [one for one in metrics(talk).instances if one.name == name]
    return found


def ends(talk: Conversation, name: str = "a") -> dict[str, dict[tuple[str, str], int]]:
    methods = of(talk, name).methods if name else metrics(talk).own
    return {kind: counts.ends for kind, counts in methods.items()}


def test_calls_are_counted_as_they_end() -> None:
    talk, alice, upstream = ready("b")
    for error in (None, {"code": -1, "message": ""}, {"code": -32602, "message": ""}):
        alice.routes("echo")
        talk.time_passes(2.0)
        request = upstream.sees_one()
        if error is None:
            upstream.answers(request, OK)
        else:
            upstream.fails(request, error)
    alice.cancels(alice.routes("echo"))
    alice.routes("echo")
    talk.time_passes(T_S)
    assert ends(talk) == {
        "tools/call": {
            ("ok", ""): 1,
            ("error", "other"): 1,
            ("error", "-32602"): 1,
            ("cancelled", ""): 1,
            ("error", "-32011"): 1,
        }
    }
    assert of(talk).methods["tools/call"].sum_s == 3 * 2.0 + T_S
    assert ends(talk, "b") == {}


def test_kinds_are_few() -> None:
    profile = Profile("transparent", ("a",))
    talk = Conversation(view="direct", profiles={"lone": profile})
    upstream = talk.with_instance("a", "echo", prompts=["p"], resources=["file:///x"])
    alice, bob = talk.client(), talk.client(view="lone")
    bob.initializes()
    alice.calls("a__echo")
    alice.asks("prompts/get", {"name": "a__p"})
    alice.reads("file:///x")
    bob.asks("acme/anything")
    bob.asks("tools/list")
    for request in upstream.sees():
        upstream.answers(request, {"tools": []})
    alice.asks("ping")
    alice.lists()
    assert ends(talk) == {
        kind: {("ok", ""): number}
        for kind, number in {
            "tools/call": 1,
            "prompts/get": 1,
            "resources/read": 1,
            "other": 2,
        }.items()
    }
    assert ends(talk, "") == {}


def test_the_routers_own_tools_and_what_reached_no_instance_are_counted_apart() -> None:
    talk, alice, _ = ready()
    alice.uses("a")
    alice.calls("mcp.router.list")
    alice.calls("mcp.router.help", {"instance_name": "gone"})
    alice.routes("echo", instance="gone")
    alice.asks("tasks/get", {"taskId": "t"})
    assert ends(talk, "") == {
        "router": {("ok", ""): 2, ("error", "-32010"): 1},
        "tools/call": {("error", "-32010"): 1},
        "tasks": {("error", "-32601"): 1},
    }
    assert ends(talk) == {}


def test_a_call_by_rest_is_counted_like_any_other() -> None:
    talk, _, upstream = ready()
    talk.admin_asks(CallTool("a", "echo", raw({})))
    upstream.answers(upstream.sees_one(), OK)
    assert ends(talk) == {"tools/call": {("ok", ""): 1}}


def test_what_is_in_flight_waits_and_is_refused_is_told_apart() -> None:
    talk, alice, _ = limited.ready_with(limited.limited())
    for mark in range(3):
        limited.asks(alice, mark)
    shown = of(talk)
    assert (shown.in_flight, shown.waiting_for_turn, shown.waiting_for_start) == (1, 1, 0)
    assert shown.shed == 1
    assert shown.methods["tools/call"].ends == {("error", "-32015"): 1}


def test_requests_that_wait_for_a_start_are_shown() -> None:
    talk = Conversation()
    talk.configured(spec("a"))
    talk.starting("a")
    talk.client().routes("echo")
    shown = of(talk)
    assert (shown.state, shown.sessions, shown.waiting_for_start) == ("starting", 0, 1)
    talk.up("a", "echo")
    shown = of(talk)
    assert (shown.state, shown.sessions, shown.waiting_for_start) == ("ready", 1, 0)
    assert shown.in_flight == 1


def test_only_unexpected_ends_are_restarts() -> None:
    talk, _, _ = ready()
    talk.down("a", retry_in_s=1.0)
    talk.starting("a")
    talk.up("a", "echo")
    talk.down("a", retry_in_s=0)  # A command starts it anew.
    talk.starting("a")
    talk.failed("a")
    talk.down("gone")
    assert of(talk).restarts == 2


def test_restarts_of_one_clients_session_count_for_the_instance() -> None:
    talk = Conversation()
    talk.configured(per_client())
    alice = talk.client()
    alice.initializes()
    alice.routes("echo")
    name = talk.started[-1].name
    talk.starting(name)
    talk.up(name, "echo")
    assert (of(talk).sessions, of(talk).in_flight) == (1, 1)
    talk.down(name, retry_in_s=1.0)
    assert (of(talk).sessions, of(talk).restarts) == (0, 1)


def test_a_server_that_is_spared_is_counted() -> None:
    talk, alice, upstream = ready()
    for _ in range(5):
        alice.routes("echo")
        upstream.fails_to_answer(upstream.sees_one())
    assert (of(talk).ejections, of(talk).state) == (1, "degraded")


def test_counts_survive_a_change_of_the_instance_and_not_its_removal() -> None:
    talk, alice, upstream = ready()
    alice.routes("echo")
    upstream.answers(upstream.sees_one(), OK)
    talk.configured(spec("a", command="other"))
    assert ends(talk) == {"tools/call": {("ok", ""): 1}}
    talk.configured()
    assert metrics(talk).instances == ()
    talk.configured(spec("a"))
    assert ends(talk) == {}


def test_clients_are_counted_by_era() -> None:
    talk, _, _ = ready()
    connection = talk.stateless_connection()
    connection.routes("echo")
    talk.stateless_client().routes("echo")
    shown = metrics(talk)
    assert shown.client_sessions == {"handshake": 1, "either": 1}
    assert shown.lone_requests == 2
    assert shown.awaiting_retry == 0


def test_who_sees_some_instances_gets_their_numbers_alone() -> None:
    talk, alice, _ = ready("b")
    alice.calls("mcp.router.list")
    shown = metrics(talk, Principal("limited", instances=frozenset({"b"})))
    assert [one.name for one in shown.instances] == ["b"]
    assert shown.own == {}
    nobody = Principal("caller", frozenset({"call"}))
    assert talk.admin_asks(ShowMetrics(), nobody).error.code == NOT_ALLOWED


@pytest.mark.parametrize("records", [frozenset[Any](), frozenset({"audit"})])
def test_records_and_counts_agree(records: Any) -> None:
    talk, alice, upstream = ready(records=records)
    alice.routes("echo")
    upstream.answers(upstream.sees_one(), {"content": [], "isError": True})
    assert ends(talk) == {"tools/call": {("ok", ""): 1}}
    kept = [one.outcome for one in talk.records if isinstance(one, CallRecord)]
    assert kept == ["tool_error"] * len(records)

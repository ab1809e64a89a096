"""Calls in flight on an instance that changes: they end first, and nothing else waits for them."""

from collections.abc import Callable

import pytest

from router.core.management.reconfigure import LEAVE_WITHIN_S
from router.messages.commands import RestartInstance
from router.messages.instances.instance_spec import InstanceSpec
from tests.router.core.conversation import Conversation, FakeUpstream, ready, spec

OTHER = spec("a", command="other")
CHANGES: dict[str, tuple[InstanceSpec, ...]] = {
    "changed": (OTHER,),
    "disabled": (spec("a", is_active=False),),
    "broken": (spec("a", problem="${X} is not set"),),
    "removed": (),
}


def commanded(talk: Conversation) -> tuple[list[str], list[str]]:
    """Commands of instances that were started since the beginning, and what was stopped."""
    return [one.command for one in talk.started[1:]], talk.stopped


@pytest.mark.parametrize("change", CHANGES)
def test_a_call_in_flight_ends_before_its_session_does(change: str) -> None:
    talk, alice, upstream = ready()
    first, second = alice.routes("echo"), alice.routes("echo")
    one, two = upstream.sees()
    talk.configured(*CHANGES[change])
    upstream.answers(one, {"n": 1})
    assert commanded(talk) == ([], [])
    upstream.answers(two, {"n": 2})
    assert commanded(talk) == ((["other"], []) if change == "changed" else ([], ["a"]))
    assert (first.result, second.result) == ({"n": 1}, {"n": 2})
    assert talk.state.sessions == {}


def test_new_calls_wait_for_the_new_session() -> None:
    talk, alice, upstream = ready()
    before = alice.routes("echo")
    seen = upstream.sees_one()
    talk.configured(OTHER)
    after = alice.routes("echo")
    assert upstream.sees() == []
    upstream.says("notifications/message", {"level": "error"}, related=seen["id"])
    upstream.answers(seen, {"old": True})
    assert before.result == {"old": True}
    talk.starting("a")
    new = talk.up("a", "echo")
    new.answers(new.sees_one(), {"new": True})
    assert after.result == {"new": True}


@pytest.mark.parametrize("change", ["disabled", "removed"])
def test_a_removed_or_disabled_instance_takes_no_new_calls(change: str) -> None:
    talk, alice, upstream = ready()
    alice.routes("echo")
    upstream.sees()
    talk.configured(*CHANGES[change])
    code, _ = alice.routes("echo").tool_error
    assert code == ("UNAVAILABLE" if change == "disabled" else "INSTANCE_NOT_FOUND")
    assert [row["state"] for row in alice.calls("mcp.router.list").text] == (
        ["disabled"] if change == "disabled" else []
    )


def test_a_client_that_cancels_its_call_lets_the_session_go() -> None:
    talk, alice, _ = ready()
    call = alice.routes("echo")
    talk.configured(OTHER)
    alice.cancels(call)
    assert commanded(talk) == (["other"], [])


def test_calls_that_go_on_too_long_fail() -> None:
    talk = Conversation()
    talk.configured(spec("a", timeout_s=1000.0))
    talk.starting("a")
    talk.up("a", "echo")
    call = talk.client().routes("echo")
    talk.configured(spec("a", command="other"))
    talk.time_passes(LEAVE_WITHIN_S - 1.0)
    assert call.is_waiting
    talk.time_passes(1.5)
    assert call.tool_error == (
        "SESSION_LOST",
        "Instance 'a' was lost during the call: its configuration changed",
    )
    assert commanded(talk) == (["other"], [])
    assert talk.core.next_deadline_s() is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (["changed", "disabled"], ([], ["a"])),
        (["disabled", "changed"], (["other"], [])),
        (["removed", "changed"], (["other"], [])),
        (["changed", "removed"], ([], ["a"])),
        (["disabled", "removed"], ([], ["a"])),
        (["disabled", "changed", "broken"], ([], ["a"])),
    ],
)
def test_of_several_changes_the_last_counts(
    changes: list[str], expected: tuple[list[str], list[str]]
) -> None:
    talk, alice, upstream = ready()
    call = alice.routes("echo")
    for change in changes:
        talk.configured(*CHANGES[change])
    assert commanded(talk) == ([], [])
    upstream.answers(upstream.sees_one(), {})
    assert call.result == {}
    assert commanded(talk) == expected


@pytest.mark.parametrize(
    "ends",
    [
        lambda _, upstream: upstream.breaks("gone"),
        lambda talk, _: talk.down("a", "gone"),
        lambda talk, _: talk.failed("a", "gone"),
    ],
    ids=["session", "down", "failed"],
)
def test_a_session_that_ends_by_itself_takes_its_calls_along(
    ends: Callable[[Conversation, FakeUpstream], None],
) -> None:
    talk, alice, upstream = ready()
    call = alice.routes("echo")
    talk.configured(OTHER)
    ends(talk, upstream)
    assert call.tool_error == ("SESSION_LOST", "Instance 'a' was lost during the call: gone")
    assert commanded(talk) == (["other"], [])
    assert talk.list_row("a")["state"] == "starting"


@pytest.mark.parametrize("restarts", [False, True])
def test_an_incarnation_that_comes_up_while_its_successor_is_wanted_gets_no_call(
    restarts: bool,
) -> None:
    talk = Conversation()
    talk.configured(spec("a"))
    if restarts:
        talk.admin_asks(RestartInstance("a", wait_ready=False))
    else:
        talk.configured(spec("a", command="other"))
    former, wanted = talk.started
    call = talk.client().routes("echo")
    # The supervisor had begun before it took the second command.
    talk.starting("a")
    old = talk.up("a", "echo", start=former.start)
    talk.down("a", "", 0.0)
    talk.starting("a")
    new = talk.up("a", "echo", start=wanted.start)
    assert old.sees() == []
    assert new.sees_one()["method"] == "tools/call"
    assert call.is_waiting


def test_an_incarnation_started_before_the_change_was_made_is_not_the_new_one() -> None:
    talk, alice, _ = ready()
    call = alice.routes("echo")
    talk.configured(OTHER)
    parked = alice.routes("echo")
    talk.starting("a")
    assert call.tool_error[0] == "SESSION_LOST"
    old = talk.up("a", "echo")
    assert parked.is_waiting
    assert old.sees() == []
    talk.starting("a")
    assert talk.up("a", "echo").sees_one()["method"] == "tools/call"

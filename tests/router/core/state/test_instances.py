"""The states of instances, and the search by name or provider."""

import pytest

from router.core.state.instance_table import Instances, new_instance
from router.core.state.instances import InstanceState
from router.messages.commands import ListInstances
from router.messages.errors import RpcError
from tests.router.core.conversation import Conversation, ready, spec


def named(*specs: tuple[str, str]) -> Instances:
    rows = {name: new_instance(spec(name, provider=provider), 0.0) for name, provider in specs}
    return Instances(rows)


def test_an_instance_is_found_by_name_then_by_provider() -> None:
    instances = named(("one", "p"), ("p", "q"), ("two", "r"))
    assert instances.find("p").name == "p"
    assert instances.find("r").name == "two"
    assert [instance.name for instance in instances] == ["one", "p", "two"]


def test_a_provider_with_several_instances_is_an_error_that_names_them() -> None:
    with pytest.raises(RpcError) as caught:
        named(("a", "p"), ("b", "p")).find("p")
    assert caught.value.string_code == "INSTANCE_NOT_FOUND"
    assert str(caught.value) == "Provider 'p' has several instances; name one of them: 'a', 'b'"


def test_with_no_instances_at_all_the_error_says_none() -> None:
    with pytest.raises(RpcError, match=r"Instance not found: x\. Available instances: none"):
        named().find("x")


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, InstanceState.STARTING),
        ({"is_active": False}, InstanceState.DISABLED),
        ({"problem": "no command"}, InstanceState.FAILED),
        ({"is_active": False, "problem": "no command"}, InstanceState.DISABLED),
    ],
)
def test_a_new_instance_begins_as_it_is_configured(
    changes: dict[str, object], state: InstanceState
) -> None:
    assert new_instance(spec("a", **changes), 0.0).state is state


def test_a_call_to_a_misconfigured_instance_names_the_mistake() -> None:
    talk = Conversation()
    talk.configured(spec("a", problem="data/p: \udcff: X is not set"))
    code, message = talk.client().routes("echo").tool_error
    assert code == "UNAVAILABLE"
    assert message == "Instance 'a' not connected: failed: data/p: \\udcff: X is not set"


def test_every_report_changes_the_state_that_is_shown() -> None:
    talk, _, upstream = ready()

    def seen() -> tuple[object, ...]:
        row = talk.list_row("a")
        return row["state"], row["connected"], row["restarts"], row["last_error"]

    assert seen() == ("ready", True, 0, None)
    upstream.breaks("exit code 1")
    assert seen() == ("backoff", False, 0, "exit code 1")
    talk.down("a", "")
    assert seen() == ("backoff", False, 0, "exit code 1")
    talk.starting("a")
    assert seen() == ("starting", False, 1, "exit code 1")
    talk.down("a", "exit code 2", restarts=1)
    assert seen() == ("backoff", False, 1, "exit code 2")
    talk.failed("a", "exit code 3")
    assert seen() == ("failed", False, 5, "exit code 3")
    talk.starting("a")
    talk.up("a")
    assert seen() == ("ready", True, 6, None)
    talk.down("a", "", 0.0)
    assert seen() == ("starting", False, 0, None)
    talk.starting("a")
    assert seen() == ("starting", False, 0, None)
    talk.down("a", "", None)
    assert seen() == ("failed", False, 0, None)


def test_what_a_long_start_does_is_shown_until_it_is_over() -> None:
    talk = Conversation()
    talk.configured(spec("a"))
    talk.delayed("a", "too early")
    assert "doing" not in talk.list_row("a")
    talk.starting("a")
    talk.delayed("a", "installing x")
    talk.delayed("nobody", "installing x")
    assert talk.list_row("a")["doing"] == "installing x"
    call = talk.client().routes("echo")
    talk.time_passes(30)
    assert call.tool_error == ("UNAVAILABLE", "Instance 'a' not connected: starting: installing x")
    talk.down("a", "no such package")
    assert "doing" not in talk.list_row("a")
    assert talk.list_row("a")["retry_in_s"] == 1.0
    assert talk.list_row("a")["last_error"] == "no such package"
    talk.starting("a")
    talk.delayed("a", "installing x")
    call = talk.client().routes("echo")
    talk.time_passes(30)
    assert call.tool_error[1].endswith("starting: installing x; before that: no such package")
    talk.delayed("a", "")
    assert "doing" not in talk.list_row("a")
    talk.delayed("a", "installing x")
    talk.up("a")
    assert {"doing", "retry_in_s"}.isdisjoint(talk.list_row("a"))


def test_a_list_that_is_not_whole_is_said_until_it_is() -> None:
    talk, alice, upstream = ready()
    cut = "tools/list does not end: it was cut"
    upstream.lists("echo", problems=(cut,))
    assert (talk.list_row("a")["state"], talk.list_row("a")["last_error"]) == ("ready", cut)
    (row,) = talk.admin_asks(ListInstances()).answer
    assert row["warnings"] == [cut]
    alice.routes("echo")
    upstream.fails_to_answer(upstream.sees_one(), 503, 7.0)
    assert talk.list_row("a")["last_error"] == "URL answered 503"
    talk.time_passes(7)
    alice.routes("echo")
    upstream.answers(upstream.sees_one(), {"content": []})
    assert talk.list_row("a")["last_error"] == cut
    upstream.lists("echo")
    assert talk.list_row("a")["last_error"] is None


def test_the_time_in_a_state_begins_with_the_state() -> None:
    talk, _, _ = ready()
    talk.time_passes(10)
    assert talk.list_row("a")["in_state_s"] == 10.0
    talk.down("a")
    talk.down("a")
    talk.time_passes(1.5)
    assert talk.list_row("a")["in_state_s"] == 1.5


def test_the_error_counts_down_to_the_next_try() -> None:
    talk, alice, _ = ready()
    talk.failed("a", "why", probe_in_s=60.0)
    talk.time_passes(45)
    assert alice.routes("echo").tool_error[1].endswith("failed: why (next try in 15.0 s)")
    talk.time_passes(45)
    assert alice.routes("echo").tool_error[1].endswith("failed: why (the next try is due)")


def test_a_call_waits_for_an_instance_that_was_ready_but_not_for_one_that_never_was() -> None:
    talk = Conversation()
    talk.configured(spec("a"))
    talk.starting("a")
    talk.down("a", "no such command")
    assert talk.client().routes("echo").tool_error[0] == "UNAVAILABLE"
    talk.starting("a")
    talk.up("a", "echo")
    talk.down("a", "killed")
    assert talk.client().routes("echo").is_waiting


def test_a_call_waits_for_a_restart_on_command() -> None:
    talk, alice, _ = ready()
    talk.down("a", "", retry_in_s=0.0)
    parked = alice.routes("echo")
    assert parked.is_waiting
    assert talk.list_row("a")["state"] == "starting"


def test_wait_for_the_turn_to_start_is_said_wherever_the_state_is() -> None:
    talk = Conversation()
    talk.configured(spec("a"), spec("off", is_active=False))
    for name in ("a", "off", "nobody"):
        talk.queued(name)
    assert "doing" not in talk.list_row("off")
    row = talk.list_row("a")
    assert (row["state"], row["doing"]) == ("starting", "waits for its turn to start")
    call = talk.client().routes("echo")
    talk.time_passes(30)
    waits = "Instance 'a' not connected: starting: waits for its turn to start"
    assert call.tool_error == ("UNAVAILABLE", waits)
    talk.starting("a")
    assert "doing" not in talk.list_row("a")
    talk.down("a", "boom")
    talk.queued("a")
    row = talk.list_row("a")
    assert (row["state"], row["doing"]) == ("backoff", "waits for its turn to start")
    assert row["last_error"] == "boom"

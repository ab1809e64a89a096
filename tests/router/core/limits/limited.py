"""A conversation about an instance that takes few calls at a time."""

from typing import Any

from router.messages.instances.instance_spec import InstanceSpec
from router.messages.instances.run_policy import RunPolicy
from tests.router.core.conversation import Conversation, FakeClient, FakeUpstream, plain, spec


def limited(name: str = "a", at_a_time: int | None = 1, **changes: Any) -> InstanceSpec:
    """Return the configuration of an instance with this `max_in_flight`."""
    return spec(name, run_policy=RunPolicy(max_in_flight=at_a_time), **changes)


def ready_with(
    *specs: InstanceSpec, **settings: Any
) -> tuple[Conversation, FakeClient, FakeUpstream]:
    """Begin a conversation with these instances, of which the first is up, and a client."""
    talk = Conversation(**settings)
    talk.configured(*specs)
    talk.starting(specs[0].name)
    upstream = talk.up(specs[0].name, "echo")
    alice = talk.client()
    alice.initializes()
    return talk, alice, upstream


def asks(client: FakeClient, mark: Any, instance: str = "a") -> Any:
    """Call `echo` with a mark by which the upstream knows the call."""
    routed = {"instance_name": instance, "tool_name": "echo", "arguments": {"mark": mark}}
    return client.calls("mcp.router.call", routed)


def marks(upstream: FakeUpstream) -> list[Any]:
    """Return the marks of all calls that an upstream was sent, in order."""
    frames = [frame for frame in map(plain, upstream.inbox.waiting) if "id" in frame]
    return [frame["params"]["arguments"]["mark"] for frame in frames]


def answers_oldest(upstream: FakeUpstream) -> None:
    """Answer the oldest call that was not answered yet."""
    request = next(frame for frame in map(plain, upstream.inbox.waiting) if "id" in frame)
    upstream.inbox.waiting = [one for one in upstream.inbox.waiting if plain(one) != request]
    upstream.answers(request, {"mark": request["params"]["arguments"]["mark"]})

"""Places, servers and clients for `test_interleaved_views`, and readings of what comes back."""

from collections.abc import Iterator
from typing import Any

import attrs

from router.core.state.deadlines import Deadlines
from router.messages.commands import Principal
from router.messages.exposure import Exposure, NameFilter, Profile
from router.messages.frames import Request
from tests.router.core.conversation import FakeClient, SentRequest, plain, value_of

INSTANCES = ("a", "b", "c")
PLACES = (None, None, "work", "rest", "picked", "clear", "a", "b", "nowhere")
PRINCIPALS = (
    Principal("all"),
    Principal("all"),
    Principal("some", instances=frozenset({"a", "c"})),
    Principal("bound", profile="work"),
)
PROFILES: tuple[dict[str, Profile], ...] = (
    {
        "work": Profile(instances=("a", "b"), tools=NameFilter(deny=("*__secret",))),
        "rest": Profile(instances=("c*",)),
        "picked": Profile("router", instances=("a",)),
        "clear": Profile("transparent", ("b",)),
    },
    {"work": Profile(instances=("c",)), "clear": Profile("transparent", ("c",))},
    {"work": Profile("router"), "rest": Profile("transparent", ("a",)), "picked": Profile()},
    {},
)
VIEWS = ("router", "direct", "direct", "work")

EXPOSURES = (
    Exposure(),
    Exposure(tools=NameFilter(deny=("secret",)), resources=NameFilter(deny=("*shared",))),
)
LISTS = {
    "tools/list": ("tools", "name"),
    "prompts/list": ("prompts", "name"),
    "resources/list": ("resources", "uri"),
    "resources/templates/list": ("resourceTemplates", "uriTemplate"),
}
CAPABILITIES = {"resources": {"subscribe": True}, "logging": {}}


@attrs.define(eq=False)
class Track:
    """A request, and what is known about it.

    Attributes:
        client_id: the row that sent it.
        is_done: nobody waits for it any more.
    """

    client: FakeClient
    client_id: str
    asked: SentRequest
    mark: int
    is_done: bool = False


@attrs.define(eq=False)
class Viewer:
    """A client, with the place and the principal that it came with.

    Attributes:
        listed: the last result of each list that it asked for.
    """

    peer: FakeClient
    place: str | None
    principal: Principal
    listed: dict[str, bytes] = attrs.field(factory=dict[str, bytes])


def chosen(things: Any, pick: int) -> Any:
    return things[pick % len(things)]


def lists_of(name: str, number: int) -> tuple[list[str], dict[str, Any]]:
    """Return the lists of an instance: always its own, and some that others have as well."""
    resources = [f"file:///{name}/x", *(["file:///shared"] if number % 2 else [])]
    templates = [f"file:///{name}/{{t}}", *(["x:{shared}"] if number % 3 else [])]
    others = {"prompts": ["ask"], "resources": resources, "templates": templates}
    return ["echo", "secret", *(["more"] if number % 5 else [])], others


def owner_of(listed: str) -> str | None:
    """Return the instance that a listed name or URI tells; None if it tells none."""
    for mark in ("file:///", "mcp-router://"):
        if listed.startswith(mark):
            owner = listed.removeprefix(mark).partition("/")[0]
            return owner if owner in INSTANCES else None
    owner, is_direct, _ = listed.partition("__")
    return owner if is_direct and owner in INSTANCES else None


def listen_to(uri: str) -> dict[str, Any]:
    return {"toolsListChanged": True, "resourcesListChanged": True, "resourceSubscriptions": [uri]}


def mark_of(frame: Any) -> int:
    params = value_of(frame.params) if isinstance(frame, Request) else None
    return ((params or {}).get("_meta") or {}).get("mark", 0)


def wants_input(asked: SentRequest) -> bool:
    finals = [plain(final) for final in asked.finals]
    return any(one.get("result", {}).get("resultType") == "input_required" for one in finals)


NOT_EMPTIED = {"settings", "seal", "effects", "instances", "views"}
"""The settings, and what follows from them."""


def kept_in(state: Any, path: str = "state") -> Iterator[tuple[str, Any]]:
    """Yield every collection of the routing state, with its path."""
    for field in attrs.fields(type(state)):
        value, where = getattr(state, field.name), f"{path}.{field.name}"
        if isinstance(value, (dict, set, list, Deadlines)):
            yield where, value
        elif attrs.has(type(value)) and field.name not in NOT_EMPTIED:
            yield from kept_in(value, where)

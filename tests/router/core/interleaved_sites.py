"""Places, servers and clients for `test_interleaved_views`, and readings of what comes back."""

from collections.abc import Container, Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any

import attrs

from router.core.state.deadlines import Deadlines
from router.messages.commands import Principal
from router.messages.core_settings import CoreSettings
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


def requests_for(name: str, prefix: str) -> list[tuple[str, dict[str, Any]]]:
    """Return requests for what an instance has, whose names begin with `prefix` in the view."""
    uri = f"file:///{name}/x"
    routed = {"instance_name": name, "tool_name": "echo", "arguments": {}}
    return [
        ("tools/call", {"name": f"{prefix}echo"}),
        ("tools/call", {"name": f"{prefix}secret", "arguments": {}}),
        ("tools/call", {"name": "mcp.router.call", "arguments": routed}),
        ("tools/call", {"name": "mcp.router.use", "arguments": {"instance_name": name}}),
        ("prompts/get", {"name": f"{prefix}ask"}),
        ("resources/read", {"uri": uri}),
        ("resources/read", {"uri": "file:///shared"}),
        ("resources/subscribe", {"uri": uri}),
        ("resources/subscribe", {"uri": uri}),
        ("resources/unsubscribe", {"uri": uri}),
        ("subscriptions/listen", {"notifications": listen_to(uri)}),
        ("completion/complete", {"ref": {"type": "ref/prompt", "name": f"{prefix}ask"}}),
        ("logging/setLevel", {"level": "info"}),
        ("x/unknown", {}),
    ]


def profile_of(
    viewer: Viewer, wanted: CoreSettings, specs: Container[str]
) -> tuple[str, tuple[str, ...]] | None:
    """Return the kind of a view and the patterns for its instances; None if it is gone."""
    place = viewer.place or viewer.principal.profile or wanted.view
    if place in ("router", "direct") and not (viewer.place or viewer.principal.profile):
        return place, ("*",)
    if place in wanted.profiles:
        profile = wanted.profiles[place]
        return profile.expose, profile.instances
    return ("transparent", (place,)) if place in specs else None


def seen_by(viewer: Viewer, wanted: CoreSettings, specs: Iterable[str]) -> set[str] | None:
    """Return the names of the instances that a client may see; None if its view is gone."""
    names = set(specs)
    found = profile_of(viewer, wanted, names)
    if found is None:
        return None
    allowed = viewer.principal.instances
    return {
        name
        for name in names
        if any(fnmatchcase(name, pattern) for pattern in found[1])
        and (allowed is None or name in allowed)
    }

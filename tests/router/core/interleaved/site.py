"""The site of `test_interleaved_views`: its places, its instances and what they offer.

One instance, `p`, has a session for each client, or one for each root of its clients, or one for
all: its configuration changes between the three.
"""

from collections.abc import Container, Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any

from msgspec import Struct

from router.core.state.deadlines import Deadlines
from router.messages.commands import Principal
from router.messages.core_settings import CoreSettings
from router.messages.instances.exposure import Exposure, NameFilter, Profile
from router.messages.instances.instance_spec import CLIENT_MARK, ROOT_REFERENCE, InstanceSpec
from tests.router.core.conversation import spec

PER_CLIENT = "p"
INSTANCES = ("a", "b", "c", PER_CLIENT)
SESSION_LIMIT = 3
"""The `max_sessions` of `p`: fewer than there are clients."""

KINDS_OF_SESSIONS: tuple[dict[str, Any], ...] = (
    {"sessions": "per_client", "cwd": None},
    {"sessions": "per_client", "cwd": ROOT_REFERENCE},
    {"sessions": "per_client", "cwd": None},
    {"sessions": "per_client", "cwd": ROOT_REFERENCE},
    {"sessions": "shared", "cwd": None},
)
ROOTS = (*("/x", "/y") * 4, "/..", None)
"""First roots of clients: few, so that clients share them; one that is refused, and none."""

PLACES = (
    *(None, None, None, None, "work", "work", PER_CLIENT, PER_CLIENT, PER_CLIENT),
    *("rest", "picked", "clear", "a", "nowhere"),
)
PRINCIPALS = (
    Principal("all"),
    Principal("all"),
    Principal("all"),
    Principal("all"),
    Principal("some", instances=frozenset({"a", "c", PER_CLIENT})),
    Principal("few", instances=frozenset({"a", "c"})),
    Principal("bound", profile="work"),
)
PROFILES: tuple[dict[str, Profile], ...] = (
    {
        "work": Profile(instances=("a", "b", "p"), tools=NameFilter(deny=("*__secret",))),
        "rest": Profile(instances=("c*", "p*")),
        "picked": Profile("router", instances=("a", "p")),
        "clear": Profile("transparent", ("b",)),
    },
    {
        "work": Profile("search", instances=("a", "p"), pinned=("*__more",)),
        "rest": Profile(instances=("p",), tools=NameFilter(deny=("*__secret",))),
        "picked": Profile(instances=("b", "c")),
        "clear": Profile("transparent", ("p",)),
    },
    {
        "work": Profile("router"),
        "rest": Profile("transparent", ("p",)),
        "picked": Profile(),
        "clear": Profile("transparent", ("p",), NameFilter(deny=("secret",))),
    },
    {
        "work": Profile("transparent", ("p",)),
        "rest": Profile("transparent", ("a",)),
        "picked": Profile("router", ("p",)),
        "clear": Profile("transparent", ("a",)),
    },
    {
        "work": Profile(instances=("*",)),
        "rest": Profile(instances=("b",)),
        "picked": Profile("router", ("a",)),
        "clear": Profile("transparent", ("p",)),
    },
    {},
)
VIEWS = ("router", "direct", "direct", "search", "work")

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


def chosen(things: Any, pick: int) -> Any:
    return things[pick % len(things)]


# --- Instances -------------------------------------------------------------------------------


def configured(name: str, number: int = 0) -> InstanceSpec:
    """Return the configuration of an instance; its server starts anew when the number changes."""
    kind: dict[str, Any] = KINDS_OF_SESSIONS[0] if name == PER_CLIENT else {}
    return spec(name, command=str(number), max_sessions=SESSION_LIMIT, **kind)


def instance_in(reported: str) -> str:
    """Return the configured name of what the supervisor reports about: `p` for `p#7`."""
    return reported.partition(CLIENT_MARK)[0]


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


def requests_for(name: str, prefix: str) -> list[tuple[str, dict[str, Any]]]:
    """Return requests for what an instance has, whose names begin with `prefix` in the view."""
    uri = f"file:///{name}/x"
    routed = {"instance_name": name, "tool_name": "echo", "arguments": {}}
    call = ("tools/call", {"name": f"{prefix}echo"})
    return [
        *(call, call, call, call),
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
        ("tools/call", {"name": "mcp.router.search", "arguments": {"query": name}}),
        ("tools/call", {"name": "mcp.router.search", "arguments": {"query": "echo"}}),
        ("tools/call", {"name": "mcp.router.describe", "arguments": {"tools": [f"{name}__echo"]}}),
        ("tools/call", {"name": "mcp.router.call_tool", "arguments": {"name": f"{name}__echo"}}),
    ]


CALLS_AND_SUBSCRIPTIONS = (0, 0, 0, 10, 0, 13)
"""Places in that list: of calls of `echo`, and of the subscriptions of both eras."""
A_SUBSCRIPTION = CALLS_AND_SUBSCRIPTIONS.index(10)
"""The place in the latter of a subscription of the handshake era."""


# --- Views -----------------------------------------------------------------------------------


def profile_at(
    place: str | None, principal: Principal, wanted: CoreSettings, specs: Container[str]
) -> tuple[str, tuple[str, ...]] | None:
    """Return the kind of a view and the patterns for its instances; None if it is gone."""
    is_default = not (place or principal.profile)
    place = place or principal.profile or wanted.view
    if place in ("router", "direct", "search") and is_default:
        return place, ("*",)
    if place in wanted.profiles:
        profile = wanted.profiles[place]
        return profile.expose, profile.instances
    return ("transparent", (place,)) if place in specs else None


def seen_at(
    place: str | None, principal: Principal, wanted: CoreSettings, specs: Iterable[str]
) -> set[str] | None:
    """Return the names of the instances that a client may see; None if its view is gone."""
    names = set(specs)
    found = profile_at(place, principal, wanted, names)
    if found is None:
        return None
    allowed = principal.instances
    return {
        name
        for name in names
        if any(fnmatchcase(name, pattern) for pattern in found[1])
        and (allowed is None or name in allowed)
    }


# --- What is left over -----------------------------------------------------------------------

NOT_EMPTIED = {"settings", "seal", "effects", "instances", "views", "_last_numbers", "own"}
"""The settings, what follows from them, the numbers that no session gets again, and the counts of
requests that reached no instance, by few kinds, outcomes and codes."""


def kept_in(state: Any, path: str = "state") -> Iterator[tuple[str, Any]]:
    """Yield every collection of the routing state, with its path."""
    for name in state.__struct_fields__:
        value, where = getattr(state, name), f"{path}.{name}"
        if name in NOT_EMPTIED:
            continue
        if isinstance(value, (dict, set, list, Deadlines)):
            yield where, value
        elif isinstance(value, Struct):
            yield from kept_in(value, where)

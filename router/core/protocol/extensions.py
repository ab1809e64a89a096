"""Knows the extensions of MCP that the router routes, and the URIs they hide in `_meta`.

A transparent view passes every extension on as it is. A `direct` view declares only those of
`ROUTED`, because an extension that names things of one server has to be routed to that server. A
`router` view declares none.

Source: MCP 2026-07-28, Extensions; each side declares its own in `capabilities.extensions`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from router.core.names.resource_uris import UI_SCHEME, shown_uri
from router.core.text.raw_json import is_object, optional_text_of, raw_of
from router.messages.params import object_of

if TYPE_CHECKING:
    from msgspec import Raw

    from router.messages.instances.exposure import Expose

# --- The table -------------------------------------------------------------------------------

APPS: Final = "io.modelcontextprotocol/ui"
TASKS: Final = "io.modelcontextprotocol/tasks"

APPS_MIME_TYPE: Final = "text/html;profile=mcp-app"


class Extension(Struct, frozen=True):
    """An extension that the router routes.

    Attributes:
        settings: its value in the `capabilities.extensions` of a `direct` view.
        routing: the part of its messages that names a server, and how the router shows it.
        source: the document that defines the extension.
        has_handshake: True if clients of handshake revisions have it as well.
    """

    settings: dict[str, Any]
    routing: str
    source: str
    has_handshake: bool


ROUTED: Final = {
    APPS: Extension(
        settings={"mimeTypes": [APPS_MIME_TYPE]},
        routing="tools name an interface by a `ui://` URI, which gets the name of the instance",
        source="MCP Apps 2026-01-26 (SEP-1865)",
        has_handshake=True,
    ),
    TASKS: Extension(
        settings={},
        routing="results name a task by an id, in place of which clients get a handle",
        source="MCP Tasks 2026-07-28 (SEP-2663)",
        has_handshake=False,  # 2025-11-25 has tasks of its own, in another form.
    ),
}
"""The extensions that `direct` views declare."""


def declared(*, is_stateless: bool) -> dict[str, Any]:
    """Return the `capabilities.extensions` of a `direct` view.

    Args:
        is_stateless: True for a client of 2026-07-28.
    """
    shown = (item for item in ROUTED.items() if is_stateless or item[1].has_handshake)
    return {name: extension.settings for name, extension in shown}


def declared_by_client(
    capabilities: dict[str, Raw], expose: Expose, *, is_same_era: bool
) -> dict[str, Raw]:
    """Return the capabilities of a client, with the extensions that its view passes on.

    Args:
        capabilities: as the client declared them.
        expose: the kind of its view.
        is_same_era: True if client and server both speak a handshake revision, or neither does.
    """
    raw = capabilities.get("extensions")
    if raw is None or not is_object(raw):
        return capabilities
    extensions = object_of(raw, "capabilities.extensions")
    kept = {name: value for name, value in extensions.items() if _passes(name, expose)}
    return {**capabilities, "extensions": raw_of(_of_era(kept, is_same_era=is_same_era))}


def _passes(name: str, expose: Expose) -> bool:
    return expose == "transparent" or (expose != "router" and name in ROUTED)


def declared_by_server(capabilities: dict[str, Raw], *, is_same_era: bool) -> dict[str, Raw]:
    """Return the capabilities of a server, with the extensions that clients of an era can use."""
    raw = capabilities.get("extensions")
    if is_same_era or raw is None or not is_object(raw):
        return capabilities
    extensions = _of_era(object_of(raw, "capabilities.extensions"), is_same_era=False)
    return {**capabilities, "extensions": raw_of(extensions)}


def _of_era(extensions: dict[str, Raw], *, is_same_era: bool) -> dict[str, Raw]:
    """Return the extensions without those that do not get from one era to the other."""
    if is_same_era:
        return extensions
    return {name: raw for name, raw in extensions.items() if name != TASKS}


def has_extension(capabilities: dict[str, Raw], name: str) -> bool:
    """Return whether a client or server declares an extension."""
    raw = capabilities.get("extensions")
    return raw is not None and is_object(raw) and name in object_of(raw, "extensions")


# --- MCP Apps --------------------------------------------------------------------------------

_FLAT_KEY: Final = "ui/resourceUri"
"""Member of `_meta` in early versions of MCP Apps; later ones have `ui.resourceUri`."""


def with_shown_uris(instance: str, members: dict[str, Raw]) -> dict[str, Raw]:
    """Return a tool or result whose `_meta` names its interface as a direct view shows it."""
    raw = members.get("_meta")
    if raw is None or b"ui" not in bytes(raw) or not is_object(raw):
        return members
    meta = object_of(raw, "_meta")
    changed = _with_shown(meta, _FLAT_KEY, instance)
    nested = meta.get("ui")
    if nested is not None and is_object(nested):
        ui = object_of(nested, "_meta.ui")
        if _with_shown(ui, "resourceUri", instance):
            meta["ui"], changed = raw_of(ui), True
    return members | {"_meta": raw_of(meta)} if changed else members


def _with_shown(members: dict[str, Raw], key: str, instance: str) -> bool:
    """Replace the URI at `key`; return whether there was one to replace."""
    uri = optional_text_of(members, key)
    if uri is None or not uri.startswith(UI_SCHEME):
        return False
    members[key] = raw_of(shown_uri(instance, uri))
    return True

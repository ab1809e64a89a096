"""Knows the extensions of MCP that the router routes, and the URIs they hide in `_meta`.

A transparent view passes every extension on as it is. A `direct` view declares only those of
`ROUTED`, because an extension that names things of one server has to be routed to that server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from router.core.protocol.raw_json import is_object, optional_text_of, raw_of
from router.core.protocol.resource_uris import UI_SCHEME, shown_uri
from router.messages.params import object_of

if TYPE_CHECKING:
    from msgspec import Raw

APPS: Final = "io.modelcontextprotocol/ui"
"""MCP Apps: tools name an interface by a `ui://` URI (MCP Apps 2026-01-26)."""

ROUTED: Final = frozenset({APPS})
"""The extensions that `direct` views declare."""

APPS_MIME_TYPE: Final = "text/html;profile=mcp-app"

DECLARED: Final[dict[str, Any]] = {APPS: {"mimeTypes": [APPS_MIME_TYPE]}}
"""The `capabilities.extensions` of a `direct` view."""

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

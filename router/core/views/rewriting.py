"""Rewrites the URIs in the results of a server, so that a client of a direct view can read them.

Tools answer with links to resources and with resources themselves, and so do prompts. A URI that
would not lead back to its instance gets the form that names the instance.

Invariant: a result in which there is nothing to rewrite is the very bytes that the server sent.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw

from router.core.names import resource_uris
from router.core.protocol import extensions
from router.core.text.raw_json import is_object, optional_text_of, raw_of
from router.core.views import resources
from router.messages.errors import RpcError
from router.messages.params import object_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.core.state.clients import Client
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState
    from router.core.views.resources import ResourceIndex

    Rewrite = Callable[[Raw], Raw]

_array: Final = msgspec.json.Decoder(list[Raw])

_MAY_NAME_RESOURCES: Final = re.compile(rb'"u(?:ri"|i)')
"""`"uri"`, or a key of MCP Apps. One search without a copy: results may have megabytes."""

MAX_COMPARISONS: Final = 50_000
"""Of URIs in one result with templates, some 50 ms; a server chooses the number of both."""


def rewrite_for(
    state: RoutingState, client: Client, instance: Instance, read: tuple[str, str] | None = None
) -> Rewrite | None:
    """Return the function that rewrites a result for this client; None if nothing needs it.

    Args:
        instance: answers.
        read: for `resources/read`, the URI that the client asked for, and the server's own.
    """
    view = state.view_of(client)
    is_direct = view.is_direct
    is_renamed = read is not None and read[0] != read[1]
    if view.is_transparent or not (is_direct or is_renamed):
        return None

    def rewrite(result: Raw) -> Raw:
        # Most results have neither key, and are taken apart no further.
        if _MAY_NAME_RESOURCES.search(result) is None:
            return result
        try:
            index = resources.index_of(state.seen_by(client)) if is_direct else None
            return _Rewriter(index, instance.name, read).result(result)
        except (RpcError, msgspec.MsgspecError, RecursionError):
            return result  # It is no result of MCP; the client may make sense of it.

    return rewrite


class _Rewriter:
    """Rewrites one result; without an index, only the URI that was asked for."""

    def __init__(
        self, index: ResourceIndex | None, instance: str, read: tuple[str, str] | None
    ) -> None:
        self._index = index
        self._instance = instance
        self._read = read
        self._has_changed = False
        self._comparisons = 0

    def result(self, result: Raw) -> Raw:
        members = object_of(result, "result")
        for key, rewrite in (
            ("content", self._content),
            ("messages", self._message),
            ("contents", self._resource),
        ):
            if key in members:
                members[key] = raw_of([rewrite(item) for item in _array.decode(members[key])])
        with_meta = self._with_meta(members)
        if with_meta is members and not self._has_changed:
            return result
        return raw_of(with_meta)

    def _message(self, message: Raw) -> Raw:
        """Rewrite one of the `messages` of a prompt, whose `content` is one item or several."""
        if not is_object(message):
            return message
        members = object_of(message, "message")
        content = members.get("content")
        if content is None:
            return message
        members["content"] = (
            self._content(content)
            if is_object(content)
            else raw_of([self._content(item) for item in _array.decode(content)])
        )
        return raw_of(members)

    def _content(self, item: Raw) -> Raw:
        """Rewrite one item of content (MCP 2025-11-25, Tools, Tool Result)."""
        if not is_object(item):
            return item
        members = object_of(item, "content")
        kind = optional_text_of(members, "type")
        if kind == "resource_link":
            return self._resource(item)
        if kind == "resource" and "resource" in members:
            embedded = self._resource(members["resource"])
            is_same = embedded is members["resource"]
            return item if is_same else raw_of(members | {"resource": embedded})
        return item

    def _resource(self, resource: Raw) -> Raw:
        if not is_object(resource):
            return resource
        members = object_of(resource, "resource")
        uri = optional_text_of(members, "uri")
        shown = uri if uri is None else self._shown(uri)
        with_meta = self._with_meta(members)
        if shown == uri and with_meta is members:
            return resource
        self._has_changed = True
        return raw_of(with_meta if uri is None else with_meta | {"uri": raw_of(shown)})

    def _with_meta(self, members: dict[str, Raw]) -> dict[str, Raw]:
        if self._index is None:
            return members
        return extensions.with_shown_uris(self._instance, members)

    def _shown(self, uri: str) -> str:
        if self._read is not None and uri == self._read[1]:
            return self._read[0]
        if self._index is None:
            return uri
        if uri not in self._index.owners:
            self._comparisons += len(self._index.templates)
            if self._comparisons > MAX_COMPARISONS:
                # This form leads back without a search: nobody else waits for a long result.
                return resource_uris.shown_uri(self._instance, uri)
        return resources.shown_link(self._index, self._instance, uri)

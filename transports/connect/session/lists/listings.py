"""Reads the four lists of MCP from an upstream, page by page, and makes a `Catalog` of them.

Invariants: a malformed item costs only itself, and a refused list only that list. A list that does
not end is cut.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import trio
import trio.lowlevel
from msgspec import Raw, Struct, field

from router.messages.catalog import Catalog, Item
from router.messages.frames import NO_RAW
from router.messages.observability.log_fields import about
from transports.connect.session.requests import SHOWN_CHARS, RequestRefused
from transports.connect.wire import WireLost

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

log = logging.getLogger("mcp_router.upstream")

MAX_PAGES: Final = 1000
"""More pages than any list has: a list that goes on after that goes on for ever."""

_object: Final = msgspec.json.Decoder(dict[str, Raw])
_array: Final = msgspec.json.Decoder(list[Raw])
_string: Final = msgspec.json.Decoder(str)


class ListKind(Struct, frozen=True):
    """One of the four kinds of lists (MCP 2025-11-25, Server Features).

    Attributes:
        part: the field of `Catalog` for this list.
        capability: the capability that a server with this list declares.
        method: the request for a page.
        member: the member of a page that holds the items.
        key: the member of an item that holds its name.
        is_required: True if a server that declares the list is of no use without it.
    """

    part: str
    capability: str
    method: str
    member: str
    key: str
    is_required: bool = False


LIST_KINDS: Final = (
    ListKind("tools", "tools", "tools/list", "tools", "name", is_required=True),
    ListKind("prompts", "prompts", "prompts/list", "prompts", "name"),
    ListKind("resources", "resources", "resources/list", "resources", "uri"),
    ListKind(
        "templates", "resources", "resources/templates/list", "resourceTemplates", "uriTemplate"
    ),
)

LIST_CHANGED: Final = {
    f"notifications/{capability}/list_changed": capability
    for capability in ("tools", "prompts", "resources")
}
"""Notification -> the capability whose lists have changed."""


class Lists(Struct, eq=False):
    """The lists of one session.

    Attributes:
        name: the name of the instance, for the log.
        send_request: sends a request and returns its result, or raises `RequestRefused`.
        declared: the capabilities that the upstream has declared.
        catalog: the lists as they were read last.
    """

    name: str
    send_request: Callable[[str, dict[str, Any]], Awaitable[Raw]]
    declared: frozenset[str]
    catalog: Catalog = field(default_factory=Catalog)
    _cuts: dict[str, str] = {}

    async def read_all(self) -> Catalog:
        """Read all lists that are declared.

        Raises:
            WireLost: a required list was refused.
        """
        refused = await self.read_again(self.declared)
        for kind, refusal in refused.items():
            if kind.is_required:
                raise WireLost(f"{kind.method} was refused: {refusal}")
        return self.catalog

    async def read_again(self, capabilities: Collection[str]) -> dict[ListKind, RequestRefused]:
        """Read the lists of these capabilities again.

        Returns:
            The lists that were refused, with the refusal. They stay in the catalog as they were.
        """
        refused: dict[ListKind, RequestRefused] = {}
        parts: dict[str, tuple[Item, ...]] = {}
        await trio.lowlevel.checkpoint()  # there may be no list to read
        for kind in LIST_KINDS:
            if kind.capability in capabilities and kind.capability in self.declared:
                try:
                    parts[kind.part] = await self._read(kind)
                except RequestRefused as refusal:
                    refused[kind] = refusal
                    text, extra = "%s: %s was refused: %s", about(self.name)
                    log.warning(text, self.name, kind.method, refusal, extra=extra)
        if parts:
            problems = tuple(self._cuts.values())
            self.catalog = msgspec.structs.replace(self.catalog, **parts, problems=problems)
        return refused

    async def _read(self, kind: ListKind) -> tuple[Item, ...]:
        self._cuts.pop(kind.method, None)
        items: list[Item] = []
        cursors: set[str] = set()
        params: dict[str, Any] = {}
        while True:
            page = await self._read_page(kind, params)
            items += page.items
            if page.cursor is None:
                break
            if page.cursor in cursors or len(cursors) == MAX_PAGES - 1:
                self._cut(kind, len(cursors) + 1, len(items))
                break
            cursors.add(page.cursor)
            params = {"cursor": page.cursor}
        return tuple(items)

    def _cut(self, kind: ListKind, pages: int, items: int) -> None:
        cut = f"{kind.method} does not end: it was cut after {pages} pages with {items} items"
        self._cuts[kind.method] = cut
        log.warning("%s: %s", self.name, cut, extra=about(self.name))

    async def _read_page(self, kind: ListKind, params: dict[str, Any]) -> Page:
        result = await self.send_request(kind.method, params)
        try:
            page = read_page(kind, result)
        except msgspec.MsgspecError as exc:
            raise RequestRefused(f"the answer is no list: {exc}") from None
        if page.malformed:
            log.warning(
                "%s: skipped %d of the items of %s, which have no %s: %r",
                self.name,
                len(page.malformed),
                kind.method,
                kind.key,
                bytes(page.malformed[0])[:SHOWN_CHARS],
                extra=about(self.name),
            )
        return page


class Page(NamedTuple):
    """A page of a list; `cursor` asks for the next page and is None at the end."""

    items: list[Item]
    malformed: list[Raw]
    cursor: str | None


def read_page(kind: ListKind, result: Raw) -> Page:
    """Read the result of a list request.

    Raises:
        msgspec.MsgspecError: it is no result of this request.
    """
    members = _object.decode(result)
    if kind.member not in members:
        raise msgspec.ValidationError(f'there is no "{kind.member}" in it')
    page = Page([], [], _cursor(members.get("nextCursor", NO_RAW)))
    for raw in _array.decode(members[kind.member]):
        key = _key(raw, kind.key)
        if key:
            page.items.append(Item(key, raw))
        else:
            page.malformed.append(raw)
    return page


def _cursor(raw: Raw) -> str | None:
    # Some servers end their lists with null or an empty string instead of leaving the cursor out.
    return None if bytes(raw) in {b"", b"null"} else _string.decode(raw) or None


def _key(raw: Raw, member: str) -> str:
    """Return the name of an item, empty if it has none."""
    try:
        return _string.decode(_object.decode(raw)[member])
    except (msgspec.MsgspecError, KeyError):
        return ""

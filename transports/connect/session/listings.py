"""What an upstream offers: the four lists of MCP, read page by page.

Job: read the lists that an upstream declares, and make a `Catalog` of them. Neighbours: `session`
says when; `questions` carries the requests.

Invariants: a malformed item costs only itself, a refused list only that list, and a list that does
not end is cut.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import attrs
import msgspec
import trio
import trio.lowlevel
from msgspec import Raw

from router.messages.catalog import Catalog, Item
from router.messages.frames import NO_RAW
from transports.connect.session.requests import SHOWN, RequestRefused
from transports.connect.wire import WireLost

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

log = logging.getLogger("mcp_router.upstream")

MAX_PAGES: Final = 1000
"""Pages of one list: more than any list has; what goes on after that goes on for ever."""

_object: Final = msgspec.json.Decoder(dict[str, Raw])
_array: Final = msgspec.json.Decoder(list[Raw])
_string: Final = msgspec.json.Decoder(str)


@attrs.frozen
class Listing:
    """One of the lists (MCP 2025-11-25, Server Features).

    Attributes:
        part: the field of `Catalog` that it fills.
        capability: what a server with this list declares.
        method: the request for a page.
        member: where a page has its items.
        key: the member of an item that names it.
        is_required: is a session of no use without it, where it is declared?
    """

    part: str
    capability: str
    method: str
    member: str
    key: str
    is_required: bool = False


LISTINGS: Final = (
    Listing("tools", "tools", "tools/list", "tools", "name", is_required=True),
    Listing("prompts", "prompts", "prompts/list", "prompts", "name"),
    Listing("resources", "resources", "resources/list", "resources", "uri"),
    Listing(
        "templates", "resources", "resources/templates/list", "resourceTemplates", "uriTemplate"
    ),
)

LIST_CHANGED: Final = {
    f"notifications/{capability}/list_changed": capability
    for capability in ("tools", "prompts", "resources")
}
"""Notification -> the capability whose lists are to be read anew."""


@attrs.define(eq=False)
class Lists:
    """The lists of one session.

    Attributes:
        name: the instance, for the log.
        ask: sends a request and returns its result, or raises `Refused`.
        declared: the capabilities the upstream has declared.
        catalog: what was read last.
    """

    name: str
    ask: Callable[[str, dict[str, Any]], Awaitable[Raw]]
    declared: frozenset[str]
    catalog: Catalog = attrs.field(init=False, factory=Catalog)

    async def read_all(self) -> Catalog:
        """Read everything that is declared.

        Raises:
            WireLost: a list without which the session is of no use was refused.
        """
        refused = await self.read_again(self.declared)
        for listing, refusal in refused.items():
            if listing.is_required:
                raise WireLost(f"{listing.method} was refused: {refusal}")
        return self.catalog

    async def read_again(self, capabilities: Collection[str]) -> dict[Listing, RequestRefused]:
        """Read the lists of these capabilities; returns those that were refused and stay."""
        refused: dict[Listing, RequestRefused] = {}
        parts: dict[str, tuple[Item, ...]] = {}
        await trio.lowlevel.checkpoint()  # there may be nothing to ask for
        for listing in LISTINGS:
            if listing.capability in capabilities and listing.capability in self.declared:
                try:
                    parts[listing.part] = await self._read(listing)
                except RequestRefused as refusal:
                    refused[listing] = refusal
                    log.warning("%s: %s was refused: %s", self.name, listing.method, refusal)
        if parts:
            self.catalog = msgspec.structs.replace(self.catalog, **parts)
        return refused

    async def _read(self, listing: Listing) -> tuple[Item, ...]:
        items: list[Item] = []
        cursors: set[str] = set()
        params: dict[str, Any] = {}
        while True:
            page = await self._read_page(listing, params)
            items += page.items
            if page.cursor is None:
                break
            if page.cursor in cursors or len(cursors) == MAX_PAGES - 1:
                log.warning("%s: %s does not end; it was cut", self.name, listing.method)
                break
            cursors.add(page.cursor)
            params = {"cursor": page.cursor}
        return tuple(items)

    async def _read_page(self, listing: Listing, params: dict[str, Any]) -> Page:
        result = await self.ask(listing.method, params)
        try:
            page = read_page(listing, result)
        except msgspec.MsgspecError as exc:
            raise RequestRefused(f"the answer is no list: {exc}") from None
        if page.malformed:
            log.warning(
                "%s: skipped %d of the items of %s, which have no %s: %r",
                self.name,
                len(page.malformed),
                listing.method,
                listing.key,
                bytes(page.malformed[0])[:SHOWN],
            )
        return page


class Page(NamedTuple):
    """A page of a list; `cursor` asks for the next one, None at the end."""

    items: list[Item]
    malformed: list[Raw]
    cursor: str | None


def read_page(listing: Listing, result: Raw) -> Page:
    """Read the result of a list request.

    Raises:
        msgspec.MsgspecError: it is no such result.
    """
    members = _object.decode(result)
    if listing.member not in members:
        raise msgspec.ValidationError(f'there is no "{listing.member}" in it')
    page = Page([], [], _cursor(members.get("nextCursor", NO_RAW)))
    for raw in _array.decode(members[listing.member]):
        key = _key(raw, listing.key)
        if key:
            page.items.append(Item(key, raw))
        else:
            page.malformed.append(raw)
    return page


def _cursor(raw: Raw) -> str | None:
    # Servers end their lists with null or an empty string as well as with nothing.
    return None if bytes(raw) in {b"", b"null"} else _string.decode(raw) or None


def _key(raw: Raw, member: str) -> str:
    try:
        return _string.decode(_object.decode(raw)[member])
    except (msgspec.MsgspecError, KeyError):
        return ""

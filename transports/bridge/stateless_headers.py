"""The HTTP headers of a message of MCP 2026-07-28 (Transports, Standard Request Headers).

Over stdio a message has none, so the bridge makes them. Most tools ask for no headers of their own;
the module for those that do takes long to import, and is loaded once such a tool was listed.
"""

from __future__ import annotations

import binascii
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec
import trio
from msgspec import Struct

from router.messages.catalog import Item
from router.messages.errors import RpcError
from router.messages.frames import Request
from router.messages.params import Params
from router.messages.revisions import HANDSHAKE_REVISIONS, NAMED_METHODS, REVISION_KEY
from transports.outbound.slow_imports import IMPORTING

if TYPE_CHECKING:
    from msgspec import Raw

    from router.messages.frames import Notification
    from transports.connect.remote.request_headers import RequestHeaders

MARK: Final = b"x-mcp-header"
"""Stands in the schema of a tool that asks for headers of its own."""

_KEY_MARK: Final = REVISION_KEY.encode()
_text: Final = msgspec.json.Decoder(str)

_UNREADABLE: Final = (msgspec.MsgspecError, RpcError, KeyError, RecursionError)
"""The errors of a message that is not as it should be; the router answers it with the reason."""


class _Named(Struct):
    name: str


class _ToolList(Struct):
    tools: list[msgspec.Raw] = []


def revision_of(frame: Request | Notification) -> str | None:
    """Return the revision that a message names itself; None for one of the handshake revisions."""
    if not frame.params or _KEY_MARK not in bytes(frame.params):
        return None
    try:
        revision = _text.decode(Params(frame.params).meta.get(REVISION_KEY, b"null"))
    except _UNREADABLE:
        return None
    return None if revision in HANDSHAKE_REVISIONS else revision


class StatelessHeaders:
    """Makes the headers; learns from lists of tools which of them ask for more."""

    def __init__(self) -> None:
        self._tools: dict[str, Raw] = {}
        self._for_tools: RequestHeaders | None = None

    def of(self, frame: Request | Notification, revision: str) -> dict[str, str]:
        """Return the headers of a message that names this revision."""
        headers = {"MCP-Protocol-Version": header_value(revision)}
        if not isinstance(frame, Request):
            return headers
        headers["Mcp-Method"] = header_value(frame.method)
        name = _name_in(frame)
        if name is not None:
            headers["Mcp-Name"] = header_value(name)
        if self._for_tools is not None and frame.method == "tools/call":
            headers |= self._for_tools.headers_for(frame) or {}
        return headers

    async def learn(self, result: Raw) -> None:
        """Learn from the result of `tools/list`."""
        if MARK not in bytes(result):
            await trio.lowlevel.checkpoint()
            return
        with suppress(*_UNREADABLE):
            for tool in msgspec.json.decode(result, type=_ToolList).tools:
                if MARK in bytes(tool):
                    self._tools[msgspec.json.decode(tool, type=_Named).name] = tool
        self._for_tools = await trio.to_thread.run_sync(_load, dict(self._tools))


def _load(tools: dict[str, Raw]) -> RequestHeaders:
    # For start-up time: this imports the SDK, and few tools ask for headers.
    with IMPORTING:
        from router.messages.catalog import Catalog
        from transports.connect.remote.request_headers import RequestHeaders

    headers = RequestHeaders(is_stateless=True)
    headers.set_catalog(Catalog(tools=tuple(Item(name, raw) for name, raw in tools.items())))
    return headers


def _name_in(request: Request) -> str | None:
    key = NAMED_METHODS.get(request.method)
    if key is None:
        return None
    try:
        return _text.decode(Params(request.params).members[key])
    except _UNREADABLE:
        return None


def header_value(text: str) -> str:
    """Return a text as it stands in a header: as base64 where it would not survive otherwise."""
    is_plain = text.isascii() and text.isprintable() and text == text.strip()
    if is_plain and not (text.startswith("=?base64?") and text.endswith("?=")):
        return text
    encoded = binascii.b2a_base64(text.encode("utf-8", "surrogatepass"), newline=False)
    return f"=?base64?{encoded.decode()}?="

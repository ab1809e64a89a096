"""The HTTP headers that a request of MCP 2026-07-28 carries besides its body.

Job: generate them from the very message they go with (MCP 2026-07-28, Transports, Streamable HTTP,
Standard Request Headers and Custom Headers). Neighbours: `remote` asks for each message; `client`
sends them. Imports the SDK: loaded by `sdk.load` only. No I/O.

Invariants: what cannot be read in a message is in no header. A tool's schema is looked at when it
is first called.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs
import msgspec
from mcp.shared.inbound import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    MCP_PARAM_HEADER_PREFIX,
    MCP_PROTOCOL_VERSION_HEADER,
    NAME_BEARING_METHODS,
    encode_header_value,
    find_invalid_x_mcp_header,
    mcp_param_headers,
    x_mcp_header_map,
)

from router.messages.frames import Request
from router.messages.revisions import STATELESS_REVISION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from msgspec import Raw

    from router.messages.catalog import Catalog
    from router.messages.frames import Frame

_Annotations: TypeAlias = "Mapping[tuple[str, ...], str]"
"""Where in the arguments a value stands -> the header that repeats it."""

VERSION_HEADER: Final = MCP_PROTOCOL_VERSION_HEADER

_RESERVED: Final = frozenset(
    {VERSION_HEADER, MCP_METHOD_HEADER, MCP_NAME_HEADER, "mcp-session-id", "last-event-id"}
)
_RESERVED_PREFIX: Final = MCP_PARAM_HEADER_PREFIX.lower()

_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text: Final = msgspec.json.Decoder(str)


def is_reserved(header: str) -> bool:
    """Is it one that a request of 2026-07-28 has from its message alone, or not at all?"""
    name = header.lower()
    return name in _RESERVED or name.startswith(_RESERVED_PREFIX)


@attrs.define(eq=False)
class Routing:
    """What goes into the headers of one connection.

    Attributes:
        is_stateless: is 2026-07-28 spoken on it?
    """

    is_stateless: bool = False
    _tools: dict[str, Raw] = attrs.field(init=False, factory=dict[str, "Raw"], repr=False)
    _annotated: dict[str, _Annotations] = attrs.field(
        init=False, factory=dict[str, _Annotations], repr=False
    )

    def set_catalog(self, catalog: Catalog) -> None:
        """These are the tools from now on."""
        self._tools = {tool.key: tool.raw for tool in catalog.tools}
        self._annotated.clear()

    def headers_of(self, frame: Frame) -> dict[str, str] | None:
        """The headers of this message; None where it is none of 2026-07-28."""
        if not isinstance(frame, Request):
            return None
        if not self.is_stateless and frame.method != "server/discover":
            return None
        headers = {
            VERSION_HEADER: STATELESS_REVISION,
            MCP_METHOD_HEADER: encode_header_value(frame.method),
        }
        if frame.method in NAME_BEARING_METHODS:
            self._add_what_it_is_about(headers, frame)
        return headers

    def _add_what_it_is_about(self, headers: dict[str, str], request: Request) -> None:
        try:
            params = _object.decode(request.params)
            name = _text.decode(params[NAME_BEARING_METHODS[request.method]])
        except (msgspec.MsgspecError, KeyError):
            return
        headers[MCP_NAME_HEADER] = encode_header_value(name)
        if request.method == "tools/call" and "arguments" in params:
            headers |= _repeated(self._annotations_of(name), params["arguments"])

    def _annotations_of(self, tool: str) -> _Annotations:
        if tool not in self._tools:
            return {}
        if tool not in self._annotated:
            self._annotated[tool] = _annotations_in(self._tools[tool])
        return self._annotated[tool]


def _annotations_in(tool: Raw) -> _Annotations:
    """What a tool wants repeated; nothing where what it wants is not allowed."""
    try:
        schema = msgspec.json.decode(tool).get("inputSchema")
    except (msgspec.MsgspecError, RecursionError):  # its server may have written anything
        return {}
    return {} if find_invalid_x_mcp_header(schema) else x_mcp_header_map(schema)


def _repeated(annotations: _Annotations, arguments: Raw) -> dict[str, str]:
    if not annotations:
        return {}
    try:
        # By the standard library: servers see its numbers, and compare.
        values = json.loads(bytes(arguments))
        return mcp_param_headers(annotations, values)
    except ValueError:
        return {}

"""The HTTP headers that a request carries besides its body: those of its message, and credentials.

Those of MCP 2026-07-28 are generated from the very message they go with (MCP 2026-07-28,
Transports, Streamable HTTP, Standard Request Headers and Custom Headers). Imports the SDK, so only
`sdk.load` loads this module.

Invariants:

- A member that cannot be read in a message is in no header.
- The schema of a tool is read when the tool is first called.
- A request is sent at most once more with other credentials.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs
import httpx2
import msgspec
import trio
from mcp.shared.inbound import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    MCP_PARAM_HEADER_PREFIX,
    MCP_PROTOCOL_VERSION_HEADER,
    encode_header_value,
    find_invalid_x_mcp_header,
    mcp_param_headers,
    x_mcp_header_map,
)

from router.messages.frames import Request, RequestWithHeaders
from router.messages.revisions import NAMED_METHODS, STATELESS_REVISION
from transports import json_rpc
from transports.connect.remote.responses import read_short_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from msgspec import Raw

    from router.messages.catalog import Catalog
    from router.messages.frames import Frame
    from transports.connect.credentials import Credentials, LoginNeeded
    from transports.connect.remote.connection import OutgoingMessage

_ParamHeaders: TypeAlias = "Mapping[tuple[str, ...], str]"
"""The path of a value in the arguments of a tool -> the header that repeats the value."""

VERSION_HEADER: Final = MCP_PROTOCOL_VERSION_HEADER

_RESERVED: Final = frozenset(
    {VERSION_HEADER, MCP_METHOD_HEADER, MCP_NAME_HEADER, "mcp-session-id", "last-event-id"}
)
_RESERVED_PREFIX: Final = MCP_PARAM_HEADER_PREFIX.lower()

_KEPT: Final = ("content-type", "retry-after", "www-authenticate")
"""What matters of the headers of a refusal."""

_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text: Final = msgspec.json.Decoder(str)


def with_message(request: httpx2.Request, message: OutgoingMessage) -> httpx2.Request:
    """Return the SDK's request with the router's own bytes and headers of the message in it."""
    headers = httpx2.Headers(request.headers)
    headers.pop("content-length", None)
    if message.headers is not None:
        for name in [name for name in headers if is_reserved(name)]:
            del headers[name]
        headers.update(message.headers)
    headers.update(message.forwarded)
    return httpx2.Request(
        request.method,
        request.url,
        headers=headers,
        content=json_rpc.encode(message.frame),
        extensions=request.extensions,
    )


def is_reserved(header: str) -> bool:
    """Return whether only the message itself may put this header on a request of 2026-07-28."""
    name = header.lower()
    return name in _RESERVED or name.startswith(_RESERVED_PREFIX)


@attrs.define(eq=False)
class RequestHeaders:
    """Generates the headers for the requests of one connection.

    Attributes:
        configured: the names, in lower case, of the headers that are configured for the instance.
        is_stateless: True if the connection speaks 2026-07-28.
    """

    configured: frozenset[str] = frozenset()
    is_stateless: bool = False
    _tools: dict[str, Raw] = attrs.field(init=False, factory=dict[str, "Raw"], repr=False)
    _param_headers: dict[str, _ParamHeaders] = attrs.field(
        init=False, factory=dict[str, _ParamHeaders], repr=False
    )

    def set_catalog(self, catalog: Catalog) -> None:
        """Use the tools of this catalog from now on."""
        self._tools = {tool.key: tool.raw for tool in catalog.tools}
        self._param_headers.clear()

    def headers_for(self, frame: Frame) -> dict[str, str] | None:
        """Return the headers for a message; None if it is no request of 2026-07-28."""
        if not isinstance(frame, Request):
            return None
        # `server/discover` is sent before the revision is known, and exists only in 2026-07-28.
        if not self.is_stateless and frame.method != "server/discover":
            return None
        headers = {
            VERSION_HEADER: STATELESS_REVISION,
            MCP_METHOD_HEADER: encode_header_value(frame.method),
        }
        if frame.method in NAMED_METHODS:
            self._add_name_and_params(headers, frame)
        return headers

    def forwarded_with(self, frame: Frame) -> Mapping[str, str] | None:
        """Return the headers of a client that go with a message; None for nothing.

        What is configured for the instance, or belongs to the message itself, no client replaces.
        """
        if not isinstance(frame, RequestWithHeaders):
            return None
        taken = self.configured
        named = frame.headers.items()
        return {name: value for name, value in named if name not in taken and not is_reserved(name)}

    def _add_name_and_params(self, headers: dict[str, str], request: Request) -> None:
        try:
            params = _object.decode(request.params)
            name = _text.decode(params[NAMED_METHODS[request.method]])
        except (msgspec.MsgspecError, KeyError):
            return
        headers[MCP_NAME_HEADER] = encode_header_value(name)
        if request.method == "tools/call" and "arguments" in params:
            headers |= _repeat(params["arguments"], self._param_headers_of(name))

    def _param_headers_of(self, tool: str) -> _ParamHeaders:
        if tool not in self._tools:
            return {}
        if tool not in self._param_headers:
            self._param_headers[tool] = _read_param_headers(self._tools[tool])
        return self._param_headers[tool]


async def open_with(
    credentials: Credentials,
    request: httpx2.Request,
    send: Callable[[httpx2.Request], Awaitable[httpx2.Response]],
) -> httpx2.Response:
    """Send a request with credentials; once more if the server refuses them and there are others.

    Raises:
        LoginNeeded: only a person can go on.
    """
    sent = await credentials.headers()
    request.headers.update(sent)
    response = await send(request)
    challenges = response.headers.get_list("www-authenticate")
    # RFC 9110 section 15.5.2: a 401 names what is asked for. Without that, it is no such matter;
    # but some servers refuse a token that is over without a word.
    is_refusal = response.status_code == 401 and bool(challenges or sent)
    if not is_refusal and (response.status_code != 403 or not challenges):
        return response
    # Read to its end first: to find out what is asked for takes requests to other servers.
    body = await read_short_body(response)
    await response.aclose()
    if not await credentials.refused(response.status_code, ", ".join(challenges), sent):
        kept = {name: response.headers[name] for name in _KEPT if name in response.headers}
        return httpx2.Response(response.status_code, headers=kept, content=body, request=request)
    for name in sent:
        request.headers.pop(name, None)
    request.headers.update(await credentials.headers())
    return await send(request)


async def refuse(needed: LoginNeeded, request: httpx2.Request) -> httpx2.Response:
    """Return the answer to a request that lacks a scope, with the reason in its body."""
    await trio.lowlevel.checkpoint()
    return httpx2.Response(403, text=str(needed), request=request)


def _read_param_headers(tool: Raw) -> _ParamHeaders:
    """Return the headers that the schema of a tool asks for; none if the schema is not allowed."""
    try:
        schema = msgspec.json.decode(tool).get("inputSchema")
    except (msgspec.MsgspecError, RecursionError):  # its server may have written anything
        return {}
    return {} if find_invalid_x_mcp_header(schema) else x_mcp_header_map(schema)


def _repeat(arguments: Raw, param_headers: _ParamHeaders) -> dict[str, str]:
    """Return the headers with the values from the arguments of a call."""
    if not param_headers:
        return {}
    try:
        # By the standard library, whose number format is the one that servers compare with.
        values = json.loads(bytes(arguments))
        return mcp_param_headers(param_headers, values)
    except ValueError:
        return {}

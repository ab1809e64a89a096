"""The MCP client that calls tools for code, inside the router.

To the core it is a client like any other, with the principal, place and address of the caller: so
its calls have the same path, permissions, limits, approvals and records. It declares no
capabilities, so servers can ask it nothing, and calls that need a yes wait for approvers.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

import msgspec
import trio
from msgspec import Raw, Struct, field

from router.core.protocol.own_tools.router_tools import RUN, SEARCH, canonical_name
from router.messages.errors import RpcError
from router.messages.events import ClientClosed, ClientOpened, FromClient
from router.messages.frames import ErrorResponse, Request, Response
from router.messages.params import given, object_of
from router.messages.revisions import LATEST_HANDSHAKE_REVISION
from router.version import VERSION

if TYPE_CHECKING:
    from router.dispatch.actor import Inbound
    from router.messages.frames import Frame, Outbox
    from router.messages.own_tools.code_runs import RunCode

CLIENT_NAME: Final = RUN
"""Its `clientInfo.name`, by which records tell its calls from those of the caller itself."""

FRAMES_SIZE: Final = 256
"""Frames that wait to be taken: an answer for each call, and what servers say to everybody."""

MAX_VALUE_BYTES: Final = 8 * 2**20
"""Of the result of a call: code may have 64 MB of memory."""

MAX_ERROR_CHARS: Final = 8 * 1024


class ToolFailed(Exception):
    """A call has failed; the text is for the code that made it."""


class _Waiting(Struct, eq=False):
    """A request, and its answer once that has come."""

    is_there: trio.Event = field(default_factory=trio.Event)
    answer: Response | ErrorResponse | None = None


class InnerClient:
    """The client of one run."""

    def __init__(self, inbox: trio.MemorySendChannel[Inbound], caller: RunCode) -> None:
        self._inbox, self._caller = inbox, caller
        self._id = secrets.token_hex(16)
        self._frames_in, self._frames = trio.open_memory_channel[Any](FRAMES_SIZE)
        self._outbox: Outbox = self._frames_in
        self._waiting: dict[int, _Waiting] = {}
        self._last_id = 0
        self._is_closed = False

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Be a client of the router until cancelled."""
        caller = self._caller
        opened = ClientOpened(
            self._id, self._outbox, caller.principal, view=caller.place, address=caller.address
        )
        with self._frames_in, self._frames:
            await self._inbox.send(opened)
            try:
                task_status.started()
                async for frame in self._frames:
                    self._take(frame)
                self._close()  # The router has closed it, as when the caller's token is taken away.
            finally:
                # The actor takes what is sent to it at once; it ends later than this.
                with trio.move_on_after(1, shield=True):
                    await self._inbox.send(ClientClosed(self._id, "The code has ended"))

    def _take(self, frame: Frame) -> None:
        """Take an answer; everything else is for clients that listen."""
        if isinstance(frame, (Response, ErrorResponse)) and isinstance(frame.id, int):
            waiting = self._waiting.pop(frame.id, None)
            if waiting is not None:
                waiting.answer = frame
                waiting.is_there.set()

    def _close(self) -> None:
        self._is_closed = True
        for waiting in self._waiting.values():
            waiting.is_there.set()

    async def introduce(self) -> None:
        """Send `initialize`.

        Raises:
            ToolFailed: the place of the caller is gone.
        """
        members: dict[str, Any] = {
            "protocolVersion": LATEST_HANDSHAKE_REVISION,
            "capabilities": {},
            "clientInfo": {"name": CLIENT_NAME, "version": VERSION},
        }
        await self._request("initialize", members)

    async def call_tool(self, name: str, arguments: dict[str, Any]) -> dict[str, str]:
        """Call a tool by its direct name.

        Returns:
            `json`: its structured content, if it has any; else `text`.

        Raises:
            ToolFailed: it says so, or it could not be called.
        """
        if canonical_name(name) is not None:
            await trio.lowlevel.checkpoint()
            raise ToolFailed(
                f"{name} cannot be called by code; call_tool(name, arguments) calls tools of "
                "servers, and search(query) finds them"
            )
        return _value_of(await self._call(name, arguments))

    async def search(self, query: str, limit: int) -> dict[str, str]:
        """Search for tools, as `mcp.router.search` does, and return the answer as `json`.

        Raises:
            ToolFailed: see `call_tool`.
        """
        found = _value_of(await self._call(SEARCH, {"query": query, "limit": limit}))
        return {"json": found["text"]}

    async def _call(self, name: str, arguments: dict[str, Any]) -> Raw:
        return await self._request("tools/call", {"name": name, "arguments": arguments})

    async def _request(self, method: str, members: dict[str, Any]) -> Raw:
        """Send a request and return its result."""
        self._last_id += 1
        request_id = self._last_id
        waiting = self._waiting[request_id] = _Waiting()
        request = Request(request_id, method, Raw(msgspec.json.encode(members)))
        if self._is_closed:
            waiting.is_there.set()
        else:
            await self._inbox.send(FromClient(self._id, request, self._outbox))
        await waiting.is_there.wait()
        if waiting.answer is None:
            raise ToolFailed("The router has ended this run")
        if isinstance(waiting.answer, ErrorResponse):
            raise ToolFailed(_message_of(waiting.answer.error))
        return waiting.answer.result


# --- Answers ---------------------------------------------------------------------------------


_objects: Final = msgspec.json.Decoder(dict[str, Any])


def _message_of(error: Raw) -> str:
    try:
        message = str(_objects.decode(error)["message"])
    except (msgspec.MsgspecError, KeyError):
        message = "the call has failed"
    return message[:MAX_ERROR_CHARS]


_blocks: Final = msgspec.json.Decoder(list[dict[str, Any]])
_flag: Final = msgspec.json.Decoder(bool)


def _value_of(raw: Raw) -> dict[str, str]:
    """Return what a result holds for code (MCP 2025-11-25, Tools, Tool Result), as `call_tool`.

    It may be long, so it is looked into no deeper than it has to be.

    Raises:
        ToolFailed: it tells of an error, is none, or is too long.
    """
    size = len(memoryview(raw))
    if size > MAX_VALUE_BYTES:
        raise ToolFailed(
            f"The result is {size:,} bytes long; code can take {MAX_VALUE_BYTES:,}. "
            "Ask the tool for less, such as a page"
        )
    try:
        members = object_of(raw, "the result")
        flag, structured = given(members, "isError"), given(members, "structuredContent")
        is_error = flag is not None and _flag.decode(flag)
        if structured is not None and not is_error:
            return {"json": bytes(structured).decode(errors="replace")}
        content = given(members, "content")
        text = "\n".join(map(_text_of, () if content is None else _blocks.decode(content)))
    except (RpcError, msgspec.MsgspecError, AttributeError, RecursionError):
        raise ToolFailed("The server's result is malformed") from None
    if is_error:
        raise ToolFailed(text[:MAX_ERROR_CHARS] or "The tool has failed")
    return {"text": text}


def _text_of(block: dict[str, Any]) -> str:
    """Return a part of a result as text: images and sounds are of no use to code."""
    kind = block.get("type")
    if kind == "text":
        return str(block.get("text", ""))
    if kind == "resource":
        resource: dict[str, Any] = block.get("resource") or {}
        return str(resource.get("text") or f"[resource {resource.get('uri')}]")
    if kind == "resource_link":
        return str(block.get("uri", ""))
    return f"[{kind} {block.get('mimeType', '')}]"

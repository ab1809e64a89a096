"""JSON-RPC messages as frames, and the addresses they are sent to.

A *frame* is one JSON-RPC message: an envelope of a few routing fields around raw JSON. The raw part
is never modelled. `transports.json_rpc` converts between frames and bytes.

An *outbox* is the address of a peer. The core stores outboxes and names them in effects; only the
dispatch actor sends through them.
"""

from __future__ import annotations

from typing import Any, Final, Protocol, TypeAlias

from msgspec import Raw, Struct

RequestId: TypeAlias = int | str

ClientId: TypeAlias = str
"""A client session: 32 hex digits, made by its listener, unguessable and never used again."""

SessionId: TypeAlias = int
"""One incarnation of an upstream session; a restart gets a new one."""

NO_RAW: Final = Raw()
"""The absent raw value (zero bytes)."""


class Request(Struct, frozen=True, gc=False):
    """A JSON-RPC request. `params` is a raw JSON object, or `NO_RAW`."""

    id: RequestId
    method: str
    params: Raw = NO_RAW


class RequestWithHeaders(Request, frozen=True, gc=False):
    """A request to a server, with headers for its HTTP request; over stdio they are left out."""

    headers: dict[str, str] = {}


class Notification(Struct, frozen=True, gc=False):
    """A JSON-RPC notification. `params` is a raw JSON object, or `NO_RAW`."""

    method: str
    params: Raw = NO_RAW


class Response(Struct, frozen=True, gc=False):
    """A successful JSON-RPC response; `result` is any raw JSON value."""

    id: RequestId
    result: Raw


class ErrorResponse(Struct, frozen=True, gc=False):
    """A failed JSON-RPC response; `error` is the raw error object (`code`, `message`, `data`).

    `id` is None where the request's id could not be read (JSON-RPC 2.0 section 5).
    """

    id: RequestId | None
    error: Raw


Frame: TypeAlias = Request | Notification | Response | ErrorResponse


class Outbox(Protocol):
    """The address of one peer or waiting task: the send end of a bounded memory channel."""

    def send_nowait(self, value: Any, /) -> None:
        """Queue `value`.

        Raises:
            trio.WouldBlock: the channel is full.
            trio.BrokenResourceError: the reader is gone.
            trio.ClosedResourceError: this end was closed.
        """
        ...

    def close(self) -> None:
        """End the channel: the reader gets the queued values, then the end of the channel.

        To close a closed outbox does nothing. This must not raise: the actor closes an outbox that
        is full.
        """
        ...

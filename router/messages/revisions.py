"""The protocol revisions of MCP, and the names by which a message tells its own."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

HANDSHAKE_REVISIONS: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
"""MCP protocol revisions with `initialize` and sessions, oldest first."""

LATEST_HANDSHAKE_REVISION: Final = HANDSHAKE_REVISIONS[-1]

STATELESS_REVISION: Final = "2026-07-28"
"""The revision without sessions: each request carries what a handshake would have negotiated."""

REVISIONS: Final = (*HANDSHAKE_REVISIONS, STATELESS_REVISION)
"""All revisions that clients may speak, oldest first."""

KEY_PREFIX: Final = "io.modelcontextprotocol/"
"""Prefix of the members of `_meta` that MCP 2026-07-28 defines."""

REVISION_KEY: Final = f"{KEY_PREFIX}protocolVersion"
"""Member of `params._meta` that makes a message one of 2026-07-28 or later."""

LISTEN_METHOD: Final = "subscriptions/listen"
"""Opens a subscription, which lasts until its client or the server ends it (MCP 2026-07-28)."""

NAMED_METHODS: Final = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "tasks/get": "taskId",
    "tasks/update": "taskId",
    "tasks/cancel": "taskId",
}
"""Method -> the member of its params that the HTTP header `Mcp-Name` repeats.

Sources: MCP 2026-07-28, Transports, Standard Request Headers; MCP Tasks extension, Routing Headers.
"""

DEFAULT_REVISION: Final = "2025-03-26"
"""The revision of an HTTP request without `MCP-Protocol-Version` (MCP 2025-11-25, Transports)."""

Era: TypeAlias = Literal["handshake", "stateless", "either", "own"]
"""The form that a client's requests have to have.

- `handshake`: `initialize` comes before them.
- `stateless`: they are requests of 2026-07-28.
- `either`: each request tells by its `_meta` (on stdio).
- `own`: the client is the router itself, in place of the sender of a command.
"""

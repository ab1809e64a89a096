"""Protocol revisions of MCP, and the words by which a message says which one it is of."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

HANDSHAKE_REVISIONS: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
"""MCP protocol revisions with `initialize` and sessions, oldest first."""


LATEST_HANDSHAKE_REVISION: Final = HANDSHAKE_REVISIONS[-1]


STATELESS_REVISION: Final = "2026-07-28"
"""The revision without sessions: each request says of itself what a handshake would have."""


REVISIONS: Final = (*HANDSHAKE_REVISIONS, STATELESS_REVISION)
"""All that clients may speak, oldest first."""


KEY_PREFIX: Final = "io.modelcontextprotocol/"


REVISION_KEY: Final = f"{KEY_PREFIX}protocolVersion"
"""Member of `params._meta` that makes a message one of 2026-07-28 or later."""


LISTEN_METHOD: Final = "subscriptions/listen"
"""The request that goes on until it is left, or the server stops (MCP 2026-07-28)."""


DEFAULT_REVISION: Final = "2025-03-26"
"""What an HTTP request without `MCP-Protocol-Version` speaks (MCP 2025-11-25, Transports)."""


Era: TypeAlias = Literal["handshake", "stateless", "either", "own"]
"""How a client's requests have to be: with `initialize` before them (`handshake`), of 2026-07-28
(`stateless`), or each as it says itself (`either`, on stdio). `own` marks a stand-in for
somebody who sent a command."""

"""Client sessions: who they are, what they declared, what they selected, what they were asked.

Job: one row for each client session. Neighbours: `core` alone changes it. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from router.messages import DEFAULT_REVISION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from msgspec import Raw

    from router.admin import Principal
    from router.core.calls import Ask, Call, Parked
    from router.core.from_client import Method
    from router.core.saving import Saving
    from router.messages import ClientId, Outbox, RequestId

LOG_LEVELS: Final = {
    "debug": 0,
    "info": 1,
    "notice": 2,
    "warning": 3,
    "error": 4,
    "critical": 5,
    "alert": 6,
    "emergency": 7,
}
"""Severities of `logging/setLevel` (MCP 2025-11-25, Logging; RFC 5424), least severe first."""

DEFAULT_LOG_LEVEL: Final = "info"
"""What a client gets that never set a level: the specification leaves it to the server."""


@attrs.define
class Client:
    """One client session.

    Attributes:
        outbox: takes what belongs to no request of its own.
        principal: who it is and what it may do, as its listener found out.
        one_shot: a lone HTTP request without a session; nothing is remembered for it.
        methods: what it may ask for, and what is done then.
        revision: the negotiated protocol revision.
        capabilities: what it declared (`roots`, `sampling`, ...), each a raw value.
        selected: the instance it chose with `mcp.router.use`, whose tools it is listed.
        log_level: what it set with `logging/setLevel`, None until then.
        owes_listing: it has not listed since it came or was last told `list_changed`, so that
            telling it again would tell it nothing.
        calls: its requests in flight upstream, by its own id.
        parked: its requests that wait for an instance to become ready, by its own id.
        saving: its requests that wait for a change to be on disk, by its own id.
        asks: requests of upstreams it has not answered yet, by the id it knows them under.
    """

    id: ClientId
    outbox: Outbox
    principal: Principal
    one_shot: bool
    methods: Mapping[str, Method] = attrs.field(repr=False)
    revision: str = DEFAULT_REVISION
    capabilities: dict[str, Raw] = attrs.field(factory=dict[str, "Raw"])
    selected: str | None = None
    log_level: str | None = None
    owes_listing: bool = True
    calls: dict[RequestId, Call] = attrs.field(factory=dict["RequestId", "Call"])
    parked: dict[RequestId, Parked] = attrs.field(factory=dict["RequestId", "Parked"])
    saving: dict[RequestId, Saving] = attrs.field(factory=dict["RequestId", "Saving"])
    asks: dict[RequestId, Ask] = attrs.field(factory=dict["RequestId", "Ask"])
    _last_ask_id: int = 0

    def waits_for(self, request_id: RequestId) -> bool:
        """Is this request of its own not answered yet?"""
        return request_id in self.calls or request_id in self.parked or request_id in self.saving

    def next_ask_id(self) -> int:
        """An id for a request to this client, unique within its session."""
        self._last_ask_id += 1
        return self._last_ask_id

    def wants_log(self, level: str) -> bool:
        """Is a log message of this severity to be sent to it?"""
        wanted = LOG_LEVELS[self.log_level or DEFAULT_LOG_LEVEL]
        return LOG_LEVELS.get(level, LOG_LEVELS["emergency"]) >= wanted

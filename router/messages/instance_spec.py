"""One upstream MCP server as `data/` configures it, with every `${VAR}` expanded. Data only."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import attrs

ProtocolSetting: TypeAlias = Literal["auto", "legacy", "2026-07-28"]
"""How an instance is spoken to."""


def _no_strings() -> dict[str, str]:
    return {}


def _no_metadata() -> dict[str, Any]:
    return {}


@attrs.frozen
class InstanceSpec:
    """One upstream MCP server, as configured, with `${VAR}` already expanded.

    Attributes:
        name: unique among instances.
        provider: the folder of `data/` it stands in, unless its entry says otherwise.
        type: how to reach it.
        command, args, env, cwd: for `stdio`; `env` is added to a minimal environment.
        url, headers: for `http` and `sse`.
        try_sse: an `http` instance whose type was only guessed from its `url`: when the server
            refuses streamable HTTP, HTTP+SSE is tried (MCP 2025-11-25, Transports, Backwards
            Compatibility).
        is_active: an inactive instance is listed but not connected.
        metadata: the user's own notes, shown in listings.
        protocol: "legacy" begins with `initialize`; "2026-07-28" has no sessions; "auto" finds out.
        timeout_s: overrides `mcp_client.timeout` for calls to this instance.
        problem: why this entry cannot be started, None when it can; it names the place.
        source: the file it was read from, for messages.
    """

    name: str
    provider: str
    type: Literal["stdio", "http", "sse"] = "stdio"
    command: str = ""
    args: tuple[str, ...] = ()
    env: dict[str, str] = attrs.field(factory=_no_strings, repr=False)
    cwd: str | None = None
    url: str = ""
    headers: dict[str, str] = attrs.field(factory=_no_strings, repr=False)
    try_sse: bool = False
    is_active: bool = True
    metadata: dict[str, Any] = attrs.field(factory=_no_metadata)
    protocol: ProtocolSetting = "auto"
    timeout_s: float | None = None
    problem: str | None = None
    source: str = ""

    @property
    def display_name(self) -> str:
        """The name shown to people (contract: `mcp.router.list`)."""
        return f"{self.name} (provider: {self.provider})"

    def starts_like(self, other: InstanceSpec) -> bool:
        """Is a session of this one as good for the other, which differs in what is shown only?"""
        shown = {"metadata", "provider", "source", "timeout_s"}
        return self == attrs.evolve(other, **{name: getattr(self, name) for name in shown})

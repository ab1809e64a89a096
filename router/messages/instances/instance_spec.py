"""One upstream MCP server as `data/` configures it, with every `${VAR}` expanded. Data only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import attrs
from msgspec import Struct, field

from router.messages.frames import NO_RAW
from router.messages.instances.exposure import EVERYTHING, Exposure
from router.messages.instances.run_policy import DEFAULT_RUN_POLICY, RunPolicy

if TYPE_CHECKING:
    from msgspec import Raw

    from router.messages.instances.oauth_login import OAuthLogin
    from router.messages.instances.sandbox import Sandbox

ProtocolSetting: TypeAlias = Literal["auto", "legacy", "2026-07-28"]
"""The protocol of an instance: "legacy" begins with `initialize`, "2026-07-28" has no sessions, and
"auto" finds out which of the two the server speaks."""

SessionsSetting: TypeAlias = Literal["shared", "per_client"]
"""Whether the clients of an instance share one session, or each has a session of its own."""

DEFAULT_MAX_SESSIONS: Final = 32

CLIENT_MARK: Final = "#"
"""Separates the name of an instance from the number of a client's session; see `client`."""

ROOT_REFERENCE: Final = "${roots.0}"
"""Stands in `cwd`, `args` and `sandbox` for the client's first root, as an absolute path."""


def _no_strings() -> dict[str, str]:
    return {}


def _no_metadata() -> dict[str, Any]:
    return {}


def _no_capabilities() -> dict[str, Raw]:
    return {}


class ClientIdentity(Struct, frozen=True):
    """The client that a server is told of at `initialize`, in place of the router.

    Attributes:
        info: its `Implementation`, raw; `NO_RAW` to name the router.
        capabilities: the capabilities that it declared, raw, by name.
    """

    info: Raw = NO_RAW
    capabilities: dict[str, Raw] = field(default_factory=_no_capabilities)


@attrs.frozen
class InstanceSpec:
    """One upstream MCP server, as configured, with `${VAR}` already expanded.

    Attributes:
        name: unique among instances.
        provider: its folder in `data/`, unless its entry names another provider.
        type: the transport that reaches it.
        command, args, env, cwd: for `stdio`; `env` is added to a minimal environment.
        url, headers: for `http` and `sse`.
        try_sse: True for an `http` instance whose type was only guessed from its `url`: if the
            server refuses streamable HTTP, HTTP+SSE is tried (MCP 2025-11-25, Transports,
            Backwards Compatibility).
        oauth: how the router logs in to it; None for the usual way, if its server asks for that.
        may_log_in: False if it never logs in, whatever its server asks for.
        forward_headers: the names, in lower case, of headers of clients that go to its server.
        allow_private: False if its host must have a public address.
        sandbox: how its process is confined; None for a process that is not.
        is_active: False for an instance that is listed but not connected.
        metadata: the user's own notes, shown in listings.
        protocol: see `ProtocolSetting`.
        timeout_s: overrides `mcp_client.timeout` for calls to this instance.
        check_arguments: overrides `security.check_arguments` for calls to this instance.
        exposure: what of it is shown to clients.
        catalogue_cache: True to keep its last known lists on disk, and show them before it is
            ready.
        sessions: "shared" for one session that serves all clients, or "per_client" for one session
            for each client.
            It is "per_client" also where each person has one, see `is_per_person`.
        max_sessions: the most sessions at the same time, with "per_client".
        run_policy: how its sessions are started, watched, stopped and protected.
        client: the client whose session this is; None if clients share it, as they do unless the
            session was started for one of them.
        person: the name of the principal whose session this is, or whose part of the instance; None
            if it is nobody's in particular.
        start: the number of the command that started this session; later ones have greater ones.
            0 in a configuration. It makes no difference in comparisons.
        ignored: the places of keys of other programs that have no effect here.
        warnings: mistakes that do not keep it from being started, each with its place.
        problem: the reason why this entry cannot be started, with its place; None if it can.
        source: the file from which the entry was read, for messages.
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
    oauth: OAuthLogin | None = None
    may_log_in: bool = True
    forward_headers: tuple[str, ...] = ()
    allow_private: bool = True
    sandbox: Sandbox | None = None
    is_active: bool = True
    metadata: dict[str, Any] = attrs.field(factory=_no_metadata)
    protocol: ProtocolSetting = "auto"
    timeout_s: float | None = None
    check_arguments: bool | None = None
    exposure: Exposure = EVERYTHING
    catalogue_cache: bool = True
    sessions: SessionsSetting = "shared"
    max_sessions: int = DEFAULT_MAX_SESSIONS
    run_policy: RunPolicy = DEFAULT_RUN_POLICY
    client: ClientIdentity | None = None
    person: str | None = None
    start: int = attrs.field(default=0, eq=False)
    ignored: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    problem: str | None = None
    source: str = ""

    @property
    def display_name(self) -> str:
        """The name that `mcp.router.list` shows to people."""
        return f"{self.name} (provider: {self.provider})"

    @property
    def has_replicas(self) -> bool:
        """True if several processes share the calls of this instance."""
        return self.run_policy.replicas > 1

    @property
    def is_per_person(self) -> bool:
        """True if all clients of one principal share a session, which serves nobody else."""
        return self.type != "stdio" and self.oauth is not None and self.oauth.is_per_person

    @property
    def needs_roots(self) -> bool:
        """True if `cwd`, `args` or the paths of `sandbox` depend on the roots of the client."""
        paths = () if self.sandbox is None else (*self.sandbox.read, *self.sandbox.write)
        return any(ROOT_REFERENCE in text for text in (self.cwd or "", *self.args, *paths))

    def with_root(self, path: str) -> InstanceSpec:
        """Return the same with the first root of a client in its places.

        Args:
            path: absolute.
        """
        return attrs.evolve(
            self,
            cwd=None if self.cwd is None else self.cwd.replace(ROOT_REFERENCE, path),
            args=tuple(text.replace(ROOT_REFERENCE, path) for text in self.args),
            sandbox=self.sandbox and self.sandbox.replacing(ROOT_REFERENCE, path),
        )

    def starts_like(self, other: InstanceSpec) -> bool:
        """Return whether a session of this instance serves the other configuration as well."""
        # These are shown or read with each call; a session does not depend on them.
        shown = {
            *("metadata", "provider", "source", "timeout_s", "check_arguments", "exposure"),
            *("catalogue_cache", "max_sessions", "run_policy", "ignored", "warnings"),
        }
        return self == attrs.evolve(other, **{name: getattr(self, name) for name in shown})

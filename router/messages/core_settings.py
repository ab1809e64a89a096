"""The settings of `config.json` that the core reads. Data only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import attrs

if TYPE_CHECKING:
    from router.messages.instances.exposure import Profile
    from router.messages.instances.run_policy import StartSetting
    from router.messages.rates import RateLimits


PinningSetting: TypeAlias = Literal["off", "warn", "block"]
"""Whether tools are compared with those that were approved, and what follows from a difference."""

RecordReason: TypeAlias = Literal["audit", "digests", "log", "metrics", "traces"]


def _no_profiles() -> dict[str, Profile]:
    return {}


def _no_rates() -> dict[str, RateLimits]:
    return {}


@attrs.frozen
class CoreSettings:
    """The core's settings, handed over at start and again after every change.

    Attributes:
        version: the version of this program.
        timeout_s: the default timeout of one call (`mcp_client.timeout`).
        question_timeout_s: how long the answer of a client to a server's question may take
            (`mcp_client.question_timeout_s`).
        approval_timeout_s: how long a call waits for an approver (`mcp_client.approval_timeout_s`).
        start: "eager" or "lazy", where an instance does not say (`mcp_client.start`).
        idle_stop_s: seconds without a call after which a session is stopped, where an instance does
            not say; 0 for never (`mcp_client.idle_stop_s`).
        tool_names: the spelling of the router's tools, "dotted" or "underscored", or "auto" to
            choose it for each client (`server.tool_names`).
        help_limit_bytes: the size up to which `mcp.router.help` answers in full
            (`server.help_limit_bytes`).
        name_limit: the greatest length of a direct name, in characters (`server.name_limit`).
        allow_instance_management: True to offer the tools that change instances (`server`).
        allow_stdio_via_api: "with_token", or "never" to forbid changes that define the command of
            an instance (`security`).
        pinning: see `PinningSetting` (`security.pinning`).
        check_arguments: True to check the arguments of calls against the tools' schemas, where the
            instance does not say (`security`).
        auto_limit_tokens: the cost of a list of tools up to which an `auto` view lists all of them
            (`server.auto_limit_tokens`).
        view: "router", "direct", "search", "auto" or the name of a profile: the view where a client
            names none (`server.view`). With `--view` it may be the name of an instance as well.
        profiles: the views that the file defines, by name (`profiles`).
        rates: the limits of tokens, by the names of their principals (`security.tokens.*.rate`); a
            token that is missing has none.
        can_run_code: True if a profile wants code to be run, and this installation can do it.
        records: the reason why `WriteRecord` is wanted; empty: for nothing, so none is made.
            "digests": with `arguments_sha256`; "traces": with `trace`; "log": for lines at DEBUG;
            "metrics": for those of OpenTelemetry.
    """

    version: str
    timeout_s: float = 30.0
    question_timeout_s: float = 120.0
    approval_timeout_s: float = 300.0
    start: StartSetting = "eager"
    idle_stop_s: float = 0.0
    tool_names: str = "auto"
    help_limit_bytes: int = 65536
    name_limit: int = 48
    allow_instance_management: bool = False
    allow_stdio_via_api: str = "with_token"
    pinning: PinningSetting = "off"
    check_arguments: bool = False
    auto_limit_tokens: int = 10_000
    view: str = "router"
    profiles: dict[str, Profile] = attrs.field(factory=_no_profiles)
    rates: dict[str, RateLimits] = attrs.field(factory=_no_rates)
    can_run_code: bool = False
    records: frozenset[RecordReason] = frozenset()

"""The settings of `config.json` that the core reads."""

from __future__ import annotations

import attrs


@attrs.frozen
class CoreSettings:
    """What the core is told at start, and again when it changed.

    Attributes:
        version: of this program.
        timeout_s: the default for one call (`mcp_client.timeout`).
        tool_names: "dotted" or "underscored" (`server.tool_names`).
        allow_instance_management: are there tools that change instances (`server`)?
        allow_stdio_via_api: "with_token", or "never" (`security`): may a change define what
            command is run?
        enable_validation: check the arguments of calls against the tools' schemas (`security`)?
    """

    version: str
    timeout_s: float = 30.0
    tool_names: str = "dotted"
    allow_instance_management: bool = False
    allow_stdio_via_api: str = "with_token"
    enable_validation: bool = True

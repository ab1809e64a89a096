"""Chooses how a client is listed the router's own tools: `mcp.router.use` or `mcp_router_use`.

MCP allows dots in the names of tools, and several model providers do not. Some clients refuse a
name with a dot, some warn, and some rewrite it. Both spellings are accepted in a call, always.
"""

from __future__ import annotations

import re
from typing import Final, Literal, TypeAlias

from router.messages.instances.exposure import matches_any

Spelling: TypeAlias = Literal["dotted", "underscored"]

DOTS_DEFINED_SINCE: Final = "2025-11-25"
"""The first revision that says which characters a tool's name may have (Tools, Tool Names).

Clients of this revision and later may check names; those before it are what MCP Router 1.1 served,
with dots. Revisions are dates, so they compare as texts.
"""

_UNDERSCORED: Final = (
    # Claude Desktop and claude.ai refuse all tools of a server with one such name.
    # https://github.com/loomle/loomle/issues/168, https://github.com/evoila/meho/issues/2745
    "claude-ai",
    # Claude Code shows its model underscores in place of dots.
    # https://github.com/barryw/ImmichMCP/pull/8
    "claude-code",
    # Cursor hides such tools, and has called them with underscores before.
    # https://github.com/webstudio-is/webstudio/issues/5960
    # https://github.com/gemini-cli-extensions/workspace/issues/168
    "cursor-vscode",
    # VS Code warns of each such tool, in its editions too ("Visual Studio Code - Insiders").
    # https://github.com/microsoft/vscode/issues/308463
    "Visual Studio Code*",
    "Visual-Studio-Code*",
    # GitHub Copilot's command line: every prompt fails. https://github.com/github/copilot-cli/issues/2581
    "github-copilot-developer",
    # GitHub Copilot for JetBrains warns of each such tool.
    # https://github.com/microsoft/copilot-intellij-feedback/issues/1583
    "JetBrains-*-copilot-intellij",
    # Codex before January 2026: every prompt fails; since then it shows underscores to its model.
    # https://github.com/openai/codex/issues/8174, https://github.com/openai/codex/pull/8694
    "codex-mcp-client",
    "Codex",
    # Antigravity: "tool name … violates ^[a-zA-Z0-9_-]{1,64}$".
    # https://github.com/microsoft/mcp/issues/2966
    "antigravity-client",
    # opencode shows underscores to its model. https://github.com/anomalyco/opencode/pull/33533
    "opencode",
)
"""Clients that refuse dots, warn of them, or show underscores to their model anyway.

The names themselves are in https://github.com/apify/mcp-client-capabilities.
"""

_DOTTED: Final = (
    # Gemini CLI keeps dots, as the Gemini API does; the name of the server may follow.
    # https://github.com/google-gemini/gemini-cli/pull/21039
    "gemini-cli-mcp-client*",
)
"""Clients that are known to take dots."""

# The bridge `mcp-remote` adds itself to its client's name: `claude-ai (via mcp-remote 0.1.37)`.
_BRIDGE: Final = re.compile(r" \(via [^()]*\)$")

_LONGEST_NAME: Final = 200
"""Characters of a name that is looked up; names of clients have about 30."""


def spelling_for(setting: str, client_name: str | None, revision: str) -> Spelling:
    """Return the spelling in which a client is listed the router's own tools.

    Args:
        setting: `server.tool_names`: "dotted", "underscored", or "auto" to go by the client.
        client_name: the `name` in its `clientInfo`; None if it sent none.
        revision: the protocol revision that it speaks.
    """
    if setting == "dotted" or setting == "underscored":
        return setting
    name = without_bridge(client_name)
    if matches_any(name, _UNDERSCORED):
        return "underscored"
    if revision < DOTS_DEFINED_SINCE or matches_any(name, _DOTTED):
        return "dotted"
    return "underscored"


def without_bridge(client_name: str | None) -> str:
    """Return the name of a client without what a bridge adds to it, cut where it is too long.

    Args:
        client_name: the `name` in its `clientInfo`; None if it sent none.
    """
    return _BRIDGE.sub("", (client_name or "")[:_LONGEST_NAME])

"""Knows the clients that search for tools by themselves, by the name that they give.

Such a client is best listed all tools, however many there are: it keeps them from its model until
they are needed, and knows better than the router what its model has seen.

A client that offers models of several makers, and searches with those of one, is not here: the
others would have to read everything. So these are not, or not yet:

- VS Code searches with some models, by a setting: https://github.com/microsoft/vscode/issues/312641
- GitHub Copilot's command line searches with models of one maker:
  https://github.com/github/copilot-cli/issues/4588
- opencode and Gemini CLI were asked for it: https://github.com/anomalyco/opencode/issues/9461,
  https://github.com/google-gemini/gemini-cli/issues/17322
"""

from __future__ import annotations

import re
from typing import Final

from router.core.names.client_names import without_bridge
from router.messages.instances.exposure import matches_any

_SEARCHING: Final[tuple[tuple[str, tuple[int, ...]], ...]] = (
    # Claude Code 2.1.7: "Enabled MCP tool search auto mode by default for all users", beyond a
    # tenth of the context. https://github.com/anthropics/claude-code/blob/main/CHANGELOG.md
    # Later versions hold back all tools of servers: https://code.claude.com/docs/en/mcp
    # Haiku models do not search: https://code.claude.com/docs/en/agent-sdk/tool-search
    ("claude-code", (2, 1, 7)),
    # Codex 0.142.2 holds back all tools of servers wherever its model can search, and lists them
    # where it cannot. https://github.com/openai/codex/pull/29486
    ("codex-mcp-client", (0, 142, 2)),
    # Cursor gives its model the names of tools, and their descriptions as files, since January
    # 2026; it gives no version of its own. https://cursor.com/blog/dynamic-context-discovery
    ("cursor-vscode", ()),
)
"""Pattern for the `name` in `clientInfo`, and the first version that searches, or none.

The names themselves are in https://github.com/apify/mcp-client-capabilities.
"""

_VERSION: Final = re.compile(r"\d{1,9}(?:\.\d{1,9}){0,3}")


def searches_by_itself(name: str | None, version: str | None) -> bool:
    """Return whether a client is known to search for tools by itself.

    Args:
        name: the `name` in its `clientInfo`; None if it sent none.
        version: the `version` there; one that cannot be read is before any other.
    """
    known = without_bridge(name)
    return any(
        matches_any(known, (pattern,)) and _numbers(version) >= since
        for pattern, since in _SEARCHING
    )


def _numbers(version: str | None) -> tuple[int, ...]:
    found = _VERSION.match(version or "")
    return tuple(map(int, found[0].split("."))) if found else ()

"""Judges names that some client refuses, in the view in which it would be listed them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from router.core.names.exposed_catalog import expose
from router.doctor.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.doctor.facts import Facts

LONGEST_LIMIT: Final = 48
"""Characters of a direct name that leave room for the prefixes of clients, such as
`mcp__mcp-router__` of Claude Code, below the 64 that LLM providers take."""

_ACCEPTED: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""The names that LLM providers take."""

_SHOWN: Final = 3


def judge(facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each setting and each instance with such names."""
    server, file = facts.settings.server, facts.config.name
    if server.tool_names == "dotted":
        problem = "Claude Desktop, Cursor, VS Code and others refuse names with dots"
        fix = 'set it to "auto", which gives each client the names that it takes'
        yield Finding("warning", "names", f"{file}: server.tool_names", problem, fix)
    if server.name_limit > LONGEST_LIMIT:
        problem = (
            f"with the prefix of its client, a direct name of {server.name_limit} characters is "
            "longer than the 64 that LLM providers take"
        )
        fix = f"set it to {LONGEST_LIMIT} or less"
        yield Finding("warning", "names", f"{file}: server.name_limit", problem, fix)
    yield from _own_names(facts)


def _own_names(facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each instance whose tools have refused names where it is shown alone."""
    for spec in facts.specs:
        known = facts.known.get(spec.name)
        if known is None or not spec.is_active:
            continue
        tools = [tool.key for tool in expose(known.catalog, spec.exposure).catalog.tools]
        refused = [name for name in tools if not _ACCEPTED.fullmatch(name)]
        if not refused:
            continue
        shown = ", ".join(refused[:_SHOWN]) + (", …" if len(refused) > _SHOWN else "")
        problem = f"in the view of {spec.name} alone, most clients refuse the names {shown}"
        fix = f'rename them with "tools" in {spec.source}, or use the view "direct"'
        is_default = facts.settings.server.view == spec.name
        yield Finding("warning" if is_default else "note", "names", spec.name, problem, fix)

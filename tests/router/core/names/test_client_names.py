"""The spelling of the router's own tools for each client."""

from typing import Any

import pytest

from router.core.names import client_names
from router.core.names.client_names import spelling_for
from router.core.protocol.own_tools.router_tools import instructions, items
from router.messages.revisions import HANDSHAKE_REVISIONS, STATELESS_REVISION

OLD = HANDSHAKE_REVISIONS[:-1]
NEW = (HANDSHAKE_REVISIONS[-1], STATELESS_REVISION)


@pytest.mark.parametrize("setting", ["dotted", "underscored"])
@pytest.mark.parametrize("revision", [OLD[0], STATELESS_REVISION])
@pytest.mark.parametrize("name", [None, "claude-ai", "gemini-cli-mcp-client"])
def test_a_spelling_that_is_configured_is_every_clients(
    setting: Any, revision: str, name: str | None
) -> None:
    assert spelling_for(setting, name, revision) == setting


@pytest.mark.parametrize("name", [None, "", "mcp", "my-claude-ai", "Claude-AI", "x" * 100_000])
def test_an_unknown_client_has_dots_before_the_revision_that_defines_them(name: str | None) -> None:
    assert {spelling_for("auto", name, revision) for revision in OLD} == {"dotted"}
    assert {spelling_for("auto", name, revision) for revision in NEW} == {"underscored"}


@pytest.mark.parametrize(
    "name",
    [
        *("claude-ai", "claude-code", "cursor-vscode", "Visual Studio Code"),
        *("Visual Studio Code - Insiders", "codex-mcp-client", "JetBrains-IU-copilot-intellij"),
        *("claude-ai (via mcp-remote 0.1.37)", "opencode", "antigravity-client"),
    ],
)
def test_a_client_that_minds_dots_never_has_them(name: str) -> None:
    assert {spelling_for("auto", name, one) for one in (*OLD, *NEW)} == {"underscored"}


@pytest.mark.parametrize(
    "name",
    ["gemini-cli-mcp-client", "gemini-cli-mcp-client-github", "gemini-cli-mcp-client (via x)"],
)
def test_a_client_that_takes_dots_always_has_them(name: str) -> None:
    assert {spelling_for("auto", name, one) for one in (*OLD, *NEW)} == {"dotted"}


def test_no_client_is_in_both_tables() -> None:
    plain = [name.replace("*", "") for name in client_names._UNDERSCORED]
    assert not set(plain) & {name.replace("*", "") for name in client_names._DOTTED}


def test_names_that_are_mentioned_are_spelled_alike() -> None:
    listed = b"".join(bytes(item.raw) for item in items("underscored", with_management=True))
    assert b"mcp.router" not in listed
    assert b"as mcp_router_help shows" in listed
    assert "mcp.router" not in instructions("underscored")
    assert "mcp_router_call calls" in instructions("underscored")
    assert "mcp.router.call calls" in instructions("dotted")

"""The clients that search for tools by themselves."""

import pytest

from router.core.names.searching_clients import searches_by_itself


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("claude-code", "2.1.7"),
        ("claude-code", "2.1.114 (Claude Code)"),
        ("claude-code", "3"),
        ("codex-mcp-client", "0.142.2"),
        ("codex-mcp-client", "1.0.0-alpha.1"),
        ("cursor-vscode", "1.0.0"),
        ("cursor-vscode", None),
        ("claude-code (via mcp-remote 0.1.37)", "2.2.0"),
    ],
)
def test_a_client_of_the_table_searches_since_its_version(name: str, version: str | None) -> None:
    assert searches_by_itself(name, version)


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("claude-code", "2.1.6"),
        ("claude-code", "2.0.99"),
        ("claude-code", "two"),
        ("claude-code", ""),
        ("claude-code", None),
        ("codex-mcp-client", "0.142.1"),
        ("codex-mcp-client", "v" * 5000),
        ("claude-ai", "9.9.9"),
        ("Visual Studio Code", "1.134.0"),
        ("my-claude-code", "2.1.7"),
        ("", "2.1.7"),
        (None, "2.1.7"),
    ],
)
def test_no_other_client_is_taken_for_one(name: str | None, version: str | None) -> None:
    assert not searches_by_itself(name, version)

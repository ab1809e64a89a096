"""Entries that people paste from other programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.router.instance_files.reading import read

if TYPE_CHECKING:
    from router.messages.instances.instance_spec import InstanceSpec


def pasted(text: str, outer: str = "mcpServers") -> dict[str, InstanceSpec]:
    """Read the entries of a whole file, none of which may have a problem."""
    specs = {name: read(entry, name) for name, entry in json.loads(text)[outer].items()}
    assert [spec.problem for spec in specs.values()] == [None] * len(specs)
    return specs


def test_entries_of_claude_desktop_work_as_pasted() -> None:
    specs = pasted("""{
      "mcpServers": {
        "filesystem": {
          "command": "npx",
          "args": ["-y", "@modelcontextprotocol/server-filesystem", "/Users/me/Desktop"]
        },
        "github": {
          "command": "docker",
          "args": ["run", "-i", "--rm", "-e", "GITHUB_PERSONAL_ACCESS_TOKEN", "mcp/github"],
          "env": {"GITHUB_PERSONAL_ACCESS_TOKEN": "<YOUR_TOKEN>"}
        }
      }
    }""")
    assert specs["filesystem"].type == "stdio"
    assert specs["filesystem"].args[2] == "/Users/me/Desktop"
    assert specs["github"].env == {"GITHUB_PERSONAL_ACCESS_TOKEN": "<YOUR_TOKEN>"}


def test_entries_of_claude_code_work_as_pasted() -> None:
    specs = pasted("""{
      "mcpServers": {
        "api-server": {
          "type": "http",
          "url": "${API_BASE_URL:-https://api.example.com}/mcp",
          "headers": {"Authorization": "Bearer ${GITHUB_TOKEN}"}
        },
        "legacy": {"type": "sse", "url": "https://mcp.example.com/sse"},
        "local": {"type": "stdio", "command": "uvx", "args": ["mcp-server-git"], "env": {}}
      }
    }""")
    assert (specs["api-server"].type, specs["api-server"].try_sse) == ("http", False)
    assert specs["api-server"].url == "https://api.example.com/mcp"
    assert specs["api-server"].headers == {"Authorization": "Bearer gh-s3cret-value"}
    assert (specs["legacy"].type, specs["local"].type) == ("sse", "stdio")


def test_entries_of_cursor_work_as_pasted() -> None:
    specs = pasted("""{
      "mcpServers": {
        "remote": {
          "url": "http://localhost:3000/mcp",
          "headers": {"API_KEY": "${env:GITHUB_TOKEN}"}
        },
        "local": {"command": "npx", "args": ["-y", "mcp-server"], "env": {"API_KEY": "value"}}
      }
    }""")
    assert (specs["remote"].type, specs["remote"].try_sse) == ("http", True)
    assert specs["remote"].headers == {"API_KEY": "gh-s3cret-value"}
    assert specs["local"].type == "stdio"


def test_entries_of_vs_code_work_as_pasted() -> None:
    specs = pasted(
        """{
      "inputs": [{"type": "promptString", "id": "key", "description": "Key", "password": true}],
      "servers": {
        "playwright": {"command": "npx", "args": ["-y", "@microsoft/mcp-server-playwright"]},
        "github": {"type": "http", "url": "https://api.githubcopilot.com/mcp"},
        "ports": {"type": "stdio", "command": "x", "args": ["--port", 8080], "env": {"N": 1.5}}
      }
    }""",
        outer="servers",
    )
    assert [spec.type for spec in specs.values()] == ["stdio", "http", "stdio"]
    assert specs["ports"].args == ("--port", "8080")
    assert specs["ports"].env == {"N": "1.5"}


def test_entries_of_windsurf_work_as_pasted() -> None:
    specs = pasted("""{
      "mcpServers": {
        "remote": {
          "serverUrl": "https://mcp.example.org/mcp",
          "headers": {"API_KEY": "Bearer ${env:GITHUB_TOKEN}"},
          "disabled": true,
          "disabledTools": ["x"],
          "alwaysAllow": []
        }
      }
    }""")
    assert specs["remote"].url == "https://mcp.example.org/mcp"
    assert (specs["remote"].type, specs["remote"].try_sse) == ("http", True)
    assert not specs["remote"].is_active


def test_entries_of_gemini_cli_work_as_pasted() -> None:
    specs = pasted("""{
      "mcpServers": {
        "http": {
          "httpUrl": "http://localhost:3000/mcp",
          "url": "http://localhost:3000/ignored",
          "timeout": 15000,
          "trust": false,
          "includeTools": ["a"]
        },
        "python": {
          "command": "python",
          "args": ["-m", "my_mcp_server"],
          "cwd": "./mcp-servers/python",
          "env": {"DATABASE_URL": "$GITHUB_TOKEN", "API_KEY": "${GITHUB_TOKEN}", "COST": "$5"},
          "timeout": 15
        }
      }
    }""")
    assert (specs["http"].url, specs["http"].try_sse) == ("http://localhost:3000/mcp", False)
    assert (specs["http"].timeout_s, specs["python"].timeout_s) == (15, 15)
    assert specs["http"].exposure.tools.allow == ("a",)
    assert specs["python"].cwd == "./mcp-servers/python"
    assert specs["python"].env == {
        "DATABASE_URL": "gh-s3cret-value",
        "API_KEY": "gh-s3cret-value",
        "COST": "$5",
    }

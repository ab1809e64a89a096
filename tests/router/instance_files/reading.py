"""Reads an entry as if it stood in `data/github/mcp_settings.json`."""

from __future__ import annotations

from typing import Any

from router.instance_files.entry.entries import read_entry
from router.instance_files.entry.entry_location import EntryLocation
from router.messages.instances.instance_spec import InstanceSpec
from router.references.expander import Expander

ENVIRON = {"GITHUB_TOKEN": "gh-s3cret-value", "PATH": "/usr/bin"}
COMMAND = {"command": "npx"}
URL = {"url": "https://mcp.example.org/mcp"}


def read(entry: dict[str, Any], name: str = "github") -> InstanceSpec:
    location = EntryLocation("data/github/mcp_settings.json", f"mcpServers.{name}", "github", name)
    spec = read_entry(entry, location, Expander(ENVIRON))
    assert isinstance(spec, InstanceSpec)
    return spec


def problem(entry: dict[str, Any]) -> str:
    """Return the only problem of an entry, without the place of the entry."""
    text = read(entry).problem
    assert text is not None
    prefix = "data/github/mcp_settings.json: mcpServers.github"
    assert text.startswith(prefix)
    return text.removeprefix(prefix).removeprefix(".").removeprefix(": ")

"""Writes the files of `data/`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = {"command": "npx"}


def put(data: Path, provider: str, value: Any) -> Path:
    """Write a provider's file: text as it is, all else as JSON."""
    folder = data / provider
    folder.mkdir(exist_ok=True)
    path = folder / "mcp_settings.json"
    if isinstance(value, bytes):
        path.write_bytes(value)
    else:
        path.write_text(value if isinstance(value, str) else json.dumps(value), "utf-8")
    return path

"""The entries in `data/`, and the router that is theirs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from tests.router.cli.rest_api.fake_router import FakeRouter


def write(data: Path, provider: str, entry: dict[str, Any]) -> None:
    (data / provider).mkdir(parents=True)
    (data / provider / "mcp_settings.json").write_text(json.dumps(entry))


def read(data: Path, provider: str) -> dict[str, Any]:
    return json.loads((data / provider / "mcp_settings.json").read_bytes())


def serve_at(router: FakeRouter, data: Path) -> None:
    """Have the router be the one of the folder of `data`."""
    config = {"api": {"enabled": True, "port": int(router.url.rpartition(":")[2])}}
    (data.parent / "config.json").write_text(json.dumps(config))

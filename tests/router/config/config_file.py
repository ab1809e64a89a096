"""Writes a `config.json` and collects what its reader finds wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from router.config.settings import load_settings
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def write(config: Path, value: Any) -> Path:
    """Write text as it is, and anything else as JSON."""
    config.write_text(value if isinstance(value, str) else json.dumps(value))
    return config


def problems(config: Path, value: Any) -> list[str]:
    """Return the lines of the error that reading this content raises."""
    with pytest.raises(ConfigError) as raised:
        load_settings(write(config, value))
    return str(raised.value).splitlines()

"""Compares `data/` before and after a change of an instance."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from router.instance_files.edits import apply_change
from router.messages.errors import RpcError

if TYPE_CHECKING:
    from pathlib import Path

    from router.messages.commands import Change


def json_in(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def files_in(data: Path) -> dict[str, bytes]:
    """Return the content of all files but the lock."""
    files = (path for path in data.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path): path.read_bytes() for path in files}


def refused(data: Path, change: Change) -> RpcError:
    """Return the error of a change that is refused, and changes nothing."""
    before = files_in(data)
    with pytest.raises(RpcError) as raised:
        apply_change(data, change)
    assert files_in(data) == before
    return raised.value

"""What a change of an instance leaves on disk."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from router.instance_files.edits import apply_change
from router.messages.errors import RpcError

if TYPE_CHECKING:
    from pathlib import Path

    from router.messages.commands import Change


def value(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def everything(data: Path) -> dict[str, bytes]:
    """All files but the lock."""
    files = (path for path in data.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path): path.read_bytes() for path in files}


def refused(data: Path, change: Change) -> RpcError:
    """The error of a change that cannot be made, and changes nothing."""
    before = everything(data)
    with pytest.raises(RpcError) as raised:
        apply_change(data, change)
    assert everything(data) == before
    return raised.value

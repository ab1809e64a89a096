"""`pins.json`: tools are kept byte for byte, and what cannot be understood is left alone."""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING

import pytest
from msgspec import Raw

from router.core.pinning.digests import digest_of
from router.instance_files import pin_file
from router.instance_files.pin_file import approved_forms, change_pins, read_pins
from router.messages.catalog import ApprovedTool
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

TOOL = b'{ "name":"send",  "description": "\\u00e9 \xc3\xa9"}'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "pins.json"


def save(path: Path, **instances: dict[str, bytes | None]) -> None:
    change_pins(path, approved_forms(instances, digest_of))


def test_what_was_saved_is_read_byte_for_byte(path: Path) -> None:
    assert read_pins(path) == {}
    save(path, a={"send": TOOL, "x": b"{}"}, b={"send": b"[]"})
    pins = read_pins(path)
    assert pins["a"]["send"] == ApprovedTool(digest_of(TOOL), Raw(TOOL))
    assert {name: list(tools) for name, tools in pins.items()} == {
        "a": ["send", "x"],
        "b": ["send"],
    }


def test_a_change_leaves_other_tools_as_another_router_saved_them(path: Path) -> None:
    save(path, a={"send": TOOL, "x": b"{}", "gone": b"{}"}, b={"send": b"[]"})
    save(path, a={"x": b"[1]", "gone": None, "never": None})
    pins = read_pins(path)
    assert {name: bytes(one.tool) for name, one in pins["a"].items()} == {"send": TOOL, "x": b"[1]"}
    assert list(pins["b"]) == ["send"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_nobody_else_may_read_the_file(path: Path) -> None:
    before = os.umask(0)
    try:
        save(path, a={"send": TOOL})
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"{", "cannot be understood"),
        (b"\xff", "cannot be understood"),
        (b'{"version":1,"instances":{"a":{"x":{"tool":{}}}}}', "sha256"),
        (b'{"version":1,"instances":{},"more":1}', "more"),
        (b'{"version":2,"instances":{}}', "has the version 2, not 1"),
        (b"[" * 5000, "cannot be understood"),
    ],
)
def test_a_file_that_cannot_be_understood_is_neither_used_nor_replaced(
    path: Path, content: bytes, why: str
) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=why) as refused:
        read_pins(path)
    assert "remove it to have all tools approved" in str(refused.value)
    with pytest.raises(ConfigError):
        save(path, a={"send": TOOL})
    assert path.read_bytes() == content


def test_a_file_that_is_too_large_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(path, a={"send": TOOL})
    monkeypatch.setattr(pin_file, "MAX_FILE_BYTES", 20)
    with pytest.raises(ConfigError, match="is larger than"):
        read_pins(path)


def test_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    target = tmp_path / "target"
    target.write_bytes(b'{"version":1,"instances":{}}')
    try:
        path.symlink_to(target)
    except OSError:
        pytest.skip("this user may make no links")
    with pytest.raises(ConfigError, match="symbolic link"):
        read_pins(path)
    with pytest.raises(OSError, match="symbolic link"):
        save(path, a={"send": TOOL})

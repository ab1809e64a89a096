"""Reading and writing the user's files."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.files import safe_folder
from router.files.json_files import (
    decode_members,
    decode_object,
    kind_of,
    quote_key,
    quote_value,
    read_bytes,
    write_atomically,
)
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

posix_only = pytest.mark.skipif(os.name != "posix", reason="modes and pipes of POSIX")


# --- Reading ---------------------------------------------------------------------------------


def test_file_may_be_as_large_as_the_limit_and_no_larger(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b"x" * 1024 * 1024)
    assert len(read_bytes(path, "x.json", 1024 * 1024)) == 1024 * 1024
    path.write_bytes(b"x" * (1024 * 1024 + 1))
    with pytest.raises(ConfigError, match=r"^x\.json: is larger than 1 MB$"):
        read_bytes(path, "x.json", 1024 * 1024)


def test_byte_order_mark_is_no_part_of_the_content(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b"\xef\xbb\xbf{}")
    assert read_bytes(path, "x.json", 100) == b"{}"


def test_missing_file_is_for_the_caller_to_judge(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_bytes(tmp_path / "x.json", "x.json", 100)


def test_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^x: cannot be read: "):
        read_bytes(tmp_path, "x", 100)


@posix_only
def test_pipe_is_refused_and_makes_nobody_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match=r"^x: cannot be read: it is no regular file$"):
        read_bytes(tmp_path / "pipe", "x", 100)


# --- Decoding --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "line 1, column 1: invalid JSON: it ends too early"),
        (b'{"a": {"b', "line 1, column 10: invalid JSON: it ends too early"),
        (b'{\n  "a": 1,\n}', "line 3, column 1: invalid JSON: trailing comma in object"),
        (b'{\n  "a": 1 // one\n}', "line 2, column 10: invalid JSON: JSON knows no comments"),
        (b'{"a": 1} x', "line 1, column 11: invalid JSON: trailing characters"),
        (b"{'a': 1}", "line 1, column 2: invalid JSON: object keys must be strings"),
        (b'{"a": NaN}', "line 1, column 7: invalid JSON: invalid character"),
        (b'{"a": 1e999}', "invalid JSON: Number out of range"),
        (b'{"a": %s}' % (b"1" * 5000), "invalid JSON: Integer value out of range"),
        (b'{\n"a": "\xff"}', "line 2, column 7: is not UTF-8; save it as UTF-8"),
        ('{"ä": x}'.encode(), "line 1, column 7: invalid JSON: invalid character"),
        (b"[" * 100_000, "is nested too deeply"),
        (b"[1]", "expected an object, got an array"),
        (b"null", "expected an object, got null"),
    ],
)
def test_what_is_no_json_object_is_said_with_line_and_column(data: bytes, problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        decode_object(data, "x.json")
    assert str(raised.value).startswith(f"x.json: {problem}")


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_an_object_or_an_error(data: bytes) -> None:
    problem = ""
    try:
        assert isinstance(decode_object(data, "x"), dict)
    except ConfigError as exc:
        problem = str(exc)
    assert "\n" not in problem


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "b": {"a": 2}, "a": 3}',
        '{"servers": {"x": {}, "x": {"command": "y"}}}',
        '{"l": [{"e": 1, "e": 1}]}',
        '{"a": 1, "a": 1, "as long again": 1e6}',
        '{"\\u0061": 1, "a": "\u9375"}',
    ],
)
def test_key_that_is_there_twice_is_named(text: str) -> None:
    for decode in (decode_object, decode_members):
        with pytest.raises(ConfigError, match=r'^f: the key "\w+" is there twice in one object$'):
            decode(text.encode(), "f")


@pytest.mark.parametrize(
    "text",
    [
        '{"a": {"a": [{"a": 1}, {"a": 1}]}}',
        '{"\\u9375": 1.50, "b": 1e3, "\u00e9": "\\/"}',
        '{"n": 1' + "0" * 300 + "}",
    ],
)
def test_key_may_be_there_again_elsewhere_however_the_file_is_written(text: str) -> None:
    assert decode_object(text.encode(), "f")


def test_members_are_as_they_are_written() -> None:
    members = decode_members(b'{"b": 1.0, "a": {"x":  "\\u00e9"}}', "x")
    assert {key: bytes(raw) for key, raw in members.items()} == {
        "b": b"1.0",
        "a": b'{"x":  "\\u00e9"}',
    }
    assert list(members) == ["b", "a"]


def test_members_of_what_is_no_object_are_an_error() -> None:
    with pytest.raises(ConfigError, match="expected an object, got a string"):
        decode_members(b'"x"', "x")


# --- Words for messages ----------------------------------------------------------------------


def test_values_are_shown_as_json_and_cut_short() -> None:
    assert quote_value("x") == '"x"'
    assert quote_value(None) == "null"
    assert quote_value(True) == "true"
    assert len(quote_value("x" * 1000)) == 60
    assert quote_value("a\nb") == '"a\\nb"'


def test_of_arrays_and_objects_no_content_is_shown() -> None:
    assert quote_value(["--token", "s3cret"]) == "an array"
    assert quote_value({"token": "s3cret"}) == "an object"


def test_key_cannot_forge_a_line() -> None:
    assert quote_key("mcpServers") == "mcpServers"
    assert quote_key("a\nb") == '"a\\nb"'


def test_name_of_a_file_that_is_no_utf_8_can_be_told() -> None:
    assert quote_key("bad\udcff") == '"bad\\\\udcff"'


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({}, "an object"),
        ([], "an array"),
        ("", "a string"),
        (True, "true or false"),
        (1, "a number"),
        (1.5, "a number"),
        (None, "null"),
    ],
)
def test_kinds_have_the_words_of_json(value: object, kind: str) -> None:
    assert kind_of(value) == kind


# --- Writing ---------------------------------------------------------------------------------


@posix_only
def test_new_file_is_for_its_owner_only(tmp_path: Path) -> None:
    write_atomically(tmp_path / "x.json", b"{}")
    assert (tmp_path / "x.json").read_bytes() == b"{}"
    assert stat.S_IMODE((tmp_path / "x.json").stat().st_mode) == 0o600


@posix_only
def test_replaced_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b"old")
    path.chmod(0o640)
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@posix_only
def test_reader_of_the_old_file_goes_on_reading_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b"old")
    with path.open("rb") as file:
        write_atomically(path, b"new")
        assert file.read() == b"old"


def no_space(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("step", ["fsync", "replace", "fchmod"])
def test_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, step, no_space)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@posix_only
def test_folder_that_cannot_be_synced_does_not_undo_the_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def refuse_folders(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(22, "Invalid argument")
        fsync(fd)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    write_atomically(tmp_path / "x.json", b"new")
    assert (tmp_path / "x.json").read_bytes() == b"new"


def test_system_that_cannot_open_folders_needs_no_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safe_folder, "_DIRECTORY", 0)
    write_atomically(tmp_path / "x.json", b"new")
    assert (tmp_path / "x.json").read_bytes() == b"new"


@posix_only
def test_symbolic_link_is_refused_and_its_target_unchanged(tmp_path: Path) -> None:
    """A planted link makes nothing else be written."""
    target, link = tmp_path / "target", tmp_path / "x.json"
    target.write_bytes(b"old")
    link.symlink_to(target)
    with pytest.raises(OSError, match="symbolic link"):
        write_atomically(link, b"new")
    assert target.read_bytes() == b"old"
    assert link.is_symlink()
    assert sorted(tmp_path.iterdir()) == [target, link]

"""The file of secrets: what is refused, and with which way out."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from router.messages.errors import ConfigError
from router.secret_store.secret_file import SecretFile, read_file

if TYPE_CHECKING:
    from pathlib import Path

PLAIN: dict[str, Any] = {"version": 1, "protection": "none", "secrets": {"A": "s3cret"}}


def put(path: Path, value: Any, mode: int = 0o600) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    path.chmod(mode)
    return path


def problem(path: Path) -> str:
    with pytest.raises(ConfigError) as raised:
        read_file(path)
    assert raised.value.place == str(path)
    assert "s3cret" not in str(raised.value)
    return raised.value.problem


def test_file_that_is_not_there_holds_nothing(path: Path) -> None:
    assert read_file(path) == SecretFile()


def test_values_are_in_no_repr(path: Path) -> None:
    content = read_file(put(path, PLAIN))
    assert content.secrets == {"A": "s3cret"}
    assert repr(content) == "SecretFile(protection='none', names=['A'])"


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_plain_file_that_others_may_read_is_refused(path: Path, mode: int) -> None:
    words = problem(put(path, PLAIN, mode))
    assert words.startswith("can be read by other users, and is not encrypted; run: chmod 600")


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_file_that_others_may_write_is_refused(path: Path, mode: int) -> None:
    sealed = {"version": 1, "protection": "keyring", "key_id": "x", "secrets": {}}
    assert problem(put(path, sealed, mode)).startswith("can be written by other users; run: chmod")


def test_file_of_another_user_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(path, PLAIN)
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000)
    if path.stat().st_uid == 0:
        os.chown(path, 4_000_001, -1)
    words = problem(path)
    assert words.startswith("belongs to another user (")
    assert words.endswith("make it your own: chown 4000000")


def test_link_pipe_and_folder_are_refused(path: Path) -> None:
    put(path.with_name("else"), PLAIN)
    path.symlink_to("else")
    assert problem(path).endswith("it is a symbolic link; put the file itself there")
    path.unlink()
    os.mkfifo(path)
    assert problem(path) == "cannot be read: it is no regular file"
    path.unlink()
    path.mkdir()
    assert problem(path).startswith("cannot be read: ")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("{", "ends too early"),
        ("[]", "expected an object, got an array"),
        ('{"version": 1, "version": 1}', "is there twice"),
        ({}, "another version of the format than 1: use the version of MCP Router that wrote it"),
        (PLAIN | {"version": 2}, "another version of the format than 1"),
        (PLAIN | {"more": 1}, "cannot be understood: "),
        (PLAIN | {"secrets": {"A": 1}}, "cannot be understood: "),
        (PLAIN | {"secrets": {"a b": "s3cret"}}, "has a secret whose name is not a letter"),
        (PLAIN | {"protection": "keyring"}, 'A is plain, but protection "keyring"'),
        (
            PLAIN | {"secrets": {"A": {"nonce": "", "sealed": ""}}},
            'A is encrypted, but protection "none"',
        ),
    ],
)
def test_file_that_cannot_be_understood_is_refused(path: Path, value: Any, words: str) -> None:
    assert words in problem(put(path, value))

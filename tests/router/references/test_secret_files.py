"""Secrets in files and in credentials of systemd."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import pytest

from router.references.expander import Unresolved
from router.references.secret_files import (
    SECRET_LIMIT_BYTES,
    SecretFiles,
    StoredSecrets,
    expander_for,
)

if TYPE_CHECKING:
    from pathlib import Path

    from router.references.expander import Expander


def reason(folder: Path, kind: str, name: str, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(Unresolved) as raised:
        SecretFiles(folder, environ or {}).read(kind, name)
    return str(raised.value)


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (b"s3cret", "s3cret"),
        (b"s3cret\n", "s3cret"),
        (b"s3cret\r\n", "s3cret"),
        (b"two\nlines\n\n", "two\nlines\n"),
        (b"\xef\xbb\xbfs3cret", "s3cret"),
        ("clé ".encode(), "clé "),
    ],
)
def test_secret_is_the_text_without_its_last_line_break(
    tmp_path: Path, content: bytes, secret: str
) -> None:
    (tmp_path / "key").write_bytes(content)
    assert SecretFiles(tmp_path, {}).read("file", "key") == secret


def test_path_begins_at_the_folder_or_at_the_root_or_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "key").write_text("s3cret")
    (tmp_path / "sub").mkdir()
    for name in ("../key", str(tmp_path / "key"), "~/key"):
        assert SecretFiles(tmp_path / "sub", {}).read("file", name) == "s3cret"


def test_file_that_was_exchanged_counts_from_the_next_reading_on(tmp_path: Path) -> None:
    expander = expander_for(tmp_path, {})
    for secret in ("first", "second"):
        (tmp_path / "new").write_text(secret)
        (tmp_path / "new").replace(tmp_path / "key")
        assert expander.expand("Bearer ${file:key}") == f"Bearer {secret}"
    assert expander.values == {"first", "second"}


def test_file_that_gives_no_secret_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"\n")
    (tmp_path / "latin").write_bytes(b"\xe9")
    (tmp_path / "large").write_bytes(b"x" * (SECRET_LIMIT_BYTES + 1))
    os.mkfifo(tmp_path / "pipe")
    assert reason(tmp_path, "file", "none") == f"there is no file {tmp_path}/none"
    assert reason(tmp_path, "file", "empty") == f"{tmp_path}/empty is empty"
    assert reason(tmp_path, "file", "latin") == f"{tmp_path}/latin is not UTF-8 text"
    assert reason(tmp_path, "file", "large") == f"{tmp_path}/large is larger than 64 kB"
    assert "it is no regular file" in reason(tmp_path, "file", "pipe")
    assert "Is a directory" in reason(tmp_path, "file", ".")
    assert "\n" not in reason(tmp_path, "file", "a\nb")
    assert reason(tmp_path, "file", "") == "names no file: write its path after the colon"
    assert reason(tmp_path, "file", "a\0b") == "names no file: write its path after the colon"
    assert "that folder is not known" in reason(tmp_path, "file", "~nobody-of-this-name/x")


def test_credential_is_a_file_in_the_folder_that_systemd_names(tmp_path: Path) -> None:
    (tmp_path / "router.token").write_text("s3cret\n")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert SecretFiles(tmp_path / "else", environ).read("credential", "router.token") == "s3cret"


def test_credential_that_was_not_passed_says_how(tmp_path: Path) -> None:
    way_out = "pass it to the service with LoadCredential=token:/path"
    assert reason(tmp_path, "credential", "token") == f"CREDENTIALS_DIRECTORY is not set: {way_out}"
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    missing = reason(tmp_path, "credential", "token", environ)
    assert missing == f"there is no such credential: {way_out}"


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../key", "/etc/passwd", "a b", "a:b", "a\0b", "é"]
)
def test_credential_is_a_name_and_no_path(tmp_path: Path, name: str) -> None:
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    (tmp_path.parent / "key").write_text("s3cret")
    assert reason(tmp_path, "credential", name, environ).startswith("expected the name of a cred")


def test_secret_of_the_routers_own_file_is_read_anew_at_each_use(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    values = set[str]()
    expander = expander_for(tmp_path / "data", {}, values, stored=StoredSecrets(path, {}))
    for secret in ("first", "second"):
        put_secrets(path, {"TOKEN": secret})
        assert expander.expand("Bearer ${secret:TOKEN}") == f"Bearer {secret}"
    assert values == {"first", "second"}


def test_secret_that_is_missing_or_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    expander = expander_for(tmp_path, {}, stored=StoredSecrets(path, {}))
    missing = "${secret:X}: there is no secret X; set it with: mcp-router secret set X"
    assert unresolved(expander, "${secret:X}") == missing
    put_secrets(path, {"GITHUB_TOKEN": "s3cret"})
    words = unresolved(expander, "${secret:GITHUB_TOKN}")
    assert "there is no secret GITHUB_TOKN; did you mean GITHUB_TOKEN? Else run: mcp" in words
    none = tmp_path / "none.json"
    path.chmod(0o644)
    unsafe = f"${{secret:X}}: {path} can be read by other users, and is not encrypted; run: chmod"
    assert unresolved(expander, "${secret:X}").startswith(unsafe)
    rule = "${secret:a/b}: the name of a secret has to be a letter"
    assert unresolved(
        expander_for(tmp_path, {}, stored=StoredSecrets(none, {})), "${secret:a/b}"
    ).startswith(rule)
    assert unresolved(expander_for(tmp_path, {}), "${secret:X}").endswith("are not read here")


def put_secrets(path: Path, secrets: dict[str, str]) -> None:
    path.write_text(json.dumps({"version": 1, "protection": "none", "secrets": secrets}))
    path.chmod(0o600)


def unresolved(expander: Expander, text: str) -> str:
    with pytest.raises(Unresolved) as raised:
        expander.expand(text)
    return str(raised.value)


def test_without_the_room_of_secrets_only_what_refers_to_one_has_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "router.secret_store.store", None)
    expander = expander_for(tmp_path, {"A": "a"}, stored=StoredSecrets(tmp_path / "s.json", {}))
    assert expander.expand("${A}") == "a"
    with pytest.raises(Unresolved, match="not part of this installation"):
        expander.expand("${secret:X}")

"""Secrets kept in one file, encrypted where there is a key."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from router.config.options import Paths
from router.messages.errors import ConfigError
from router.references.secret_files import SECRET_LIMIT_BYTES
from router.secret_store import keys, secret_file, secret_rules
from router.secret_store.keys import KEYRING
from router.secret_store.secret_file import SecretFile, write_file
from router.secret_store.store import MissingSecret, Saved, SecretStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from router.files.safe_folder import SafeFolder


def written(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def problem(call: Callable[[], object]) -> str:
    with pytest.raises(ConfigError) as raised:
        call()
    return str(raised.value)


def test_store_lies_beside_config(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "config.json", tmp_path / "x", tmp_path, tmp_path)
    assert SecretStore.open(paths).path == paths.secrets == tmp_path / "secrets.json"


def test_without_a_key_values_are_plain_and_only_the_owner_may_read_them(path: Path) -> None:
    store = SecretStore(path, {})
    assert store.names() == ()
    assert store.set("B", "two\nlines") == Saved("none", "none", "there is no keyring here")
    store.set_all({"A": "clé", "B": "new"})
    assert store.names() == ("A", "B")
    assert (store.get("A"), store.get("B")) == ("clé", "new")
    assert written(path)["secrets"] == {"A": "clé", "B": "new"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_with_a_credential_values_are_encrypted_and_each_write_has_a_new_nonce(
    sealed: SecretStore,
) -> None:
    assert sealed.set("A", "s3cret").protection == "credential"
    first = written(sealed.path)["secrets"]["A"]
    sealed.set("A", "s3cret")
    second = written(sealed.path)["secrets"]["A"]
    assert first["nonce"] != second["nonce"]
    assert "s3cret" not in sealed.path.read_text()
    assert (sealed.get("A"), sealed.protection()) == ("s3cret", "credential")
    assert "s3cret" not in repr(sealed)


def test_file_that_would_be_too_large_to_be_read_is_not_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SecretStore(path, {})
    store.set("A", "one")
    monkeypatch.setattr(secret_file, "FILE_LIMIT_BYTES", 2000)
    assert "would become larger than" in problem(lambda: store.set("B", "x" * 2000))
    assert store.get("A") == "one"


def test_value_that_was_moved_to_another_name_or_changed_is_refused(sealed: SecretStore) -> None:
    sealed.set_all({"A": "one", "B": "two"})
    content = written(sealed.path)
    content["secrets"]["A"] = content["secrets"]["B"]
    sealed.path.write_text(json.dumps(content))
    assert "A was changed by other hands and cannot be decrypted" in problem(
        lambda: sealed.get("A")
    )
    assert sealed.get("B") == "two"
    sealed.set("A", "anew")
    assert sealed.get("A") == "anew"


def test_key_that_is_missing_is_named_and_nothing_is_written(
    sealed: SecretStore, tmp_path: Path
) -> None:
    sealed.set("A", "one")
    before = sealed.path.read_bytes()
    without = SecretStore(sealed.path, {})
    missing = (
        f"{sealed.path}: is encrypted, and its key is in the credential mcp-router-secrets-key, "
        "which is not passed to this process; pass it with LoadCredential=, or name its folder in "
        "CREDENTIALS_DIRECTORY"
    )
    assert problem(lambda: without.get("A")) == missing
    assert problem(lambda: without.set("B", "two")) == missing
    assert problem(without.decrypt) == missing
    (tmp_path / "mcp-router-secrets-key").write_text("f" * 64)
    other = SecretStore(sealed.path, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert "which has another key; " in problem(lambda: other.get("A"))
    assert sealed.path.read_bytes() == before
    without.remove("A")
    assert sealed.names() == ()


def test_key_that_could_be_guessed_is_refused(path: Path, tmp_path: Path) -> None:
    (tmp_path / "mcp-router-secrets-key").write_text("short")
    store = SecretStore(path, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert "is shorter than 32 characters" in problem(lambda: store.set("A", "one"))
    assert not path.exists()


def test_plain_file_is_encrypted_by_the_first_write_with_a_key(
    path: Path, credential: dict[str, str]
) -> None:
    SecretStore(path, {}).set("A", "one")
    store = SecretStore(path, credential)
    assert store.get("A") == "one"
    assert store.set("B", "two") == Saved("credential", "none")
    assert "one" not in path.read_text()
    assert store.get("A") == "one"


def test_who_wants_plain_values_keeps_them(sealed: SecretStore) -> None:
    sealed.set("A", "one")
    sealed.path.chmod(0o644)  # encrypted values may be read by others
    assert sealed.get("A") == "one"
    assert sealed.decrypt() == Saved("none", "credential", "it was asked to be so")
    assert stat.S_IMODE(sealed.path.stat().st_mode) == 0o600
    assert sealed.set("B", "two").protection == "none"
    assert written(sealed.path)["secrets"] == {"A": "one", "B": "two"}
    assert sealed.encrypt() == Saved("credential", "none")
    assert sealed.set("C", "three").protection == "credential"
    assert sealed.get("A") == "one"


def test_key_in_a_keyring_is_for_one_file_and_stays_for_copies_of_it(
    path: Path, tmp_path: Path, choose_keyring: Callable[[str], None]
) -> None:
    choose_keyring("FileKeyring")
    store = SecretStore(path, {})
    assert store.set("A", "one") == Saved("keyring", "none")
    key_id = written(path)["key_id"]
    passwords = json.loads((tmp_path / "keyring").read_text())
    assert list(passwords) == [f"mcp-router secrets {key_id}"]
    assert all(password not in path.read_text() for password in passwords.values())
    assert SecretStore(path, {}).get("A") == "one"
    copy = path.with_name("copy.json")
    copy.write_bytes(path.read_bytes())
    assert store.decrypt().protection == "none"
    assert store.get("A") == "one"
    KEYRING.forget()
    assert SecretStore(copy, {}).get("A") == "one"


def test_a_new_key_stays_only_if_the_file_has_got_it(
    path: Path,
    tmp_path: Path,
    choose_keyring: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def write_and_fail(folder: SafeFolder, name: str, content: SecretFile) -> None:
        write_file(folder, name, content)
        raise KeyboardInterrupt

    def fail(folder: SafeFolder, name: str, content: SecretFile) -> None:
        raise OSError(28, "No space left on device")

    choose_keyring("FileKeyring")
    monkeypatch.setattr("router.secret_store.store.write_file", fail)
    with pytest.raises(OSError, match="No space"):
        SecretStore(path, {}).set("A", "one")
    assert json.loads((tmp_path / "keyring").read_text()) == {}
    monkeypatch.setattr("router.secret_store.store.write_file", write_and_fail)
    with pytest.raises(KeyboardInterrupt):
        SecretStore(path, {}).set("A", "one")
    assert SecretStore(path, {}).get("A") == "one"


def test_keyring_that_is_gone_is_named_with_its_owner(
    path: Path, choose_keyring: Callable[[str], None]
) -> None:
    choose_keyring("FileKeyring")
    SecretStore(path, {}).set("A", "one")
    content = written(path) | {"keyring_of": "alice on laptop"}
    path.write_text(json.dumps(content))
    choose_keyring("")
    missing = (
        f"{path}: is encrypted, and its key is in the keyring of alice on laptop: there is no "
        "keyring here; unlock that keyring, or run where it is open: mcp-router secret decrypt"
    )
    assert problem(lambda: SecretStore(path, {}).get("A")) == missing
    assert problem(lambda: SecretStore(path, {}).set("B", "two")) == missing


@pytest.mark.parametrize(
    ("keyring", "reason"),
    [
        ("HungKeyring", "the keyring did not answer within 0.5 s"),
        ("AskingKeyring", "the keyring failed: "),
        ("NoSuchKeyring", "the keyring failed: "),
    ],
)
def test_keyring_that_does_not_answer_or_asks_or_fails_stops_nobody(
    path: Path, choose_keyring: Callable[[str], None], keyring: str, reason: str
) -> None:
    choose_keyring(keyring)
    store = SecretStore(path, {}, patience_s=0.5 if keyring == "HungKeyring" else 20)
    saved = store.set("A", "one")
    assert saved.protection == "none"
    assert saved.why_plain.startswith(reason)
    assert store.set("B", "two") == saved  # the keyring is not asked again
    assert store.get("A") == "one"


def test_keyring_that_hangs_is_waited_for_once_in_a_reading(
    path: Path, choose_keyring: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    choose_keyring("FileKeyring")
    SecretStore(path, {}).set("A", "one")
    choose_keyring("HungKeyring")
    words = "the keyring did not answer within 0.5 s"
    assert words in problem(lambda: SecretStore(path, {}, patience_s=0.5).get("A"))
    open_one = "tests.router.secret_store.fake_keyring.FileKeyring"
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", open_one)
    assert words in problem(lambda: SecretStore(path, {}).get("A"))
    monkeypatch.setattr(keys, "FAILURE_COUNTS_S", 0.0)
    assert SecretStore(path, {}).get("A") == "one"


def test_two_processes_that_write_at_once_lose_nothing(sealed: SecretStore) -> None:
    program = (
        "import sys; from pathlib import Path; from router.secret_store.store import SecretStore\n"
        "store = SecretStore(Path(sys.argv[1]), {'CREDENTIALS_DIRECTORY': sys.argv[2]})\n"
        "for number in range(10): store.set(f'{sys.argv[3]}{number}', 'x')"
    )
    folder = sealed.environ["CREDENTIALS_DIRECTORY"]
    writers = [
        subprocess.Popen([sys.executable, "-c", program, str(sealed.path), folder, name])
        for name in ("A", "B")
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert len(sealed.names()) == 20
    assert {sealed.get(name) for name in sealed.names()} == {"x"}


def test_what_a_killed_process_has_left_is_removed_by_the_next_write(sealed: SecretStore) -> None:
    sealed.set("A", "one")
    left = sealed.path.with_name(".secrets.json.0123456789abcdef.tmp")
    left.write_text("plain values")
    sealed.set("B", "two")
    assert not left.exists()
    assert sealed.names() == ("A", "B")


def test_missing_secret_says_how_to_set_it_and_what_was_meant(path: Path) -> None:
    store = SecretStore(path, {})
    with pytest.raises(MissingSecret) as raised:
        store.get("TOKEN")
    assert raised.value.problem == (
        "there is no secret TOKEN; set it with: mcp-router secret set TOKEN"
    )
    store.set("GITHUB_TOKEN", "x")
    hint = "there is no secret GITHUB_TOKN; did you mean GITHUB_TOKEN?"
    for call, words in (
        (store.get, f"{hint} Else run: mcp-router secret set GITHUB_TOKN"),
        (store.remove, hint),
    ):
        with pytest.raises(MissingSecret) as raised:
            call("GITHUB_TOKN")
        assert raised.value.problem == words


@pytest.mark.parametrize("name", ["", "1A", "a b", "a/b", "-x", "é", "A" * 101, "a\n"])
def test_name_that_no_secret_may_have_is_refused(path: Path, name: str) -> None:
    store = SecretStore(path, {})
    rule = "the name of a secret: has to be a letter or _"
    assert problem(lambda: store.set(name, "x")).startswith(rule)
    assert problem(lambda: store.get(name)).startswith(rule)
    assert not path.exists()


@pytest.mark.parametrize("value", ["", "a\0b", "\ud800", "x" * (SECRET_LIMIT_BYTES + 1)])
def test_value_that_no_secret_may_have_is_refused_and_not_quoted(path: Path, value: str) -> None:
    words = problem(lambda: SecretStore(path, {}).set("A", value))
    assert words.startswith("the value: ")
    assert len(words) < 100
    assert not path.exists()


def test_secrets_and_files_have_the_same_limit() -> None:
    assert secret_rules.SECRET_LIMIT_BYTES == SECRET_LIMIT_BYTES


@pytest.mark.parametrize("has_key", [False, True])
def test_all_values_with_a_prefix_are_read_at_once(
    path: Path, credential: dict[str, str], *, has_key: bool
) -> None:
    store = SecretStore(path, credential if has_key else {})
    assert store.get_all("a_") == {}
    store.set_all({"a_1": "x", "a_2": "y", "b": "z"})
    assert store.get_all("a_") == {"a_1": "x", "a_2": "y"}

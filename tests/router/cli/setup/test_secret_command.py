"""`mcp-router secret`: values come in without being shown, and never come out."""

from __future__ import annotations

import io
import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from router.cli.main import main
from router.secret_store.store import SecretStore

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _no_keyring(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")


@pytest.fixture
def store(home: Path) -> SecretStore:
    (home / "config.json").write_text("{}")
    return SecretStore(home / "secrets.json", {})


def give(monkeypatch: pytest.MonkeyPatch, value: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(value)))


def add(home: Path, **entry: Any) -> None:
    (home / "data" / "p").mkdir(parents=True)
    (home / "data" / "p" / "mcp_settings.json").write_text(json.dumps(entry))


def test_value_on_stdin_is_set_and_not_shown(
    store: SecretStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give(monkeypatch, b"s3cret\n")
    assert main(["secret", "set", "TOKEN"]) == 0
    assert store.get("TOKEN") == "s3cret"
    out = capsys.readouterr().out
    assert out == (
        f"TOKEN is set in {store.path}.\n"
        "secrets.json is not encrypted: only its mode 0600 protects it "
        "(there is no keyring here).\n"
        "Nothing refers to it yet: write ${secret:TOKEN} in the place of the value.\n"
    )
    give(monkeypatch, b"two\r\nlines\r\n")
    assert main(["secret", "set", "TOKEN"]) == 0
    assert store.get("TOKEN") == "two\r\nlines"
    assert capsys.readouterr().out.startswith("TOKEN is replaced in ")


def test_value_in_a_terminal_is_asked_for_without_echo(
    store: SecretStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, theirs = os.openpty()
    with open(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        monkeypatch.setattr("getpass.getpass", lambda prompt: f"typed at {prompt}")
        assert main(["secret", "set", "TOKEN"]) == 0
        monkeypatch.setattr("getpass.getpass", lambda _: b"\xff".decode())
        assert main(["secret", "set", "TOKEN"]) == 1
    os.close(ours)
    assert store.get("TOKEN") == "typed at Value of TOKEN (is not shown): "
    assert "typed" not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["set", "TOKEN", "s3cret"], "a value on the command line is seen by other users"),
        (["set"], "secret set takes the name of one secret"),
        (["list", "TOKEN"], "secret list takes no name"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_and_no_value_is_repeated(
    store: SecretStore, words: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["secret", *words]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"mcp-router: {problem}")
    assert "s3cret" not in err
    assert not store.path.exists()


@pytest.mark.parametrize("value", [b"", b"\n", b"\xff", b"x" * 70_000])
def test_value_that_cannot_be_kept_is_refused(
    store: SecretStore,
    value: bytes,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    give(monkeypatch, value)
    assert main(["secret", "set", "TOKEN"]) == 1
    assert capsys.readouterr().err.startswith("mcp-router: the value: is ")
    assert not store.path.exists()


def test_list_names_the_places_of_each_secret_and_those_that_are_missing(
    store: SecretStore, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store.decrypt()
    store.set_all({"A": "s3cret", "UNUSED": "s3cret"})
    (home / "config.json").write_text(
        '{"security": {"bearer_token": "x${secret:A}", // ${secret:B}\n}}'
    )
    add(home, command="x", args=["${secret:A}", "${secret:B}${secret:A}"])
    places = ["config.json: security.bearer_token"]
    places += [f"data/p/mcp_settings.json: args[{number}]" for number in (0, 1)]
    assert main(["secret", "list"]) == 0
    assert capsys.readouterr().out == (
        f"A       {'; '.join(places)}\n"
        "UNUSED  not used\n"
        f"B       is not set, and used in {places[2]}\n"
        f"2 secrets in {store.path}, not encrypted: only its mode 0600 protects it\n"
    )
    assert main(["secret", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "path": str(store.path),
        "protection": "none",
        "secrets": [{"name": "A", "used_in": places}, {"name": "UNUSED", "used_in": []}],
        "missing": [{"name": "B", "used_in": [places[2]]}],
    }


def test_secret_that_is_used_is_removed_only_when_that_is_meant(
    store: SecretStore, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store.decrypt()
    store.set_all({"A": "x", "B": "x"})
    add(home, command="${secret:A}")
    assert main(["secret", "remove", "B"]) == 0
    assert main(["secret", "remove", "A"]) == 1
    err = capsys.readouterr().err
    assert "A is used in data/p/mcp_settings.json: command" in err
    assert "give --yes" in err
    assert store.names() == ("A",)
    assert main(["secret", "remove", "A", "--yes"]) == 0
    assert store.names() == ()


def test_file_is_encrypted_and_decrypted_when_that_is_asked(
    store: SecretStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store.set("A", "s3cret")
    assert main(["secret", "encrypt"]) == 1
    assert "is not encrypted: only its mode 0600" in capsys.readouterr().out
    (tmp_path / "mcp-router-secrets-key").write_text("0" * 64)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert main(["secret", "encrypt"]) == 0
    assert "now encrypted with the key in the credential" in capsys.readouterr().out
    assert "s3cret" not in store.path.read_text()
    assert main(["secret", "decrypt"]) == 0
    assert "now not encrypted: only its mode 0600" in capsys.readouterr().out
    assert store.get("A") == "s3cret"

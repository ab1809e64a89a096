"""Tokens in `config.json` that refer to variables, files and credentials."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from router.config.profile_edits import save_profile
from router.config.settings import load_settings, settings_as_written, settings_or_defaults
from router.messages.errors import ConfigError
from tests.router.config.config_file import write

if TYPE_CHECKING:
    from pathlib import Path

ENVIRON = {
    "TOKEN": "token-of-the-router",
    "EMPTY": "",
    "LITERAL": "${TOKEN}",
    "SPACED": "two words",
    "LINES": "line\nbreak",
}
WAYS = (
    "write ${VAR}, ${secret:NAME}, ${file:/path} or ${credential:NAME}, or a token that nobody can "
    "guess, such as one from: openssl rand -hex 32"
)


def problems(config: Path, security: Any) -> list[str]:
    path = write(config, {"security": security})
    texts: list[str] = []
    for read in (load_settings, settings_or_defaults):
        with pytest.raises(ConfigError) as raised:
            read(path, ENVIRON)
        texts.append(str(raised.value))
    assert texts[0] == texts[1]
    return texts[0].splitlines()


def test_references_in_tokens_are_resolved_beside_the_file(config: Path) -> None:
    folder = config.parent / "secrets"
    folder.mkdir()
    digest = "sha256:" + hashlib.sha256(b"x").hexdigest()
    (folder / "a key").write_text("token-of-a-file\n")
    (folder / "digest").write_text(digest)
    tokens = {
        "a": {"token": "${file:secrets/a key}"},
        "b": {"token": "${credential:digest}", "permissions": ["read"]},
        "c": {"token": "c-${UNSET:-0123}"},
        "d": {"token": "${secret:d}"},
    }
    stored = config.parent / "secrets.json"
    stored.write_text('{"version": 1, "secrets": {"d": "token-of-the-store"}}')
    stored.chmod(0o600)
    path = write(config, {"security": {"bearer_token": "${TOKEN}", "tokens": tokens}})
    written = path.read_bytes()
    settings = load_settings(path, ENVIRON | {"CREDENTIALS_DIRECTORY": str(folder)})
    security = settings.security
    assert security.secrets == [
        "token-of-the-router",
        "token-of-a-file",
        digest,
        "c-0123",
        "token-of-the-store",
    ]
    assert security.tokens["b"].permissions == ("read",)
    assert "token-of" not in repr(settings)
    assert path.read_bytes() == written


def test_unresolved_references_are_all_named_with_their_paths(config: Path) -> None:
    tokens = {"ci": {"token": "${file:none}"}, "b": {"token": "${credential:b}"}}
    assert problems(config, {"bearer_token": "${ROUTER_TOKEN}", "tokens": tokens}) == [
        "config.json: security.bearer_token: ${ROUTER_TOKEN} is not set",
        f"config.json: security.tokens.ci.token: ${{file:none}}: there is no file "
        f"{config.parent}/none",
        "config.json: security.tokens.b.token: ${credential:b}: CREDENTIALS_DIRECTORY is not set: "
        "pass it to the service with LoadCredential=b:/path",
    ]


@pytest.mark.parametrize(
    ("token", "problem"),
    [
        ("${EMPTY}", "${EMPTY} is empty"),
        ("x-${EMPTY}", "${EMPTY} is empty"),
        ("${UNSET:-}", f"is empty once its references are resolved; {WAYS}"),
        ("$TOKEN", f"still looks like a reference or a placeholder; {WAYS}"),
        ("%TOKEN%", f"still looks like a reference or a placeholder; {WAYS}"),
        ("{{token}}", f"still looks like a reference or a placeholder; {WAYS}"),
        ("<your-token>", f"still looks like a reference or a placeholder; {WAYS}"),
        ("$(pass-router)", f"still looks like a reference or a placeholder; {WAYS}"),
        ("${ROUTER_TOKEN", f"still looks like a reference or a placeholder; {WAYS}"),
        ("${1}", f"still looks like a reference or a placeholder; {WAYS}"),
        (
            "${LITERAL}",
            "still looks like a reference or a placeholder once its references are resolved; "
            f"{WAYS}",
        ),
        ("${input:token}", "${input:token} only works in an editor: set an environment variable, "
         "such as TOKEN, for the router and write ${TOKEN} instead"),
        *(
            (
                f"${{{name}}}",
                "expected a token of printable ASCII characters without spaces, or sha256: and 64 "
                "hex digits, once its references are resolved",
            )
            for name in ("SPACED", "LINES")
        ),
    ],
)  # fmt: skip
def test_text_that_gives_no_token_is_refused(config: Path, token: str, problem: str) -> None:
    found = problems(config, {"bearer_token": token})
    assert found == [f"config.json: security.bearer_token: {problem}"]


def test_no_problem_quotes_a_part_of_a_token(config: Path) -> None:
    for token in ("s3cret-${LITERAL}", "${UNSET:-s3cret <x>}", "s3cret-${UNSET}"):
        (problem,) = problems(config, {"bearer_token": token})
        assert "s3cret" not in problem


@pytest.mark.parametrize("token", ["$ecret-Token", "a$TOKEN", "100%", "<b", "{x}", "$x"])
def test_token_with_such_characters_is_one(config: Path, token: str) -> None:
    path = write(config, {"security": {"bearer_token": token}})
    assert load_settings(path, ENVIRON).security.bearer_token == token


def test_token_that_two_names_have_once_they_are_resolved_is_refused(config: Path) -> None:
    tokens = {"a": {"token": "${TOKEN}"}}
    assert problems(config, {"bearer_token": "token-of-the-router", "tokens": tokens}) == [
        "config.json: security.tokens.a.token: is the token of security.bearer_token too; give "
        "each its own"
    ]


def test_behind_a_reverse_proxy_a_token_may_not_be_short(config: Path) -> None:
    server = {"trusted_proxies": ["127.0.0.1"]}
    path = write(config, {"server": server, "security": {"bearer_token": "${SHORT}"}})
    with pytest.raises(ConfigError, match=r"security\.bearer_token: is shorter than 16 characters"):
        load_settings(path, {"SHORT": "abc"})
    assert load_settings(path, {"SHORT": "0123456789abcdef"}).security.has_token


def test_behind_a_reverse_proxy_nobody_is_served_without_a_token_by_mistake(config: Path) -> None:
    server = {"trusted_proxies": ["unix"]}
    with pytest.raises(ConfigError, match=r"trusted_proxies: .* no token is set\. Set security\."):
        load_settings(write(config, {"server": server}), {})
    open_to_all = {"server": server, "security": {"allow_anonymous": True}}
    assert not load_settings(write(config, open_to_all), {}).security.has_token


def test_references_stay_in_the_file_and_for_commands_that_need_no_token(config: Path) -> None:
    path = write(config, {"security": {"bearer_token": "${UNSET}"}, "profiles": {}})
    assert settings_as_written(path).security.bearer_token == "${UNSET}"
    save_profile(path, "work", {})
    assert json.loads(path.read_text())["security"] == {"bearer_token": "${UNSET}"}

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.client_files.importing.secret_values import (
    MASK,
    is_secret_name,
    masked,
    replace_secrets,
)

if TYPE_CHECKING:
    from router.client_files.importing.secret_values import Literal

OPENAI = "sk-proj-abcdefghijklmnop"
STEP = "NTc0ZjE5YzYtMmQ1Yy00YzQzLWE0"
UUID = "123e4567-e89b-12d3-a456-426614174000"
BASE64 = "/Ab3dEfGhIjKlMnOpQrStUvWxYz0123456789AbC"
GITHUB = "ghp_abcdefghijklmnopqrstuvwxyz0123456789"


def found_in(entry: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}

    def note(literal: Literal) -> str:
        found[literal.label] = literal.value
        return ""

    replace_secrets(entry, note)
    return found


@pytest.mark.parametrize(
    "name",
    [
        *("GITHUB_TOKEN", "apiKey", "X-Api-Key", "OPENAI_API_KEY", "PGPASSWORD", "clientSecret"),
        *("SECRET_KEY_BASE", "Authorization", "DB_PASS", "GITHUB_PAT", "--api-key", "cookie"),
    ],
)
def test_name_of_a_secret_is_recognised(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    ["LOG_LEVEL", "TOKEN_LIMIT", "API_KEY_FILE", "COMPAT", "MONKEY", "KEYCLOAK_URL", "", "_"],
)
def test_name_that_only_looks_like_one_is_not(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ({"env": {"GITHUB_TOKEN": "abc"}}, {"GITHUB_TOKEN": "abc"}),
        ({"env": {"ANY": GITHUB}}, {"ANY": GITHUB}),
        ({"env": {"ANY": OPENAI}}, {"ANY": OPENAI}),
        ({"env": {"ANY": "0123456789abcdef0123456789abcdef"}},
         {"ANY": "0123456789abcdef0123456789abcdef"}),
        ({"env": {"DATABASE_URL": "postgres://me:hunter2@db/x"}},
         {"DATABASE_URL_PASSWORD": "hunter2"}),
        ({"headers": {"Authorization": "Bearer abc.def"}}, {"Authorization": "abc.def"}),
        ({"headers": {"X-Api-Key": "abc"}}, {"X-Api-Key": "abc"}),
        ({"args": ["--token", "abc", "--key=def", "-v"]}, {"--token": "abc", "--key": "def"}),
        ({"args": ["x", GITHUB]}, {"argument": GITHUB}),
        ({"args": ["postgres://me:hunter2@db/x"]}, {"url_PASSWORD": "hunter2"}),
        ({"url": "https://x.example/mcp?api_key=abc&v=1"}, {"api_key": "abc"}),
        ({"url": "https://x.example/mcp#token=abc"}, {"token": "abc"}),
        ({"url": f"https://{GITHUB}@x.example/mcp"}, {"url_TOKEN": GITHUB}),
        ({"url": f"https://x.example/s/{STEP}/mcp"}, {"url_TOKEN": STEP}),
        ({"args": ["postgres://me:hun@ter2@db/x"]}, {"url_PASSWORD": "hun@ter2"}),
        ({"args": ["run", "-e", "A_TOKEN=abc", "mcp/x"]}, {"A_TOKEN": "abc"}),
        ({"args": ["run", "--env=A_TOKEN=abc", "A_KEY=def"]}, {"A_TOKEN": "abc", "A_KEY": "def"}),
        ({"args": ["--header", "Authorization: Bearer abc"]}, {"Authorization": "abc"}),
        ({"args": ["--header=X-API-Key:abc"]}, {"X-API-Key": "abc"}),
        ({"args": ["--header", "X-API-Key: <KEY>"]}, {"X-API-Key": ""}),
        ({"args": ["-c", "npx x --api-key abc"]}, {"--api-key": "abc"}),
        ({"args": ["-c", "A_TOKEN=abc npx x"]}, {"A_TOKEN": "abc"}),
        ({"command": "npx x --api-key abc"}, {"--api-key": "abc"}),
        ({"env": {"DSN": "Server=h;User Id=u;Password=hunter2;"}}, {"Password": "hunter2"}),
        ({"env": {"ANY": '{"token":"abc d","v": "1"}'}}, {"token": "abc d"}),
        ({"env": {"ANY": '{"Authorization": "Bearer abc"}'}}, {"Authorization": "abc"}),
        ({"env": {"A_KEY": UUID, "PASSWORD": "123456"}}, {"A_KEY": UUID, "PASSWORD": "123456"}),
        ({"env": {"PASSWORD": ".hunter2", "A_KEY": BASE64}},
         {"PASSWORD": ".hunter2", "A_KEY": BASE64}),
        ({"env": {"API_KEYS": "abc", "A_TOKEN_2": "def"}}, {"API_KEYS": "abc", "A_TOKEN_2": "def"}),
        ({"env": {"API_KEY": "<YOUR_KEY>"}}, {"API_KEY": ""}),
        ({"env": {"API_KEY": "your-api-key-here"}}, {"API_KEY": ""}),
        ({"headers": {"Authorization": "Bearer xxxx"}}, {"Authorization": ""}),
        ({"url": "https://x.example/mcp?token=<TOKEN>"}, {"token": ""}),
        ({"oauth": {"client_id": "0123456789abcdef0123456789abcdef", "client_secret": "short"}},
         {"client_secret": "short"}),
        ({"oauth": {"private_key": "-----BEGIN PRIVATE KEY-----\nA"}},
         {"private_key": "-----BEGIN PRIVATE KEY-----\nA"}),
        ({"oauth": {"client_secret": "<SECRET>"}}, {"client_secret": ""}),
    ],
)  # fmt: skip
def test_literal_secret_is_found(entry: dict[str, Any], found: dict[str, str]) -> None:
    assert found_in(entry) == found


@pytest.mark.parametrize(
    "entry",
    [
        {"env": {"LOG_LEVEL": "debug", "PATH": "/usr/bin", "EMPTY_TOKEN": ""}},
        {"env": {"TOKEN": "${TOKEN}", "KEY": "$KEY", "AUTH": "${secret:a}", "PAT": "x${file:/y}"}},
        {"env": {"AUTH": "true", "KEY": "42", "TOKEN": "/run/token", "SECRET": "~/.secret"}},
        {"env": {"PROJECT": "123e4567-e89b-12d3-a456-426614174000"}},
        {"env": {"AUTH": "https://login.example/oauth"}},
        {"headers": {"Authorization": "Bearer ${TOKEN}", "Accept": "application/json"}},
        {"args": ["-y", "@scope/server-with-a-very-long-name-2024", "--key", "--other", "/x/y"]},
        {"url": "https://x.example/mcp?page=2&token=1"},
        {"url": "https://user@x.example/a-long-name-of-a-server-2024/mcp"},
        {"args": ["-e", "A_TOKEN", "-e", "A_TOKEN=${A_TOKEN}", "-e", "LEVEL=debug", "C:\\x"]},
        {"args": ["${secret:A}", "${API_KEY:-x}", "git+https://x.example/a@main", "host:8080"]},
        {"args": ["-c", "TOKEN=$(cat /run/token) npx x --max-tokens 4096"]},
        {"command": "x", "cwd": "/x"},
        {"oauth": {"client_secret": "$SECRET", "scopes": ["read"], "per_user": True}},
        {"oauth": False},
    ],
)
def test_other_values_are_left_as_they_are(entry: dict[str, Any]) -> None:
    assert found_in(entry) == {}
    assert masked(entry) == entry


def test_what_is_shown_hides_secrets_and_keeps_the_rest() -> None:
    entry = {
        "url": "https://me:pw@x.example/mcp?api_key=abc&v=1",
        "headers": {"Authorization": "Bearer abc", "Accept": "text/plain"},
    }
    assert masked(entry) == {
        "url": f"https://me:{MASK}@x.example/mcp?api_key={MASK}&v=1",
        "headers": {"Authorization": f"Bearer {MASK}", "Accept": "text/plain"},
    }


def test_repr_of_a_found_secret_does_not_show_it() -> None:
    shown: list[str] = []

    def note(literal: Literal) -> str:
        shown.append(repr(literal))
        return ""

    replace_secrets({"env": {"TOKEN": "hunter2"}}, note)
    assert shown == ["Literal(label='TOKEN')"]


@given(st.text("abcdefghijkmnop0123456789", min_size=7), st.sampled_from(["A_TOKEN", "apiKey"]))
def test_no_secret_under_a_telling_name_is_ever_shown(secret: str, name: str) -> None:
    entry = {
        "env": {name: f"v{secret}"},
        "headers": {name: f"Bearer v{secret}"},
        "args": [f"--{name}", f"v{secret}", f"--{name}=v{secret}"],
        "url": f"https://x.example/?{name}=v{secret}",
    }
    assert secret not in str(masked(entry))

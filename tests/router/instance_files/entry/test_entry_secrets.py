"""Secrets of an entry are in no message and no repr, and the logs mask them (OWASP MCP01)."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from router.instance_files.entry.entry_secrets import secrets_of
from tests.router.instance_files.reading import COMMAND, URL, read

CANARY = "canary-0123456789abcdef"


@pytest.mark.parametrize(
    "entry",
    [
        {"command": ["npx", CANARY]},
        {**COMMAND, "env": CANARY},
        {**COMMAND, "env": {"A": CANARY * 200}},
        {**COMMAND, "env": {"A": [CANARY]}},
        {**COMMAND, "env": {"A": f"{CANARY}\0"}},
        {**COMMAND, "args": CANARY},
        {**COMMAND, "args": [[CANARY]]},
        {"url": f"htps://{CANARY}@x"},
        {"url": [CANARY]},
        {**URL, "headers": {"A": f"{CANARY}\n"}},
        {**URL, "headers": {"A": {"x": CANARY}}},
        {**URL, "type": {"x": CANARY}},
        {**COMMAND, "isActive": [CANARY]},
        {**COMMAND, "env": {"A": f"{CANARY} ${{UNSET}}"}},
    ],
)
def test_secret_is_in_no_problem(entry: dict[str, Any]) -> None:
    text = read(entry).problem
    assert text is not None
    assert CANARY not in text


def test_secret_is_in_no_repr() -> None:
    assert CANARY not in repr(read({**COMMAND, "env": {"A": CANARY}}))
    assert CANARY not in repr(read({**URL, "headers": {"A": CANARY}}))


def test_secrets_are_known_to_be_masked() -> None:
    spec = read({**COMMAND, "env": {"A": "env-value", "PATH": "/bin", "HOME": "/home/me"}})
    assert secrets_of(spec) == {"env-value"}
    spec = read(
        {
            "url": f"https://user:pass@x/{CANARY}/mcp?key=query-key&v=2#frag",
            "headers": {"Authorization": "Bearer header-token"},
        }
    )
    assert secrets_of(spec) == {
        "Bearer header-token",
        "header-token",
        "user:pass",
        "pass",
        "dXNlcjpwYXNz",
        CANARY,
        "query-key",
        "2",
    }


def test_secrets_of_the_own_login_are_known_also_line_by_line() -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMIIEfirst\nsecond==\n-----END PRIVATE KEY-----\n"
    secrets = {"client_secret": CANARY, "private_key": key, "idp_client_secret": "of-the-idp"}
    spec = read({**URL, "oauth": {"client_id": "me", **secrets}})
    assert secrets_of(spec) == {CANARY, key, "MIIEfirst", "second==", "of-the-idp"}


@pytest.mark.parametrize(
    ("info", "secrets"),
    [
        ("user:p%40ss%2Fword", {"user:p%40ss%2Fword", "user:p@ss/word", "p@ss/word"}),
        ("us%3Aer:password", {"us%3Aer:password", "us:er:password", "password"}),
        ("token-as-user", {"token-as-user"}),
    ],
)
def test_credentials_in_a_url_are_known_as_they_are_sent(info: str, secrets: set[str]) -> None:
    url = f"https://{info}@x/mcp"
    request = httpx2.Request("GET", url)
    auth = httpx2.BasicAuth(request.url.username, request.url.password)
    header = next(auth.sync_auth_flow(request)).headers["Authorization"]
    sent = header.removeprefix("Basic ").rstrip("=")
    assert secrets_of(read({"url": url})) == secrets | {sent}


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("http://a-long-name-of-a-host.example:8080/mcp", set[str]()),
        ("https://server-0123456789abcdef", set[str]()),
        (f"https://server-0123456789abcdef/{CANARY}?q=/x", {CANARY, "/x"}),
    ],
)
def test_host_of_a_url_is_no_secret_however_long(url: str, secrets: set[str]) -> None:
    assert secrets_of(read({"url": url})) == secrets


@pytest.mark.parametrize(
    ("args", "secrets"),
    [
        (["--token=abc"], {"abc"}),
        (["--api-key", "abc"], {"abc"}),
        (["-e", "GITHUB_TOKEN=a=b"], {"a=b"}),
        (["--Password=", "--auth", "--verbose", "--secret"], set()),
        (["tokenizer", "abc", "--port=1"], set()),
    ],
)
def test_secrets_in_args_are_known_to_be_masked(args: list[str], secrets: set[str]) -> None:
    assert secrets_of(read({**COMMAND, "args": args})) == secrets


def test_reference_that_is_not_set_is_no_secret_so_that_the_log_can_name_it() -> None:
    spec = read({**COMMAND, "env": {"TOKEN": "${UNSET_TOKEN}"}})
    assert not any("UNSET_TOKEN" in secret for secret in secrets_of(spec))

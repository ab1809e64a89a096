"""`security.oauth.issuers`: what is understood, and what is a mistake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from router.config.redacted import mask_secrets
from router.config.settings import read_settings
from router.messages.errors import ConfigError
from tests.router.config.config_file import write

if TYPE_CHECKING:
    from pathlib import Path

GOOD: dict[str, Any] = {
    "issuer": "https://idp.example.org",
    "audience": "https://mcp.example.org/mcp",
    "permissions": {"scope:mcp.call": ["call"], "groups:ops": ["call", "read", "admin"]},
}


def read(config: Path, *issuers: Any, environ: Any = None, **more: Any) -> Any:
    path = write(config, {"security": {"oauth": {"issuers": list(issuers)}}, **more})
    return read_settings(path, environ or {})


def problems(config: Path, *issuers: Any, **more: Any) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        read(config, *issuers, **more)
    prefix = "config.json: security.oauth.issuers"
    return [line.removeprefix(prefix) for line in str(raised.value).splitlines()]


@pytest.mark.parametrize(
    "url",
    [
        "https://idp.example.org",
        "https://idp.example.org/",
        "https://idp.example.org:8443/realms/main",
        "http://localhost:8080/realms/main",
        "http://127.0.0.1:8080",
        "http://[::1]:8080",
    ],
)
def test_issuer_is_an_https_url_or_one_of_this_machine(config: Path, url: str) -> None:
    (issuer,) = read(config, {**GOOD, "issuer": url, "jwks_uri": url}).security.oauth.issuers
    assert issuer.issuer == url


@pytest.mark.parametrize(
    "url",
    [
        "http://idp.example.org",
        "http://localhost.evil.test",
        "idp.example.org",
        "https://",
        "https://a b",
        "https://user:pw@idp.example.org",
        "https://idp.example.org?x=1",
        "https://idp.example.org#x",
        "https://idp.example.org:port",
        "https://[::1",
        'https://idp.example.org/"',
        "https://idp.example.org/\u00e9",
    ],
)
def test_other_urls_are_mistakes(config: Path, url: str) -> None:
    for key in ("issuer", "jwks_uri"):
        (problem,) = problems(config, {**GOOD, key: url})
        assert problem.startswith(f"[0].{key}: expected a URL that begins with https://")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"audience": " "}, "[0].audience: expected the audience of the tokens"),
        (
            {"further_audiences": [""]},
            "[0].further_audiences[0]: expected the audience of the tokens",
        ),
        ({"permissions": {}}, "[0].permissions: is empty, so that nobody is let in"),
        ({"permissions": {"ops": ["call"]}}, "[0].permissions"),
        ({"permissions": {"scope:a b": ["call"]}}, "[0].permissions"),
        ({"permissions": {"groups:": ["call"]}}, "[0].permissions"),
        ({"permissions": {"scope:a": ["write"]}}, "[0].permissions"),
        ({"instances": ["a/b"]}, "[0].instances"),
        ({"jwks_url": "x"}, "[0].jwks_url: unknown key; did you mean jwks_uri?"),
        (
            {"jwks_uri": "https://a.test", "introspection": {"url": "https://a.test"}},
            "[0].jwks_uri: has no effect beside introspection",
        ),
    ],
)
def test_mistake_is_named_with_its_place(
    config: Path, changes: dict[str, Any], problem: str
) -> None:
    (found,) = problems(config, {**GOOD, **changes})
    assert found.startswith(problem)


def test_profile_of_an_issuer_has_to_be_there(config: Path) -> None:
    (found,) = problems(config, {**GOOD, "profile": "wrok"}, profiles={"work": {}})
    assert found == '[0].profile: expected the name of a profile (work), got "wrok"'
    assert read(config, {**GOOD, "profile": "work"}, profiles={"work": {}})


def test_two_entries_of_one_issuer_are_a_mistake(config: Path) -> None:
    (found,) = problems(config, GOOD, {**GOOD, "audience": "x"})
    assert found.startswith("[1].issuer: is the issuer of [0] too")


def test_only_one_issuer_can_be_asked_about_tokens_that_name_none(config: Path) -> None:
    asked = {"introspection": {"url": "https://a.test/introspect"}}
    other = {**GOOD, **asked, "issuer": "https://b.example.org"}
    (found,) = problems(config, {**GOOD, **asked}, other)
    assert found.startswith("[1].introspection: only one issuer may have it, and [0] does")


def with_secret(secret: str) -> dict[str, Any]:
    asked = {"url": "https://a.test/introspect", "client_id": "r", "client_secret": secret}
    return {**GOOD, "introspection": asked}


def test_client_secret_may_be_a_reference_and_is_masked(config: Path) -> None:
    settings = read(config, with_secret("${SECRET}"), environ={"SECRET": "s3cret-of-the-router"})
    (issuer,) = settings.security.oauth.issuers
    assert issuer.introspection.client_secret == "s3cret-of-the-router"
    assert "s3cret-of-the-router" in settings.security.secrets
    assert "s3cret" not in repr(settings)
    shown = mask_secrets(settings)["security"]["oauth"]["issuers"][0]["introspection"]
    assert shown["client_secret"] == {"set": True}


def test_client_secret_that_cannot_be_resolved_is_named(config: Path) -> None:
    (found,) = problems(config, with_secret("${SECRET}"))
    assert found == "[0].introspection.client_secret: ${SECRET} is not set"

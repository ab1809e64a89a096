"""The tokens in `config.json`: their syntax, their names, and two names for one token."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from router.config.security.tokens import NamedToken, Rate, rate_limits
from router.config.settings import load_settings
from router.messages.rates import RateLimits
from tests.router.config.config_file import problems, write

if TYPE_CHECKING:
    from pathlib import Path

TOKEN_RULE = "a token of printable ASCII characters without spaces, or sha256: and 64 hex digits"


@pytest.mark.parametrize(
    "token", ["two words", "tøken", "tab\tbed", "sha256:abc", f"sha256:{'G' * 64}", "line\nbreak"]
)
def test_unusable_token_is_refused_and_not_quoted(config: Path, token: str) -> None:
    assert problems(config, {"security": {"bearer_token": token}}) == [
        f"config.json: security.bearer_token: expected {TOKEN_RULE}"
    ]


@pytest.mark.parametrize("token", ["", "s3cret", "a.b-c_d~e+f/g==", f"sha256:{'0f' * 32}"])
def test_usable_token_is_taken_and_never_shown(config: Path, token: str) -> None:
    settings = load_settings(write(config, {"security": {"bearer_token": token}}))
    assert settings.security.bearer_token == token
    assert not token or token not in repr(settings)


# --- Several tokens --------------------------------------------------------------------------


def problems_of_tokens(config: Path, tokens: Any, bearer_token: str = "") -> list[str]:
    value = {"security": {"bearer_token": bearer_token, "tokens": tokens}}
    return [line.removeprefix("config.json: security.tokens") for line in problems(config, value)]


def test_named_token_is_read_with_its_permissions_and_instances(config: Path) -> None:
    tokens = {
        "ci": {"token": "t0k3n-of-ci", "permissions": ["read"], "instances": ["a", "工具"]},
        "客服": {"token": f"sha256:{'0f' * 32}"},
    }
    security = load_settings(write(config, {"security": {"tokens": tokens}})).security
    assert security.tokens == {
        "ci": NamedToken("t0k3n-of-ci", ("read",), ("a", "工具")),
        "客服": NamedToken(f"sha256:{'0f' * 32}", ("call", "read"), None),
    }
    assert security.has_token
    assert security.secrets == ["", "t0k3n-of-ci", f"sha256:{'0f' * 32}"]
    assert "t0k3n" not in repr(security)


@pytest.mark.parametrize(
    ("tokens", "problem"),
    [
        ([], ": expected an object, got an array"),
        ({"ci": "s3cret"}, ".ci: expected an object, got a string"),
        ({"ci": {}}, ".ci.token: is missing"),
        ({"ci": {"token": ""}}, f".ci.token: expected {TOKEN_RULE}"),
        ({"ci": {"token": "s3 cret"}}, f".ci.token: expected {TOKEN_RULE}"),
        ({"ci": {"token": 1234}}, ".ci.token: expected a string, got a number"),
        (
            {"ci": {"token": "s3cret", "permissions": ["root"]}},
            '.ci.permissions[0]: expected one of "call", "read", "approve", "admin", got "root"',
        ),
        (
            {"ci": {"token": "s3cret", "permissions": "call"}},
            '.ci.permissions: expected an array, got "call"',
        ),
        (
            {"ci": {"token": "s3cret", "instances": ["a", "../b"]}},
            ".ci.instances[1]: expected letters, digits, _, - and CJK letters, at most 100, not "
            'beginning with -, and no device of Windows such as con, got "../b"',
        ),
        (
            {"ci": {"token": "s3cret", "scopes": []}},
            ".ci.scopes: unknown key; the keys here are token, permissions, instances, profile, "
            "rate",
        ),
        *(
            (
                {name: {"token": "s3cret"}},
                f".{quoted}: expected as its name letters, digits, _, - and CJK letters, at most "
                "100, not beginning with -, and no device of Windows such as con, "
                f'and not "bearer" or "stdio", got {json.dumps(name)}',
            )
            for name, quoted in [
                ("-c", "-c"),
                ("", ""),
                ("a b", "a b"),
                ("a\nb", '"a\\nb"'),
                ("bearer", "bearer"),
                ("stdio", "stdio"),
            ]
        ),
    ],
)
def test_wrong_named_token_is_named_with_its_path_and_not_quoted(
    config: Path, tokens: Any, problem: str
) -> None:
    assert problems_of_tokens(config, tokens) == [problem]


def test_all_problems_of_named_tokens_are_told_in_one_go(config: Path) -> None:
    tokens = {"a": {"permissions": ["x", "call", "y"]}, "b": {"token": 1}}
    assert [line.partition(":")[0] for line in problems_of_tokens(config, tokens)] == [
        ".a.token",
        ".a.permissions[0]",
        ".a.permissions[2]",
        ".b.token",
    ]


def test_token_that_two_names_have_is_refused(config: Path) -> None:
    digest = "sha256:" + hashlib.sha256(b"s3cret").hexdigest()
    tokens = {"a": {"token": "s3cret"}, "b": {"token": "other"}, "c": {"token": digest}}
    assert problems_of_tokens(config, tokens) == [
        ".c.token: is the token of a too; give each its own"
    ]
    assert problems_of_tokens(config, {"d": {"token": "s3cret"}}, digest) == [
        ".d.token: is the token of security.bearer_token too; give each its own"
    ]


def test_burst_without_a_rate_is_refused_with_the_way_out(config: Path) -> None:
    tokens = {"a": {"token": "s3cret", "rate": {"burst": 5, "concurrent_calls": 2}}}
    assert problems_of_tokens(config, tokens) == [
        ".a.rate.burst: limits nothing without calls_per_minute; add that, or remove burst"
    ]


@pytest.mark.parametrize("number", [0, -1, 1.5, "6", True])
@pytest.mark.parametrize("key", ["calls_per_minute", "burst", "concurrent_calls"])
def test_limit_that_is_no_positive_integer_is_refused(config: Path, key: str, number: Any) -> None:
    rate = {"calls_per_minute": 60, key: number}
    (line,) = problems_of_tokens(config, {"a": {"token": "s3cret", "rate": rate}})
    assert line.startswith(f".a.rate.{key}: expected a")


@pytest.mark.parametrize(
    ("rate", "limits"),
    [
        (Rate(600), RateLimits(600, 60)),
        (Rate(5), RateLimits(5, 1)),
        (Rate(600, 7, 3), RateLimits(600, 7, 3)),
        (Rate(concurrent_calls=3), RateLimits(None, 1, 3)),
    ],
)
def test_burst_is_a_tenth_of_a_minute_where_nothing_else_is_said(
    rate: Rate, limits: RateLimits
) -> None:
    tokens = {"a": NamedToken("s3cret", rate=rate), "b": NamedToken("other")}
    assert rate_limits(tokens) == {"a": limits}

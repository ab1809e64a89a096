"""`WWW-Authenticate` is read by its grammar, whatever a server writes there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.oauth.client.protocol.challenges import Challenge, bearer, parse


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("Bearer", [("bearer", {})]),
        ('Bearer realm="a, b", error=x', [("bearer", {"realm": "a, b", "error": "x"})]),
        ('bearer Scope = "a b"', [("bearer", {"scope": "a b"})]),
        (r'Bearer realm="a \"b\" \\"', [("bearer", {"realm": r'a "b" \ '.strip()})]),
        (
            'Basic realm="x", Bearer scope="s"',
            [("basic", {"realm": "x"}), ("bearer", {"scope": "s"})],
        ),
        ("Negotiate dG9rZW4=, Bearer a=b", [("negotiate", {}), ("bearer", {"a": "b"})]),
        ("Negotiate, Basic realm=x", [("negotiate", {}), ("basic", {"realm": "x"})]),
        ("Bearer a=1\r\nBasic b=2", [("bearer", {"a": "1"}), ("basic", {"b": "2"})]),
        (", ,Bearer a=1,,b=2,", [("bearer", {"a": "1", "b": "2"})]),
        ("Bearer a=1, a=2", [("bearer", {"a": "1"})]),
        ('Bearer a="open, b=2', [("bearer", {}), ("b", {})][:1]),
        ("Bearer url=https://x.test/a:b", [("bearer", {"url": "https://x.test/a:b"})]),
        ("a=1, Bearer b=2", [("a", {}), ("bearer", {"b": "2"})]),
    ],
)
def test_grammar(text: str, found: list[tuple[str, dict[str, str]]]) -> None:
    read = [(challenge.scheme, challenge.parameters) for challenge in parse(text)]
    assert read[: len(found)] == found


def test_challenge_with_metadata_comes_first() -> None:
    text = 'Bearer error="x", Bearer resource_metadata="https://a.test", scope="a  b"'
    challenge = bearer(text)
    assert challenge is not None
    assert challenge.resource_metadata == "https://a.test"
    assert challenge.scopes == ("a", "b")
    assert challenge.error == ""
    assert bearer('Basic realm="Bearer scope=x"') is None
    assert Challenge("bearer", {}).scopes is None


@given(st.text(alphabet='Bearer =",\\ a1\t\n/:;é', max_size=60))
def test_any_text_is_read(text: str) -> None:
    parse(text)


def test_long_text_is_read_in_short_time() -> None:
    for text in ('Bearer a="' + "\\" * 10**6, "=" * 10**6, "Bearer " + "a" * 10**6, "," * 10**6):
        assert len(parse(text)) <= 2

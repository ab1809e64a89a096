"""URIs of ours: never the same for two resources, and read back whatever the texts hold."""

import re
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from router.core.names.resource_uris import UriTemplate, own_uri, shown_template, shown_uri

CONFUSABLE = st.text(st.sampled_from("a/%:{}2Fé "), min_size=1, max_size=8)
"""Short texts of the characters that the forms give a meaning."""

NAMES = CONFUSABLE | st.text(min_size=1, max_size=30)
URIS = (
    CONFUSABLE
    | st.text(min_size=1, max_size=60)
    | st.sampled_from(["file:///a%20b", "ui://x/y", "ui://", "mcp-router://a/b", "文件:🦀\0\n"])
    | st.builds("ui://{}".format, CONFUSABLE)
)
PAIRS = st.tuples(NAMES, URIS)

VALUES = st.text(min_size=1, max_size=20)


@given(PAIRS)
@example(("a", "x" * 300))
def test_a_uri_is_read_back(pair: tuple[str, str]) -> None:
    assert own_uri(shown_uri(*pair)) == pair


@given(PAIRS)
@example(("a", "file:///a%2Fb/{+path}"))
@example(("a", "a%20b/{path}"))
@example(("a", "{+uri}"))
@example(("a", "{path:3}%20"))
@example(("a", ":a"))
def test_a_template_is_read_back(pair: tuple[str, str]) -> None:
    assert own_uri(shown_template(*pair)) == pair


@given(PAIRS, PAIRS)
@example(("a/b", "c"), ("a", "b/c"))
@example(("a%2Fb", "c"), ("a/b", "c"))
@example(("a", "ui://b"), ("a", "ui%3A%2F%2Fb"))
def test_two_pairs_never_have_one_uri(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (shown_uri(*one) == shown_uri(*other)) == (one == other)
    assert (shown_template(*one) == shown_template(*other)) == (one == other)
    if one != other:
        assert shown_uri(*one) != shown_template(*other)


@given(PAIRS)
def test_a_uri_is_printable_ascii_and_keeps_the_scheme_that_hosts_insist_on(
    pair: tuple[str, str],
) -> None:
    shown = shown_uri(*pair)
    assert re.fullmatch(r"(mcp-router|ui)://[!-~]+/[!-~]+", shown)
    assert shown.startswith("ui://") == pair[1].startswith("ui://")


@given(NAMES, VALUES)
def test_an_expansion_of_a_template_is_read_as_that_of_the_server(name: str, value: str) -> None:
    """A client expands the template that it was shown; the server must get its own expansion."""
    for template in ("file:///a%20b/{v}/c", "x:{v}", "{v}", "a%20b/{v}", ":{v}", "/{v:3}:{v}"):
        assert own_uri(expanded(shown_template(name, template), value)) == (
            name,
            expanded(template, value),
        )


def expanded(template: str, value: str) -> str:
    """Expand `{v}` and `{v:3}` as a client does (RFC 6570 section 3.2.2)."""
    return template.replace("{v}", quote(value, safe="")).replace(
        "{v:3}", quote(value[:3], safe="")
    )


@pytest.mark.parametrize(
    "text",
    [
        *("", "file:///a", "mcp-router://", "mcp-router://a", "mcp-router://a/", "mcp-router:///b"),
        *("ui://", "ui://a", "ui://a/b", "MCP-ROUTER://a/b", "mcp-router:/a/b", "http://a/b"),
    ],
)
def test_any_other_text_is_no_uri_of_ours(text: str) -> None:
    assert own_uri(text) is None


@given(st.text(max_size=60))
def test_any_text_is_ours_or_not_and_fails_nothing(text: str) -> None:
    for one in (text, f"mcp-router://{text}", f"ui://{text}"):
        named = own_uri(one)
        assert named is None or all(named)


# --- Templates -------------------------------------------------------------------------------


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_template_can_be_taken_apart(template: str, uri: str) -> None:
    parsed = UriTemplate.parse(template)
    assert len(parsed.literals) == len(parsed.may_have_slash) + 1
    parsed.matches(uri)


@given(st.text(st.characters(exclude_characters="{}"), max_size=40))
def test_a_template_without_expressions_matches_itself_alone(text: str) -> None:
    parsed = UriTemplate.parse(text)
    assert parsed.matches(text)
    assert not parsed.matches(text + "x")

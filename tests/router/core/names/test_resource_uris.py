"""The URIs that name an instance, and the templates that recognise their expansions."""

import pytest

from router.core.names.resource_uris import (
    UriTemplate,
    is_admitted,
    own_uri,
    shown_template,
    shown_uri,
)
from router.messages.instances.exposure import NameFilter

INSTANCES = ["a", "A", "files-1", "文件", "😀 x", "a/b", "a%2Fb", "a:b", "..", "x" * 300, "\n\x00"]
URIS = [
    "file:///x",
    "file:///a%20b%2Fc?q=1&r=%25#f",
    "mem:",
    "greeting",
    "100%25",
    "文件://数据/😀 emoji",
    "x:" + "y" * 300,
    "odd:\x00\n\t",
    "ui://app/main.html",
    "ui://",
    "mcp-router://a/file%3A%2F%2F%2Fx",
    "a/b/c",
    "/",
    "%",
]


@pytest.mark.parametrize("instance", INSTANCES)
@pytest.mark.parametrize("uri", URIS)
def test_a_uri_that_names_its_instance_leads_back_to_both(instance: str, uri: str) -> None:
    shown = shown_uri(instance, uri)
    assert own_uri(shown) == (instance, uri)
    assert shown.isascii()
    assert shown.isprintable()
    assert " " not in shown


def test_no_two_pairs_have_one_uri() -> None:
    shown = [shown_uri(instance, uri) for instance in INSTANCES for uri in URIS]
    assert len(set(shown)) == len(shown)


def test_an_interface_of_mcp_apps_keeps_its_scheme() -> None:
    assert shown_uri("a", "ui://app/x") == "ui://a/ui%3A%2F%2Fapp%2Fx"
    assert shown_uri("a", "file:///x") == "mcp-router://a/file%3A%2F%2F%2Fx"


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "file:///x",
        "mcp-router:",
        "mcp-router://",
        "mcp-router://a",
        "mcp-router://a/",
        "mcp-router:///x",
        "ui://app/main.html",
        "ui://app",
        "ui://a/file%3A%2F%2F%2Fx",
        "MCP-ROUTER://a/x",
    ],
)
def test_other_uris_name_no_instance(uri: str) -> None:
    assert own_uri(uri) is None


# --- Templates -----------------------------------------------------------------------------------

TEMPLATES = ["file:///{path}", "文件:{+x}", "ui://app/{page}", "x:{?q*}", "db://{t}/{id}", "{+uri}"]


@pytest.mark.parametrize("instance", INSTANCES)
@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_that_names_its_instance_leads_back_to_both(
    instance: str, template: str
) -> None:
    assert own_uri(shown_template(instance, template)) == (instance, template)


@pytest.mark.parametrize(
    ("template", "value", "own"),
    [
        ("file:///{v}", "a%20b%2Fc", "file:///a%20b%2Fc"),
        ("file:///{v}", "100%25", "file:///100%25"),
        ("ui://app/{v}", "x", "ui://app/x"),
        ("{+v}", "file:///x", "file:///x"),
    ],
)
def test_an_expansion_of_such_a_template_is_the_one_of_the_server(
    template: str, value: str, own: str
) -> None:
    expanded = shown_template("a b", template).replace("{v}", value).replace("{+v}", value)
    assert own_uri(expanded) == ("a b", own)


@pytest.mark.parametrize(
    ("template", "uri", "matches"),
    [
        ("file:///{path}", "file:///x", True),
        ("file:///{path}", "file:///", True),
        ("file:///{path}", "file:///a/b", False),
        ("file:///{path}", "file://x", False),
        ("file:///{+path}", "file:///a/b", True),
        ("file://{/path*}", "file:///a/b", True),
        ("x:{?q}", "x:?q=/", True),
        ("x:{#f}", "x:#a/b", True),
        ("db://{t}/rows/{id}", "db://t/rows/5", True),
        ("db://{t}/rows/{id}", "db://t/rows", False),
        ("db://{t}/rows/{id}", "db://t/rows/5/6", False),
        ("db://{t}.json", "db://a.json.json", True),
        ("db://{t}.json", "db://a.xml", False),
        ("x:fixed", "x:fixed", True),
        ("x:fixed", "x:fixed!", False),
        ("x:{broken", "x:{broken", True),
        ("x:{a}{b}", "x:anything", True),
        ("文件:{名}", "文件:数据", True),
        ("{a}", "", True),
        ("aXXb{v}aXXb", "aXXb", False),
    ],
)
def test_a_template_recognises_its_expansions(template: str, uri: str, matches: bool) -> None:
    assert UriTemplate.parse(template).matches(uri) is matches


def test_a_hostile_template_takes_no_longer_than_an_ordinary_one() -> None:
    """Security: backtracking over `{a}{b}{c}…` would take for ever."""
    template = UriTemplate.parse("x:" + "{a}a" * 1000 + "!")
    assert not template.matches("x:" + "a" * 100_000)


# --- Filters ---------------------------------------------------------------------------------

PROJECT = NameFilter(("file:///project/*",))
NO_KEYS = NameFilter(deny=("file:///keys/*", "x:a%20b"))


@pytest.mark.parametrize(
    ("names", "uri", "answer"),
    [
        (PROJECT, "file:///project/a/./b", True),
        (PROJECT, "file:///project/a/../b", True),
        (PROJECT, "file:///project/a%20b/c%2Fd", True),
        (PROJECT, "file:///project/..b/...", True),
        (PROJECT, "file:///project/../keys/mine", False),
        (PROJECT, "file:///project/%2e%2E/keys/mine", False),
        (PROJECT, "file:///project/a/../../../keys/mine", False),
        (PROJECT, "file:///project/..%2Fkeys/mine", False),
        (NO_KEYS, "file:///project/mine", True),
        (NO_KEYS, "greeting", True),
        (NO_KEYS, "file:///keys/mine", False),
        (NO_KEYS, "FILE:///keys/mine", False),
        (NO_KEYS, "file:///k%65ys/mine", False),
        (NO_KEYS, "file:///project/..%2Fkeys/mine", False),
        (NO_KEYS, "x:a b", False),
    ],
)
def test_a_filter_holds_however_a_uri_is_written(names: NameFilter, uri: str, answer: bool) -> None:
    assert is_admitted(names, uri) is answer

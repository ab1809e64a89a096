"""The index: what is found, in which order, and what is left out."""

from __future__ import annotations

import sqlite3
from typing import Any
from unittest import mock

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.messages.errors import UNAVAILABLE, RpcError
from router.messages.instances.exposure import NameFilter
from router.messages.own_tools.search import IndexTools, Searchable, ToolsFound
from router.search import exact_names, full_text
from router.search import index as index_module
from router.search.index import QUERY_CHARS, QUERY_WORDS, SCOPES, ToolIndex
from router.search.reranking import Ranking
from tests.router.search.catalogues import (
    CHAT,
    FILES,
    WEATHER,
    found_tool,
    index_of,
    keys,
    row,
    search,
    tool,
)

ROWS = ("files", "chat", "weather")


@pytest.fixture(scope="module")
def index() -> ToolIndex:
    return index_of(FILES, CHAT, WEATHER)


def first(index: ToolIndex, query: str) -> str:
    return keys(index.find(search(query, *ROWS)))[0]


@pytest.mark.parametrize(
    ("query", "best"),
    [
        ("make a folder", "files/create_directory"),
        ("rename a file", "files/move_file"),
        ("thumbs up to that message", "chat/add_reaction"),
        ("which chat rooms are there", "chat/list_channels"),
        ("will it rain", "weather/get_forecast"),
        ("create directories", "files/create_directory"),
        ("明天的天气", "weather/get_forecast"),
        ("发消息", "chat/post_message"),
        ("新建文件夹", "files/create_directory"),
    ],
)
def test_people_find_tools_in_their_own_words(index: ToolIndex, query: str, best: str) -> None:
    assert first(index, query) == best


@pytest.mark.parametrize(
    "query",
    [
        "get_forecast",
        "Get-Forecast",
        "get forecast",
        "weather.get_forecast",
        "WEATHER get/forecast",
    ],
)
def test_a_whole_name_is_first_and_clear(index: ToolIndex, query: str) -> None:
    found = index.find(search(query, *ROWS))
    assert keys(found)[0] == "weather/get_forecast"
    assert found.is_clear


def test_a_whole_name_is_first_also_where_others_fit_better() -> None:
    rest = [tool(f"post_note_{n}", "Post. A note, to post: post it.") for n in range(20)]
    index = index_of(row("a", *rest, tool("post", "Nothing of the kind.")))
    assert keys(index.find(search("post", "a")))[0] == "a/post"


def test_of_equal_own_names_the_one_that_is_shown_is_first() -> None:
    index = index_of(
        row("a", tool("post", shown="a_post")),
        row("b", tool("post", shown="post")),
    )
    found = index.find(search("post", "a", "b"))
    assert (keys(found)[0], found.is_clear) == ("b/post", True)
    assert keys(index.find(search("A post", "a", "b")))[0] == "a/post"


def test_equal_names_of_two_instances_are_both_first_and_not_clear() -> None:
    index = index_of(
        row("a", tool("post", shown="a_post"), tool("post_all", shown="a_post_all")),
        row("b", tool("post", shown="b_post")),
    )
    found = index.find(search("post", "a", "b"))
    assert set(keys(found)[:2]) == {"a/post", "b/post"}
    assert not found.is_clear


def test_names_that_are_longer_than_any_query_are_not_compared() -> None:
    with mock.patch.object(exact_names, "folded", wraps=exact_names.folded) as folded:
        index = index_of(row("files", tool("x" * 100_000)))
        assert index.find(search("x" * 100_000, "files")).total == 1
        index.put(row("files"))
    assert all(len(call.args[0]) <= 1100 for call in folded.call_args_list)


def test_the_name_of_a_server_in_a_query_leads_to_it() -> None:
    tools = (tool("list_issues", "List issues."), tool("create_issue", "Create an issue."))
    index = index_of(row("github", *tools), row("gitlab", *tools))
    assert (
        keys(index.find(search("new issue on gitlab", "github", "gitlab")))[0]
        == "gitlab/create_issue"
    )


def test_a_product_that_is_written_with_capitals_is_not_another_one() -> None:
    index = index_of(
        row("git", tool("list_users", "List users.")),
        row("github", tool("search_users", "Search users.")),
    )
    assert keys(index.find(search("users of GitHub", "git", "github")))[0] == "github/search_users"


def test_what_only_arguments_and_long_texts_say_is_found() -> None:
    described = {"properties": {"kind": {"type": "string", "enum": ["invoice", "receipt"]}}}
    index = index_of(
        row("a", tool("fetch", "Fetch a thing.", inputSchema=described), tool("fetch_all", "All.")),
        row("b", tool("other", "Do it. Long after the first sentence: receipts.")),
    )
    assert set(keys(index.find(search("receipt", "a", "b")))) == {"a/fetch", "b/other"}
    assert keys(index.find(search("fetch an invoice", "a", "b")))[0] == "a/fetch"


def test_common_words_of_a_query_are_not_looked_up_where_rarer_ones_match(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(index_module, "MATCHES", 1)
    many = [tool(f"send_{n}", "Send a message.") for n in range(9)]
    index = index_of(row("many", *many, tool("wave", "Send a greeting.")))
    assert keys(index.find(search("send a greeting", "many")))[0] == "many/wave"
    assert keys(index.find(search("send", "many")))


def test_only_the_rows_that_are_asked_for_are_searched(index: ToolIndex) -> None:
    found = index.find(search("message", "files", "weather", "nowhere"))
    assert not [key for key in keys(found) if key.startswith("chat/")]
    assert found.total == 5


def test_only_names_that_are_admitted_are_found(index: ToolIndex) -> None:
    names = NameFilter(deny=("post_*",))
    found = index.find(search("post_message", *ROWS, names=names))
    assert "chat/post_message" not in keys(found)
    assert found.total == 7


def test_prompts_and_resources_are_searched_by_kind_and_not_filtered() -> None:
    raw = msgspec.Raw(b'{"name":"review","description":"Review code"}')
    offered = (
        tool("review"),
        Searchable("prompt", "review", "a.review", raw),
        Searchable("resource", "file:///review", "file:///review", raw),
    )
    index = index_of(row("a", *offered))
    nothing = NameFilter(allow=())
    for kind, key in (("prompt", "review"), ("resource", "file:///review")):
        found = index.find(search("review", "a", kind=kind, names=nothing))  # type: ignore[arg-type]
        assert [(each.kind, each.key) for each in found.found] == [(kind, key)]
        assert found.total == 1
    assert index.find(search("file:///review", "a", kind="resource")).is_clear


@pytest.mark.parametrize("limit", [-1, 0, 1, 3])
def test_at_most_as_many_as_asked_for_are_found(index: ToolIndex, limit: int) -> None:
    found = index.find(search("message channel file", *ROWS, limit=limit))
    assert len(found.found) == max(limit, 0)
    assert found.total == 8


def test_what_a_row_offers_now_replaces_what_it_offered() -> None:
    index = index_of(FILES, CHAT)
    index.put(row("chat", tool("send_letter", "Send a letter by mail.")))
    assert keys(index.find(search("post_message", "chat"))) == ["chat/send_letter"]
    found = index.find(search("letter", "files", "chat"))
    assert (keys(found)[0], found.total) == ("chat/send_letter", 4)


def test_what_has_not_changed_is_not_read_again() -> None:
    one, two, three = tool("one"), tool("two"), tool("three")
    index = index_of(row("r", one, two, two))
    with mock.patch.object(index_module, "read_entry", wraps=index_module.read_entry) as read:
        index.put(row("r", two, one, tool("new"), three))
        index.put(row("r", one, tool("new", "It is new.")))
    assert [call.args[1].key for call in read.call_args_list] == ["new", "three", "new"]
    found = index.find(search("which", "r"))
    assert (keys(found), found.total) == (["r/one", "r/new"], 2)
    assert index.find(search("It is new", "r")).found
    assert not index.find(search("three two", "r")).found
    index.put(IndexTools("r", "r", "Counts things.", (one,)))
    assert keys(index.find(search("counts", "r"))) == ["r/one"]


def test_a_row_that_offers_nothing_is_forgotten() -> None:
    index = index_of(FILES, CHAT, row("chat"))
    assert keys(index.find(search("post_message", "chat"))) == []
    assert index.find(search("message", "chat")) == ToolsFound(1)
    assert index.entries_of("chat") == []


def test_a_row_that_is_left_out_is_not_found_and_can_come_back() -> None:
    index = index_of(FILES, CHAT)
    next(index.put_in_steps(CHAT))
    index.leave_out("chat")
    assert index.find(search("message", "chat")).total == 0
    index.put(CHAT)
    assert keys(index.find(search("post_message", "chat")))[0] == "chat/post_message"


def test_each_step_of_a_change_is_about_one_entry_at_most() -> None:
    index = ToolIndex()
    assert len(list(index.put_in_steps(CHAT))) == 2 * len(list(CHAT.offered))
    assert len(list(index.put_in_steps(row("chat", tool("one"))))) == len(list(CHAT.offered)) + 2


def test_what_a_search_may_answer_is_gathered_in_steps_and_once() -> None:
    index = index_of(row("many", *(tool(f"send_{number}") for number in range(250))))
    asked = search("send 7", "many", names=NameFilter(allow=("send_?",)))
    assert len(list(index.gather_in_steps(asked))) == 2
    assert list(index.gather_in_steps(asked)) == []
    assert index.find(asked).total == 10


def test_tidying_ends_and_changes_no_result() -> None:
    index = ToolIndex()
    for number in range(43):
        list(index.put_in_steps(row(f"r{number}", tool(f"send_{number}", "Send a message."))))
    asked = search("send message", *(f"r{number}" for number in range(43)))
    before = index.find(asked)
    assert list(index.tidy_in_steps())
    assert list(index.tidy_in_steps()) == []
    assert index.find(asked) == before


@pytest.mark.parametrize(
    "query", ["", "   ", "which of them is it", "?!*\"'()", "🤷", "\ud800\x00"]
)
def test_a_query_without_words_is_answered_with_a_sample_of_all_rows(
    index: ToolIndex, query: str
) -> None:
    found = index.find(search(query, *ROWS, limit=4))
    assert keys(found) == [
        "files/create_directory",
        "chat/post_message",
        "weather/get_forecast",
        "files/read_text_file",
    ]
    assert (found.is_clear, found.total) == (False, 8)


def test_words_that_nobody_has_find_nothing(index: ToolIndex) -> None:
    found = index.find(search("xylophone zither", *ROWS))
    assert (found.found, found.is_clear, found.total) == ((), False, 8)


def test_the_one_that_fits_alone_is_clear(index: ToolIndex) -> None:
    assert index.find(search("emoji", *ROWS)).is_clear
    assert not index.find(search("file", *ROWS)).is_clear


def test_of_long_queries_the_beginning_counts(index: ToolIndex) -> None:
    for query in (
        "emoji" + " " * QUERY_CHARS + "weather",
        "emoji" + " zither" * QUERY_WORDS + " weather",
    ):
        assert keys(index.find(search(query, *ROWS))) == ["chat/add_reaction"]


@pytest.mark.parametrize(
    "query", ['name:"x" OR (', "NEAR(a b)", "{name} : file", "-file ^read", "file* AND"]
)
def test_marks_of_query_languages_mean_nothing(index: ToolIndex, query: str) -> None:
    index.find(search(query, *ROWS))


def test_a_search_in_one_small_row_finds_all_that_fits() -> None:
    many = [tool(f"send_{n}", "Send a message.") for n in range(500)]
    index = index_of(row("big", *many), row("small", tool("deliver", "At length: send a message.")))
    assert keys(index.find(search("send message", "small"))) == ["small/deliver"]


def test_common_words_count_in_a_large_catalogue_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.search.concept_scores.VISITS", 3)
    monkeypatch.setattr("router.search.concept_scores.CLOSEST", 2)
    index = index_of(FILES, CHAT, WEATHER)
    assert first(index, "make a folder") == "files/create_directory"
    assert first(index, "rename a file") == "files/move_file"


def test_the_scope_that_was_searched_longest_ago_is_gathered_anew() -> None:
    index = index_of(row("many", *(tool(f"send_{number}") for number in range(100))))
    first, second = (search("send", "many", other) for other in ("first", "second"))
    for asked in (first, second, first):
        index.find(asked)
    for number in range(SCOPES - 1):
        index.find(search("send", "many", f"other{number}"))
    assert not list(index.gather_in_steps(first))
    assert list(index.gather_in_steps(second))


def test_the_scope_of_a_search_stays_the_same_until_something_is_indexed() -> None:
    index = index_of(FILES, CHAT)
    scope = index.search(search("file", "files")).scope
    assert index.search(search("message", "files")).scope is scope
    index.put(CHAT)
    assert index.search(search("file", "files")).scope is not scope


def test_another_ranking_keeps_whole_names_first(index: ToolIndex) -> None:
    asked = search("post_message", *ROWS, limit=3)
    ranking = Ranking((found_tool("files", "move_file"), found_tool("chat", "post_message")))
    found = index.search(asked).found(asked, ranking)
    assert keys(found) == ["chat/post_message", "files/move_file"]
    assert found.is_clear


def test_without_full_text_search_the_error_names_the_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(full_text, "_CREATE", "CREATE VIRTUAL TABLE entries USING fts6(name)")
    with pytest.raises(
        RpcError, match=r"no such module: fts6.*Use a Python whose sqlite"
    ) as failed:
        ToolIndex()
    assert failed.value.code == UNAVAILABLE
    assert sqlite3.sqlite_version in failed.value.message


ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=30)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "description", "title", "properties"]), inner)
    ),
    max_leaves=8,
)


@st.composite
def batches(draw: Any) -> IndexTools:
    described = st.dictionaries(
        st.sampled_from(["name", "description", "title", "inputSchema", "arguments"]), ANY_JSON
    )
    offered = st.builds(
        lambda kind, key, shown, value: Searchable(
            kind, key, shown, msgspec.Raw(msgspec.json.encode(value))
        ),
        st.sampled_from(["tool", "prompt", "resource"]),
        ANY_TEXT,
        ANY_TEXT,
        described,
    )
    return IndexTools(
        draw(st.sampled_from("ab")),
        draw(ANY_TEXT),
        draw(ANY_TEXT),
        tuple(draw(st.lists(offered, max_size=4))),
    )


@given(st.lists(batches(), max_size=4), ANY_TEXT)
def test_no_catalogue_and_no_query_fails(rows: list[IndexTools], query: str) -> None:
    index = index_of(*rows)
    now = {batch.row: batch for batch in rows}
    for batch in now.values():
        for offered in batch.offered:
            for asked in (offered.shown, offered.key, query):
                found = index.find(search(asked, "a", "b", kind=offered.kind, limit=20))
                kinds = [each.kind for each in found.found]
                assert set(kinds) <= {offered.kind}
                assert found.total >= len(kinds)
            exact = index.search(search(offered.shown, batch.row, kind=offered.kind)).exact
            assert offered.key in [each.key for each in exact]

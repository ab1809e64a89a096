from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.search.catalogues import Catalogue
from benchmarks.search.queries import (
    Query,
    Score,
    UnknownToolError,
    check_tools,
    place_of,
    read_queries,
    scores,
)

ISSUES = Query("which bugs are open", frozenset({"github/list_issues"}), "tune")
MAPS = Query("两个地方有多远", frozenset({"amap/distance"}), "tune")
UNSEEN = Query("rename a file", frozenset({"files/move"}), "test")


def test_a_query_with_chinese_characters_is_chinese() -> None:
    assert (ISSUES.language, MAPS.language) == ("English", "Chinese")


def test_the_place_is_that_of_the_first_right_tool() -> None:
    query = Query("read", frozenset({"a/read", "b/read"}), "tune")
    assert place_of(query, ["a/write", "b/read", "a/read"]) == 2
    assert place_of(query, ["a/write"]) is None


def test_a_score_has_shares_and_the_mean_of_reciprocal_places() -> None:
    assert Score.of([1, 2, None, 8]) == Score(0.25, 0.5, (1 + 1 / 2 + 1 / 8) / 4)


def test_only_one_part_is_scored_by_language_and_as_a_whole() -> None:
    rankings = {ISSUES.text: ["github/list_issues"], MAPS.text: ["x/y"]}
    found = scores(rankings, [ISSUES, MAPS, UNSEEN], "tune")
    assert {name: score.hit_1 for name, score in found.items()} == {
        "English": 1.0,
        "Chinese": 0.0,
        "all": 0.5,
    }


def test_a_tool_that_no_server_lists_is_an_error_that_names_it() -> None:
    listed = Catalogue("github", "", "", [{"name": "list_issues"}])
    check_tools([ISSUES], [listed])
    with pytest.raises(UnknownToolError, match=r"amap/distance.*两个地方有多远"):
        check_tools([ISSUES, MAPS], [listed])


def test_there_are_enough_queries_of_each_part_and_language_and_none_twice() -> None:
    queries = read_queries()
    assert len({one.text for one in queries}) == len(queries) >= 100
    assert sum(one.language == "Chinese" for one in queries) >= 20
    parts = Counter(one.part for one in queries)
    assert min(parts["tune"], parts["test"], parts["fresh"]) >= 70
    assert all(one.tools for one in queries)

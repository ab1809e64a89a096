"""Direct names: valid, stable, never the same for two tools, and found again."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from router.core.names import direct_names
from router.core.names.direct_names import direct_name

LIMITS = st.integers(16, 64)
LIMIT = 48

CONFUSABLE = st.text(st.sampled_from("ab_-.é"), max_size=8)
"""Short texts of few characters, of which many pairs look alike when they are joined."""

TEXTS = (
    CONFUSABLE | st.text(max_size=40) | st.sampled_from(["工具" * 9, "🦀 🦀", "a\0\n", "x" * 300])
)
PAIRS = st.tuples(TEXTS, TEXTS)


# --- Any two texts -----------------------------------------------------------------------------


@given(PAIRS, LIMITS)
@example(("", ""), 16)
def test_a_name_is_valid_and_short_enough(pair: tuple[str, str], limit: int) -> None:
    assert re.fullmatch(f"[A-Za-z0-9_-]{{1,{limit}}}", direct_name(*pair, limit))


@given(PAIRS, PAIRS, LIMITS)
@example(("a", "_b"), ("a_", "b"), LIMIT)
@example(("a", "b__c"), ("a__b", "c"), LIMIT)
@example(("a", "b.c"), ("a", "b_c"), LIMIT)
@example(("文件", "读"), ("数据", "读"), LIMIT)
@example(("ab", "c" * 300), ("a", "b" + "c" * 300), LIMIT)
@example(("a\0", "b"), ("a", "\0b"), LIMIT)
@example(("", "a"), ("a", ""), 16)
def test_two_pairs_never_have_one_name(
    one: tuple[str, str], other: tuple[str, str], limit: int
) -> None:
    assert (direct_name(*one, limit) == direct_name(*other, limit)) == (one == other)


@given(st.lists(PAIRS, min_size=1, max_size=30, unique=True), LIMITS)
def test_names_lead_back_to_their_tools(pairs: list[tuple[str, str]], limit: int) -> None:
    index: dict[str, tuple[str, str]] = {}
    for instance, tool in pairs:
        for name, own in direct_names.names_of(instance, [tool], limit).items():
            index[name] = (instance, own)
    assert [index[direct_name(*pair, limit)] for pair in pairs] == pairs


@given(PAIRS, LIMITS)
def test_a_name_tells_its_instance_or_has_a_hash(pair: tuple[str, str], limit: int) -> None:
    name = direct_name(*pair, limit)
    assert direct_names.may_be_of(pair[0], name, limit)
    is_hashed = direct_names.is_hashed(name, limit)
    assert direct_names.instance_in(name, limit) == (None if is_hashed else pair[0])


@given(TEXTS, TEXTS, LIMITS)
def test_no_tool_can_be_called_like_one_with_a_hash(instance: str, tool: str, limit: int) -> None:
    """A server chooses the names of its tools, and could choose one that ends like a hash."""
    taken = direct_name(instance, f"{tool} ", limit)
    owner, _, rest = taken.partition("__")
    assert direct_name(owner, rest, limit) != taken


def test_half_a_surrogate_pair_has_a_name() -> None:
    assert direct_name("a", "\ud83e", LIMIT).startswith("a____")


# --- Their looks -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instance", "tool", "name"),
    [
        ("github", "list_issues", "github__list_issues"),
        ("my-files", "read__all", "my-files__read__all"),
        ("_a", "_b", "_a___b"),
        ("a_", "b", "a___b_dcd870fd1835ec5d"),
        ("a__b", "c", "a__b__c_bf3c0c39c6e35739"),
        ("文件", "read file", "____read_file_1fd6e3a59a283605"),
        ("a", "_0123456789abcdef", "a___0123456789abcdef_5a00539a9ccf7dc5"),
    ],
)
def test_a_name_looks_the_same_in_every_version(instance: str, tool: str, name: str) -> None:
    assert direct_name(instance, tool, LIMIT) == name


def test_a_name_as_long_as_the_limit_stays_whole() -> None:
    assert direct_name("a", "b" * 45, LIMIT) == "a__" + "b" * 45
    assert direct_names.is_hashed(direct_name("a", "b" * 46, LIMIT), LIMIT)


def test_a_long_instance_leaves_room_for_its_tool() -> None:
    name = direct_name("an-instance-with-a-very-long-name", "create_a_pull_request", LIMIT)
    assert name.startswith("an-instance-wit__create_a_pull_")
    assert direct_name("i" * 60, "ls", LIMIT).startswith("i" * 27 + "__ls_")


def test_a_name_longer_than_the_limit_is_nobodys() -> None:
    assert direct_names.instance_in("a__" + "b" * 46, LIMIT) is None
    assert not direct_names.is_hashed("a" * 40 + "_0123456789abcdef", LIMIT)


@pytest.mark.parametrize("name", ["echo", "", "a_echo", "a__", "a__b c", "a__é"])
def test_any_other_text_names_no_instance_of_a_tool(name: str) -> None:
    assert direct_names.instance_in(name, LIMIT) in (None, "a")
    assert (direct_names.instance_in(name, LIMIT) == "a") == (name == "a__")

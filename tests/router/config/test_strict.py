"""JSON values become classes, or errors that name each value that does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.config.conversion.every_mistake import convert_or_name_mistakes
from router.config.strict import Check, convert_strictly, join_errors
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

Even = Annotated[int, Check("an even integer", lambda n: n % 2 == 0)]
Secret = Annotated[str, Check("a long secret", lambda s: len(s) > 8, secret=True)]


@attrs.frozen
class Inner:
    flag: bool = False
    ratio: float = 1.5
    word: Literal["one", "two"] = "one"


@attrs.frozen
class Outer:
    number: int = 1
    even: Even = 2
    text: str = "x"
    secret: Secret = attrs.field(default="long enough", repr=False)
    texts: tuple[str, ...] = ()
    inner: Inner = attrs.field(factory=Inner)


def problems(value: Any) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        convert_strictly(value, Outer, "f.json")
    return str(raised.value).splitlines()


def test_missing_keys_have_their_defaults() -> None:
    assert convert_strictly({}, Outer, "f") == Outer()
    assert convert_strictly({"inner": {"flag": True}}, Outer, "f") == Outer(inner=Inner(flag=True))


def test_every_kind_of_value_is_taken_over() -> None:
    value = {
        "number": -3,
        "even": 4,
        "text": "",
        "secret": "0123456789",
        "texts": ["a", "b"],
        "inner": {"flag": True, "ratio": 2, "word": "two"},
    }
    inner = Inner(flag=True, ratio=2, word="two")
    assert convert_strictly(value, Outer, "f") == Outer(-3, 4, "", "0123456789", ("a", "b"), inner)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"number": "x"}, 'number: expected an integer, got "x"'),
        ({"number": "1"}, 'number: expected an integer, got "1"'),
        ({"number": True}, "number: expected an integer, got true"),
        ({"number": 1.0}, "number: expected an integer, got 1.0"),
        ({"number": None}, "number: expected an integer, got null"),
        ({"number": [1]}, "number: expected an integer, got an array"),
        ({"even": 3}, "even: expected an even integer, got 3"),
        ({"even": "4"}, 'even: expected an integer, got "4"'),
        ({"text": 1}, "text: expected a string, got 1"),
        ({"texts": "a"}, 'texts: expected an array, got "a"'),
        ({"texts": ["a", 1]}, "texts[1]: expected a string, got 1"),
        ({"inner": []}, "inner: expected an object, got an array"),
        ({"inner": {"flag": 1}}, "inner.flag: expected true or false, got 1"),
        ({"inner": {"flag": "true"}}, 'inner.flag: expected true or false, got "true"'),
        ({"inner": {"ratio": False}}, "inner.ratio: expected a number, got false"),
        ({"inner": {"ratio": 10**400}}, f"inner.ratio: expected a number, got 1{'0' * 56}..."),
        ({"inner": {"word": "three"}}, 'inner.word: expected one of "one", "two", got "three"'),
        ({"inner": {"word": 1}}, 'inner.word: expected one of "one", "two", got 1'),
        ({"inner": {"word": ["one"]}}, 'inner.word: expected one of "one", "two", got an array'),
        ({"x": 1}, "x: unknown key; the keys here are number, even, text, secret, texts, inner"),
        ({"inner": {"x": 1}}, "inner.x: unknown key; the keys here are flag, ratio, word"),
        ({"a\nb": 1}, '"a\\nb": unknown key; the keys here are number, even, text, secret, '
         "texts, inner"),
    ],
)  # fmt: skip
def test_value_that_does_not_fit_is_named_with_its_path(value: Any, problem: str) -> None:
    assert problems(value) == [f"f.json: {problem}"]


def test_what_is_no_object_at_all_has_no_path() -> None:
    assert problems([]) == ["f.json: expected an object, got an array"]


@attrs.frozen
class Needing:
    number: int
    text: str = "x"


@attrs.frozen
class Tables:
    by_word: dict[Annotated[str, Check("a short word", lambda s: len(s) < 9)], Needing] = (
        attrs.field(factory=dict)
    )


def test_object_with_words_of_the_user_as_keys_is_taken_over_in_their_order() -> None:
    value = {"by_word": {"b": {"number": 1}, "a": {"number": 2, "text": "y"}}}
    assert list(convert_strictly(value, Tables, "f").by_word.items()) == [
        ("b", Needing(1)),
        ("a", Needing(2, "y")),
    ]


def test_every_problem_below_such_keys_is_named_with_its_path() -> None:
    value = {"by_word": {"a": {}, "b": [], "too long a word": {"number": 1}, "d": {"number": "x"}}}
    with pytest.raises(ConfigError) as raised:
        convert_strictly(value, Tables, "f")
    assert str(raised.value).splitlines() == [
        "f: by_word.a.number: is missing",
        "f: by_word.b: expected an object, got an array",
        'f: by_word.too long a word: expected a short word, got "too long a word"',
        'f: by_word.d.number: expected an integer, got "x"',
    ]


def test_all_problems_are_found_in_one_go() -> None:
    value = {"number": "x", "inner": {"flag": 1, "y": 2}, "texts": [1, 2], "z": 3, "w": 4}
    assert problems(value) == [
        'f.json: number: expected an integer, got "x"',
        "f.json: texts[0]: expected a string, got 1",
        "f.json: texts[1]: expected a string, got 2",
        "f.json: inner.flag: expected true or false, got 1",
        "f.json: inner.y: unknown key; the keys here are flag, ratio, word",
        "f.json: w: unknown key; the keys here are number, even, text, secret, texts, inner",
        "f.json: z: unknown key; the keys here are number, even, text, secret, texts, inner",
    ]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("s3cret", "secret: expected a long secret"),
        (12345, "secret: expected a string, got a number"),
        (["s3cret"], "secret: expected a string, got an array"),
    ],
)
def test_secret_is_never_quoted(value: Any, problem: str) -> None:
    assert problems({"secret": value}) == [f"f.json: {problem}"]


def test_one_problem_stays_as_it_is() -> None:
    only = ConfigError("f", "is wrong")
    assert join_errors([only]) is only


def json_values() -> st.SearchStrategy[Any]:
    """Values that are what is expected, and such that are not."""
    plain = st.none() | st.booleans() | st.integers(-2, 5) | st.floats() | st.sampled_from(WORDS)
    parts = st.recursive(
        plain, lambda part: st.lists(part, max_size=2) | st.dictionaries(KEYS, part, max_size=4)
    )
    good = st.fixed_dictionaries(
        {},
        optional={
            "number": st.integers(),
            "texts": st.lists(st.text(max_size=2), max_size=2),
            "maybe": st.none() | st.just(2),
            "named": st.dictionaries(st.sampled_from(WORDS), st.just({"flag": True}), max_size=2),
            "inner": st.fixed_dictionaries({}, optional={"ratio": st.integers(0, 2)}),
        },
    )
    return good | parts | st.dictionaries(KEYS, parts, max_size=3)


WORDS = ("one", "long enough", "x", "")
KEYS = st.sampled_from(
    ["number", "even", "text", "secret", "texts", "inner", "maybe", "named", "flag", "word", "z"]
)


@attrs.frozen
class All(Outer):
    maybe: Even | None = None
    named: dict[Literal["one", "x"], Inner] = attrs.field(factory=dict[Any, Any])


@given(json_values())
def test_file_without_a_mistake_is_the_same_to_those_who_look_for_mistakes(value: Any) -> None:
    def outcome(convert: Callable[..., All]) -> object:
        try:
            return convert(value, All, "f")
        except ConfigError as error:
            return str(error)

    assert outcome(convert_strictly) == outcome(convert_or_name_mistakes)


def test_required_key_that_is_missing_is_named() -> None:
    @attrs.frozen
    class Needy:
        number: int

    assert convert_strictly({"number": 1}, Needy, "f") == Needy(1)
    with pytest.raises(ConfigError, match="f: number: is missing"):
        convert_strictly({}, Needy, "f")

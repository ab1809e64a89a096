"""JSON that a person sees as a server gets it."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from router.core.text.exact_json import shown_lines, visible, written_anew
from router.messages.errors import RpcError
from tests.router.core.conversation import raw

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


def anew(text: str) -> str:
    return bytes(written_anew(raw(text.encode()), "It")).decode()


def test_a_duplicate_key_leaves_one_value_at_any_depth() -> None:
    assert anew('{"a": {"x": 1, "x": [{"y": 2, "y": 3}]}, "a": {"x": 4}}') == '{"a":{"x":4}}'
    assert anew('[{"y": 2, "y": 3}]') == '[{"y":3}]'


@pytest.mark.parametrize("number", ["1.0000000000000000000001", "2e400", "-0", "1E5", "9" * 40])
def test_a_number_keeps_its_text(number: str) -> None:
    assert anew(f'{{"n": [ {number} ]}}') == f'{{"n":[{number}]}}'


@pytest.mark.parametrize("text", [r'{"a": "\ud800"}', '{"a":' * 5000 + "1" + "}" * 5000])
def test_what_nobody_can_be_shown_is_refused(text: str) -> None:
    with pytest.raises(RpcError, match="It cannot be shown to a person as they are"):
        anew(text)


def test_an_object_has_a_line_for_each_member() -> None:
    shown = shown_lines(written_anew(raw({"a\n": {"b": [1, "x\ny"]}, "c": None}), "It"))
    assert shown == '{\n  "a\\n": {"b":[1,"x\\ny"]},\n  "c": null\n}'
    assert shown_lines(raw({})) == "{}"
    assert shown_lines(raw([1])) == "[1]"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rm \u202e/x", r"rm \u202e/x"),  # turns the rest around
        ("a\u200bb\u2060c\ufeff", r"a\u200bb\u2060c\ufeff"),  # no width
        ("\U000e0072m", r"\udb40\udc72m"),  # a tag, which only machines read
        ("a\u3164b\u2800c\u115fd", r"a\u3164b\u2800c\u115fd"),  # letters and signs that are blank
        ("a\ufe0fb\U000e0100", r"a\ufe0fb\udb40\udd00"),  # variation selectors
        ("a\u00a0b\u3000c\u2028d", r"a\u00a0b\u3000c\u2028d"),  # spaces and line breaks
        ("\x7f\x9b1m", r"\u007f\u009b1m"),  # controls of terminals
        ("文件 é ß 😀", "文件 é ß 😀"),
    ],
)
def test_a_character_that_nobody_sees_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(JSON)
def test_what_is_shown_is_the_value_that_is_sent(value: object) -> None:
    sent = written_anew(Raw(msgspec.json.encode(value)), "It")
    shown = shown_lines(sent)
    assert shown.replace("\n", "").isprintable()
    assert bytes(written_anew(raw(shown.encode()), "It")) == bytes(sent)
    assert msgspec.json.encode(value) == bytes(sent)

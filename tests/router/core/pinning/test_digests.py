"""Digests of tools: every member counts, and nothing that no reader can see."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.pinning.digests import digest_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(JSON, JSON)
def test_equal_values_have_equal_digests_and_others_do_not(one: object, other: object) -> None:
    first = digest_of(json.dumps(one).encode())
    second = digest_of(json.dumps(other, indent=1).encode())
    is_same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (first == second) == is_same


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"a":1,"b":{"c":2,"d":[]}}', b'{ "b": {"d": [], "c": 2}, "a": 1 }'),
        ('{"a":"é"}'.encode(), b'{"a":"\\u00e9"}'),
        (b"[1.50]", b"[1.5]"),
    ],
)
def test_spelling_makes_no_difference(one: bytes, other: bytes) -> None:
    assert digest_of(one) == digest_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"a":1}', b'{"a":"1"}'),
        (b'{"a":1}', b'{"a":1,"b":null}'),
        (b'{"a":1}', b'{"a":2,"a":1}'),  # Readers differ in which of the two they take.
        (b'{"a":2,"a":1}', b'{"a":1,"a":2}'),
        (b"[true]", b"[1]"),
        (b"[123456789012345678901]", b"[123456789012345678902]"),
        (b"[" * 5000 + b"]" * 5000, b"[" * 5001 + b"]" * 5001),
    ],
)
def test_everything_else_makes_one(one: bytes, other: bytes) -> None:
    assert digest_of(one) != digest_of(other)

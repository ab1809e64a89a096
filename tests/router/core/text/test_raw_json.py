"""Raw JSON objects, one level at a time."""

import pytest
from msgspec import Raw

from router.core.text import raw_json
from router.messages.errors import RpcError


def refused(call: object, *args: object) -> str:
    assert callable(call)
    with pytest.raises(RpcError) as caught:
        call(*args)
    assert caught.value.code == -32602
    return caught.value.message


def test_unknown_keys_are_kept_but_case_variants_of_known_ones_refused() -> None:
    names = frozenset({"name", "_meta"})
    members = {"name": Raw(b"1"), "other": Raw(b"2")}
    assert raw_json.check_key_case(members, names) is members
    problem = refused(raw_json.check_key_case, members | {"NAME": Raw(b"3")}, names, "p")
    assert problem == "p: 'NAME' differs from a known key in case"


def test_a_missing_text_or_another_type_is_refused() -> None:
    members = {"a": Raw(b'"\\u00e9"'), "b": Raw(b"5")}
    assert raw_json.text_of(members, "a") == "é"
    assert refused(raw_json.text_of, members, "b") == "params.b must be a string"
    assert refused(raw_json.text_of, members, "c", "p") == "p.c is missing"
    assert [raw_json.optional_text_of(members, key) for key in "abc"] == ["é", None, None]


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"1", 1),
        (b'"1"', "1"),
        (b"true", None),
        (b"1.0", None),
        (b"null", None),
        (b"", None),
        (b"9" * 5000, None),
    ],
)
def test_an_id_is_an_integer_or_a_string(data: bytes, found: int | str | None) -> None:
    assert raw_json.id_of(Raw(data)) == found
    assert raw_json.request_id_of({"id": Raw(data)}, "id") == found


@pytest.mark.parametrize(("data", "answer"), [(b"{}", True), (b"[]", False), (b"", False)])
def test_an_object_is_recognised_by_its_first_byte(data: bytes, answer: bool) -> None:
    assert raw_json.is_object(Raw(data)) is answer


def test_lone_surrogates_are_escaped() -> None:
    assert raw_json.printable("é \udcff") == "é \\udcff"

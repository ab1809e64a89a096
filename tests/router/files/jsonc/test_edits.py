"""`jsonc.edits`: one value changes, and every other byte stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from router.files.jsonc.document import JsoncDocument, Node, parse_jsonc
from router.files.jsonc.edits import append_item, remove, set_member
from router.files.jsonc.values import same_value, with_value, without_value
from router.messages.errors import ConfigError
from tests.router.files.jsonc.jsonc_texts import (
    jsonc_texts,
    keys,
    nested_objects,
    objects,
    tidy_texts,
    values,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_files = st.one_of(jsonc_texts(objects), tidy_texts())


def _document(data: bytes) -> JsoncDocument:
    return parse_jsonc(data, "mcp.json")


def _paths(value: Any) -> list[tuple[str | int, ...]]:
    """Return the paths of all members and items of a value."""
    if isinstance(value, dict):
        parts = list(value.items())
    else:
        parts = list(enumerate(value)) if isinstance(value, list) else []
    return [(key, *rest) for key, inner in parts for rest in ((), *_paths(inner))]


def _is_blank_inside(data: bytes, node: Node) -> bool:
    inside = data[node.start + 1 : node.end - 1]
    return not node.children and inside != b"" and not inside.strip()


def _inner(document: JsoncDocument) -> bytes:
    assert document.root is not None
    return document.data[document.root.start : document.root.end]


def _is_kept(before: bytes, after: bytes) -> bool:
    """Return whether `after` is `before` with bytes put in, and none taken away."""
    rest = iter(after)
    return all(byte in rest for byte in before)


few = settings(max_examples=settings().max_examples // 2)

# --- Any file --------------------------------------------------------------------------------


@few
@given(_files, st.lists(keys, min_size=1, max_size=3), values)
def test_setting_a_member_gives_exactly_that_value(
    file: tuple[bytes, Any], path: list[str], value: Any
) -> None:
    document = _document(file[0])
    try:
        edited = set_member(document, path, value)
    except ConfigError as exc:
        assert "expected an object, got" in exc.problem  # noqa: PT017
        return

    assert same_value(edited.value, with_value(file[1], path, value))
    assert set_member(edited, path, value).data == edited.data


@few
@given(_files, keys, values)
def test_a_new_member_takes_no_byte_away_and_can_be_removed_without_a_trace(
    file: tuple[bytes, Any], key: str, value: Any
) -> None:
    document = _document(file[0])
    assume(key not in file[1])
    assert document.root is not None

    edited = set_member(document, [key], value)

    removed = remove(edited, [key])
    if _is_blank_inside(document.data, document.root):
        assert removed.data.replace(b"{}", b"") == document.data.replace(_inner(document), b"")
    else:
        assert _is_kept(document.data, edited.data)
        assert removed.data == document.data


def _takes_new_member(document: JsoncDocument, path: Sequence[str | int]) -> bool:
    """Return whether a path of keys leads to an object that holds something, and no `new`."""
    node = document.find(path)
    if node is None or not all(isinstance(key, str) for key in path):
        return False
    is_object = isinstance(node.value, dict) and "new" not in node.value
    return is_object and not _is_blank_inside(document.data, node)


@few
@given(jsonc_texts(nested_objects), values, st.data())
def test_a_new_member_of_any_object_can_be_removed_without_a_trace(
    file: tuple[bytes, Any], value: Any, data: st.DataObject
) -> None:
    document = _document(file[0])
    inner = [path for path in _paths(file[1]) if _takes_new_member(document, path)]
    assume(inner)
    path = [str(key) for key in data.draw(st.sampled_from(inner))]

    edited = set_member(document, [*path, "new"], value)

    assert _is_kept(document.data, edited.data)
    assert remove(edited, [*path, "new"]).data == document.data


@few
@given(_files, st.data())
def test_removing_anything_gives_the_value_without_it_and_keeps_all_comments(
    file: tuple[bytes, Any], data: st.DataObject
) -> None:
    document = _document(file[0])
    paths = _paths(file[1])
    assume(paths)
    path = data.draw(st.sampled_from(paths))

    edited = remove(document, path)

    assert same_value(edited.value, without_value(file[1], path))
    assert _is_kept(edited.data, document.data)
    parent = document.find(path[:-1])
    assert parent is not None
    assert edited.data.startswith(document.data[: parent.start])
    assert edited.data.endswith(document.data[parent.end :])


@few
@given(_files, values, st.data())
def test_replacing_a_value_keeps_every_byte_around_it(
    file: tuple[bytes, Any], value: Any, data: st.DataObject
) -> None:
    document = _document(file[0])
    paths = [path for path in _paths(file[1]) if all(isinstance(key, str) for key in path)]
    assume(paths)
    path = [str(key) for key in data.draw(st.sampled_from(paths))]
    found = document.find(path)
    assert found is not None

    edited = set_member(document, path, value)

    assert same_value(edited.value, with_value(file[1], path, value))
    assert edited.data.startswith(document.data[: found.start])
    assert edited.data.endswith(document.data[found.end :])


@few
@given(_files, values)
def test_an_item_is_put_behind_the_others_and_can_be_removed_without_a_trace(
    file: tuple[bytes, Any], value: Any
) -> None:
    document = _document(file[0])
    lists = [key for key, inner in file[1].items() if isinstance(inner, list)]
    assume(lists)
    node = document.find([lists[0]])
    assert node is not None
    assume(not _is_blank_inside(document.data, node))

    edited = append_item(document, [lists[0]], value)

    items = file[1][lists[0]]
    assert same_value(edited.value, with_value(file[1], [lists[0]], [*items, value]))
    assert remove(edited, [lists[0], len(items)]).data == document.data


# --- The look of what is written -------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(b"", b'{\n  "s": {\n    "new": {\n      "x": 1\n    }\n  }\n}\n', id="empty"),
        pytest.param(
            b"// mine", b'// mine\n{\n  "s": {\n    "new": {\n      "x": 1\n    }\n  }\n}\n', id="c"
        ),
        pytest.param(
            b'{\n\t"s": {\n\t\t"a": {}\n\t}\n}\n',
            b'{\n\t"s": {\n\t\t"a": {},\n\t\t"new": {\n\t\t\t"x": 1\n\t\t}\n\t}\n}\n',
            id="tabs",
        ),
        pytest.param(
            b'\xef\xbb\xbf{\r\n    "s": {}\r\n}\r\n',
            b'\xef\xbb\xbf{\r\n    "s": {\r\n        "new": {\r\n            "x": 1\r\n        }'
            b"\r\n    }\r\n}\r\n",
            id="CRLF with a byte order mark",
        ),
        pytest.param(b'{"s":{"a":1}}', b'{"s":{"a":1,"new":{"x":1}}}', id="minified"),
        pytest.param(
            b'{ "s": { "a": 1 } }', b'{ "s": { "a": 1, "new": {"x": 1} } }', id="one line"
        ),
        pytest.param(
            b'{\n  "s": {\n    "a": 1, // the first\n    // "b": 2\n  },\n}',
            b'{\n  "s": {\n    "a": 1, // the first\n    "new": {\n      "x": 1\n    },\n'
            b'    // "b": 2\n  },\n}',
            id="a comma behind the last, and comments",
        ),
        pytest.param(
            b'{\n  "s": {\n    "a": 1 // the first\n  }\n}',
            b'{\n  "s": {\n    "a": 1, // the first\n    "new": {\n      "x": 1\n    }\n  }\n}',
            id="a comment behind the last",
        ),
        pytest.param(
            b'{\n  "s": {\n    // none yet\n  }\n}',
            b'{\n  "s": {\n    // none yet\n    "new": {\n      "x": 1\n    }\n  }\n}',
            id="an object with a comment alone",
        ),
        pytest.param(
            b'{\n  "a": 1,\r\n  "s": {\r\n    "b": 2\r\n  }\n}',
            b'{\n  "a": 1,\r\n  "s": {\r\n    "b": 2,\r\n    "new": {\r\n      "x": 1\r\n    }'
            b"\r\n  }\n}",
            id="mixed line ends",
        ),
    ],
)
def test_a_new_member_looks_like_what_is_beside_it(before: bytes, after: bytes) -> None:
    assert set_member(_document(before), ["s", "new"], {"x": 1}).data == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            b'{\n  "a": 1, // one\n  "b": 2, // two\n  "c": 3\n}',
            b'{\n  "a": 1, // one\n  // two\n  "c": 3\n}',
        ),
        (b'{\n  "a": 1, // one\n  "b": 2 }', b'{\n  "a": 1 // one\n  }'),
        (b'{ // one\n  "b": 2 /* two\n */,\n}', b"{ // one\n   /* two\n */\n}"),
        (b'{\n  "a": 1,\n  "b": 2,\n}', b'{\n  "a": 1,\n}'),
        (b'{"a": 1, "b": 2, "c": 3}', b'{"a": 1, "c": 3}'),
        (b'{ "b": 2 }', b"{}"),
        (b'{\n  // why\n  "b": 2\n}', b"{\n  // why\n}"),
    ],
)
def test_a_removed_member_leaves_its_neighbours_and_comments(before: bytes, after: bytes) -> None:
    assert remove(_document(before), ["b"]).data == after


def test_what_is_not_there_is_removed_without_a_change() -> None:
    document = _document(b'{"a": {}}')

    assert remove(document, ["a", "b"]) is document
    assert remove(document, ["b", "c"]) is document
    assert remove(_document(b""), ["a"]).data == b""


def test_a_text_of_any_letters_is_written_as_it_is() -> None:
    edited = set_member(_document(b"{}"), ["名"], "中文 \ud83d /*")

    assert edited.data == '{\n  "名": "中文 \\ud83d /*"\n}'.encode()


@pytest.mark.parametrize(
    ("data", "path", "problem"),
    [
        (b"[]", ["a"], "line 1, column 1: expected an object, got an array"),
        (
            b'{"a": {"b": "x"}}',
            ["a", "b", "c"],
            "line 1, column 13: a.b: expected an object, got a string",
        ),
        (b'{"a": null}', ["a", "c"], "line 1, column 7: a: expected an object, got null"),
    ],
)
def test_nothing_is_put_into_what_is_no_object(data: bytes, path: list[str], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        set_member(_document(data), path, 1)

    assert caught.value.problem == problem


def test_an_item_is_put_only_into_an_array() -> None:
    with pytest.raises(ConfigError, match="inputs: expected an array, got an object"):
        append_item(_document(b'{"inputs": {}}'), ["inputs"], 1)
    assert append_item(_document(b"{}"), ["inputs"], 1).value == {"inputs": [1]}

"""Generates JSON with comments as people and editors write it, and the value it stands for."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

_KEYS = st.one_of(
    st.sampled_from(["mcpServers", "servers", "a", "b", "", "a.b", "中文", 'quote"', "sl\\ash"]),
    st.text(max_size=4),
)
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(["// no comment", "/* nor this */", ",}", "\ud83d", "\r\n\t", "{", "\\"]),
)
values = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_KEYS, inner, max_size=3)),
    max_leaves=8,
)
objects = st.dictionaries(_KEYS, values, max_size=4)
keys = _KEYS
nested_objects = st.builds(
    lambda key, inner, others: {**others, key: inner},
    _KEYS,
    st.dictionaries(_KEYS, values, min_size=1, max_size=3),
    objects,
)
"""Objects that have at least one object with members in them."""

_SPACES = st.sampled_from(["", "", "", " ", "  ", "\t", "\n", "\r\n", "\n  ", "\r\n\t"])
_COMMENTS = st.sampled_from(
    ["// one\n", "// two\r\n", "/* three */", "/* four\n four */", "/**/", '// "k": {\n', "/*,*/"]
)
_gaps = st.lists(st.one_of(_SPACES, _SPACES, _COMMENTS), max_size=3).map("".join)


@st.composite
def jsonc_texts(draw: st.DrawFn, source: st.SearchStrategy[Any] = values) -> tuple[bytes, Any]:
    """Return a file and the value in it."""
    value = draw(source)
    mark = draw(st.sampled_from([b"", b"", b"\xef\xbb\xbf"]))
    text = draw(_gaps) + _written(draw, value) + draw(_gaps)
    return mark + text.encode(), value


def _written(draw: st.DrawFn, value: Any) -> str:
    if isinstance(value, dict):
        members = [
            _scalar(draw, key) + draw(_gaps) + ":" + draw(_gaps) + _written(draw, member)
            for key, member in value.items()
        ]
        return _enclosed(draw, "{", members, "}")
    if isinstance(value, list):
        return _enclosed(draw, "[", [_written(draw, item) for item in value], "]")
    return _scalar(draw, value)


def _enclosed(draw: st.DrawFn, opening: str, parts: list[str], closing: str) -> str:
    text = opening + draw(_gaps)
    for index, part in enumerate(parts):
        is_last = index == len(parts) - 1
        comma = "," if not is_last or draw(st.booleans()) else ""
        text += part + draw(_gaps) + comma + draw(_gaps)
    return text + closing


def _scalar(draw: st.DrawFn, value: Any) -> str:
    is_ascii = draw(st.booleans()) or (isinstance(value, str) and not _encodes(value))
    return json.dumps(value, ensure_ascii=is_ascii)


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@st.composite
def tidy_texts(draw: st.DrawFn) -> tuple[bytes, Any]:
    """Return a file of even layout, as formatters leave it, and the value in it."""
    value = draw(objects)
    indent = draw(st.sampled_from(["\t", "  ", "    ", None]))
    line_end = draw(st.sampled_from(["\n", "\r\n"]))
    text = json.dumps(value, indent=indent) + "\n"
    mark = draw(st.sampled_from([b"", b"\xef\xbb\xbf"]))
    return mark + text.replace("\n", line_end).encode(), value

"""`documents`: one way to read and change both formats."""

from __future__ import annotations

import pytest

from router.client_files.formats.documents import Format, parse_document, with_entry, without


@pytest.mark.parametrize(
    ("file_format", "data"), [("json", b'{\n  "a": {} // c\n}\n'), ("toml", b"[a] # c\n")]
)
def test_an_entry_is_put_in_and_taken_out_in_both_formats(file_format: Format, data: bytes) -> None:
    document = parse_document(file_format, data, "a file")
    assert document.value == {"a": {}}

    edited = with_entry(document, ("servers", "x"), {"url": "http://a.example"})

    assert edited.value == {"a": {}, "servers": {"x": {"url": "http://a.example"}}}
    assert b"# c" in edited.data or b"// c" in edited.data
    emptied = without(edited, ("servers", "x"))
    assert not emptied.value.get("servers")
    assert without(emptied, ("servers",)).data == data

"""Lines from chunks of bytes."""

from __future__ import annotations

import tracemalloc

import pytest

from transports.lines import LineSplitter


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_lines_are_the_same_however_they_are_cut(size: int) -> None:
    data = b"one\n\n  \ntwo \r\nthree"
    splitter = LineSplitter(1000)
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    lines = [line for piece in pieces for line in splitter.feed(piece)]
    assert lines + splitter.finish() == [b"one", b"two \r", b"three"]
    assert splitter.finish() == []


def test_a_line_may_be_cut_within_a_character() -> None:
    line = '{"text": "ü€😀\\u2028"}'.encode()
    for cut in range(len(line) + 1):
        splitter = LineSplitter(1000)
        chunks = (line[:cut], line[cut:] + b"\nnext", b"\n\n")
        assert [found for chunk in chunks for found in splitter.feed(chunk)] == [line, b"next"]


@pytest.mark.parametrize(
    ("chunk", "expected"),
    [
        (b"x" * 11, [None]),
        (b"x" * 11 + b"\n", [None]),
        (b"a\n" + b"x" * 11, [b"a", None]),
        (b"a\n" + b"x" * 11 + b"\nb\n", [b"a", None, b"b"]),
        (b" " * 11 + b"\n", [None]),
    ],
)
def test_a_line_over_the_limit_is_none_complete_or_not(
    chunk: bytes, expected: list[bytes | None]
) -> None:
    splitter = LineSplitter(10)
    assert splitter.feed(b"x" * 10 + b"\n") == [b"x" * 10]
    assert splitter.feed(chunk) == expected
    assert splitter.feed(b"\nnext\n") == [b"next"]


def test_a_line_over_the_limit_is_reported_once_and_not_kept() -> None:
    limit_bytes, chunk_bytes = 1_000_000, 65_536
    splitter = LineSplitter(limit_bytes)
    tracemalloc.start()
    try:
        lines = [line for _ in range(100) for line in splitter.feed(b"x" * chunk_bytes)]
        held_bytes, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert lines == [None]
    assert peak_bytes < limit_bytes + 4 * chunk_bytes
    assert held_bytes < chunk_bytes
    assert splitter.feed(b"\nnext\n") == [b"next"]

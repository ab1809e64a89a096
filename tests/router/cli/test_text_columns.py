"""Text of servers in columns: aligned by cells, in one line, and harmless to a terminal."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from router.cli.text_columns import columns_of, cut, safe_line, safe_text, wrapped


def test_columns_are_aligned_by_the_cells_of_a_terminal() -> None:
    lines = columns_of([("文件", "读取", "x"), ("files", "read", "y")])
    assert lines == ["文件   读取  x", "files  read  y"]
    assert {cell_len(line) for line in lines} == {14}


@pytest.mark.parametrize("width", [40, 80])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    rows = [("实例", f"工具{'名' * 12}", "说明" * 40), ("b", "t", "short")]
    lines = columns_of(rows, width)
    assert max(map(cell_len, lines)) <= width
    assert any(line.endswith("…") for line in lines)


def test_a_last_column_without_room_goes_below_its_row() -> None:
    rows = [("instance", "a_rather_long_name(of, arguments)", "What it does"), ("b", "t", "")]
    assert columns_of(rows, 46) == [
        "instance  a_rather_long_name(of, arguments)",
        "  What it does",
        "b         t",
    ]


def test_a_wrapped_column_keeps_all_its_words_beside_the_others() -> None:
    lines = columns_of([("key", "one two three 四四四四四四")], 16, is_wrapped=True)
    assert lines == ["key  one two", "     three", "     四四四四四", "     四"]


def test_nothing_is_cut_without_a_width() -> None:
    assert columns_of([("a", "b" * 300)]) == ["a  " + "b" * 300]
    assert columns_of([]) == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\nc", "a b c"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\u202ertl", "\\u202ertl"),
        (" plain ", "plain"),
    ],
)
def test_a_line_cannot_move_the_cursor(text: str, shown: str) -> None:
    assert safe_line(text) == shown


def test_a_text_keeps_its_lines_and_nothing_else_that_acts() -> None:
    assert safe_text("one\r\ntwo\x1b[2J\r\x07\tx") == "one\ntwo\\x1b[2J\\r\\x07\tx"


def test_what_is_cut_says_so() -> None:
    assert (cut("abcdef", 4), cut("abcd", 4), cut("文件文件", 5)) == ("abc…", "abcd", "文件…")
    assert wrapped("", 10) == [""]


def test_word_that_is_whole_does_not_look_cut() -> None:
    assert cut("file://a  text/plain", 10) == cut("file://a  text/plain", 11) == "file://a …"
    assert cut("文件", 3) == "文…"

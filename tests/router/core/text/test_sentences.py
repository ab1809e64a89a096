"""The texts of servers, shortened to one line."""

import pytest

from router.core.text.sentences import MAX_CHARS, cut_to_one_line, first_sentence


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", ""),
        (" \n", ""),
        ("Reads a file", "Reads a file"),
        ("Reads a file. It may be large.", "Reads a file."),
        ("Reads what? A file!", "Reads what?"),
        ("Reads a file, e.g. JSON, i.e. Text. Fast.", "Reads a file, e.g. JSON, i.e. Text."),
        ("Reads at most approx. five lines. Fast.", "Reads at most approx. five lines."),
        ("Needs v1.2 of x.y. `a` is optional", "Needs v1.2 of x.y."),
        ("Get weather for\n    a state\n\n    Args:\n", "Get weather for a state"),
        ("# Files\n\n## Use\nReads a file. Fast.", "Reads a file."),
        ("# Files\n\n", "Files"),
        ("C# is read.\n# Files\n", "C# is read."),
        ("读取文件。写入文件。", "读取文件。"),
    ],
)
def test_first_sentence(text: str, sentence: str) -> None:
    assert first_sentence(text) == sentence


def test_what_cannot_be_printed_becomes_space() -> None:
    assert cut_to_one_line(" a\tb\r\nc\x1b[31m\x00\u202e\u2028\ud800d ") == "a b c [31m d"
    assert first_sentence("a\x1b\x07b. C") == "a b."


@pytest.mark.parametrize("shorten", [first_sentence, cut_to_one_line])
def test_a_long_text_is_cut(shorten: object) -> None:
    assert callable(shorten)
    assert shorten("x" * MAX_CHARS) == "x" * MAX_CHARS
    assert shorten("x" * 10**7) == "x" * (MAX_CHARS - 1) + "…"

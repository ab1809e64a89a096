"""A long text in pages."""

from hypothesis import given
from hypothesis import strategies as st

from router.core.bounded.long_text import LongText


def pages_of(text: str, page_bytes: int) -> list[str]:
    long = LongText.of(text.encode(), page_bytes)
    return [long.page(number) for number in range(1, len(long.ends) + 1)]


def test_pages_end_with_a_line() -> None:
    assert pages_of("one\ntwo\nthree\n", 8) == ["one\ntwo\n", "three\n"]


def test_a_line_that_is_longer_than_a_page_is_taken_apart() -> None:
    assert pages_of("a\n12345678901\nb", 5) == ["a\n", "12345", "67890", "1\nb"]


def test_characters_stay_whole() -> None:
    assert pages_of("ééé", 5) == ["éé", "é"]
    assert pages_of("𝄞𝄞", 7) == ["𝄞", "𝄞"]


def test_a_short_text_is_one_page() -> None:
    assert pages_of("short", 5) == ["short"]
    assert pages_of("", 5) == [""]


@given(st.text(alphabet="a\né𝄞"), st.integers(4, 20))
def test_all_pages_are_the_text_and_none_is_too_long(text: str, page_bytes: int) -> None:
    pages = pages_of(text, page_bytes)
    assert "".join(pages) == text
    assert all(0 < len(page.encode()) <= page_bytes for page in pages) or text == ""


@given(st.text(alphabet="a\né𝄞", min_size=1), st.integers(4, 20))
def test_a_page_begins_where_the_one_before_it_ends(text: str, page_bytes: int) -> None:
    long = LongText.of(text.encode(), page_bytes)
    begins = [long.begin_of(number) for number in range(1, len(long.ends) + 1)]
    assert begins == [0, *long.ends[:-1]]

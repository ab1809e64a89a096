"""A long text in pages, each of which ends with a line where that is possible."""

from __future__ import annotations

from msgspec import Struct


class LongText(Struct, frozen=True, eq=False):
    """A text and the ends of its pages.

    Attributes:
        data: the text in UTF-8.
        ends: the offset in `data` at which each page ends; the last one is that of the text.
    """

    data: bytes
    ends: tuple[int, ...]

    @classmethod
    def of(cls, data: bytes, page_bytes: int) -> LongText:
        """Return a text with its pages.

        Args:
            data: UTF-8.
            page_bytes: the most bytes of one page, at least those of one character.
        """
        ends = [_end_of_page(data, 0, page_bytes)]
        while ends[-1] < len(data):
            ends.append(_end_of_page(data, ends[-1], page_bytes))
        return cls(data, tuple(ends))

    def begin_of(self, page: int) -> int:
        """Return the offset at which a page begins; the first page has the number 1."""
        return 0 if page == 1 else self.ends[page - 2]

    def page(self, page: int) -> str:
        """Return a page; the first one has the number 1."""
        return self.data[self.begin_of(page) : self.ends[page - 1]].decode()


def _end_of_page(data: bytes, begin: int, page_bytes: int) -> int:
    """Return the end of the last line that fits into a page; of a longer line, a part."""
    end = begin + page_bytes
    if end >= len(data):
        return len(data)
    last_newline = data.rfind(b"\n", begin, end)
    if last_newline >= 0:
        return last_newline + 1
    while data[end] & 0xC0 == 0x80:  # Inside a character (RFC 3629 section 3).
        end -= 1
    return end

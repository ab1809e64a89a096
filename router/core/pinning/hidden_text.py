"""Finds characters in a tool that a model reads and a person does not see. Pure.

Text of people holds some of them for good reasons: joiners in Persian, Indic scripts and emoji,
variation selectors after symbols, tags in the flags of England, Scotland and Wales, direction marks
in Hebrew and Arabic. Those are not found here.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_FLAGS: Final = 5
"""Flags of one tool that are told."""

MAX_SHOWN: Final = 60
"""Characters of hidden text that are shown."""

_TAGS: Final = re.compile("[\U000e0000-\U000e007f]+")
_EMOJI_FLAG: Final = re.compile("\U0001f3f4[\U000e0030-\U000e007a]{1,30}\U000e007f")
"""Unicode Technical Standard 51, emoji tag sequences."""

_DIRECTIONS: Final = re.compile("[\u202a-\u202e\u2066-\u2069]")
_DIRECTION_MARKS: Final = re.compile("[\u200e\u200f\u061c]")
_RIGHT_TO_LEFT: Final = frozenset({"R", "AL"})
_SELECTORS: Final = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_JOINERS: Final = re.compile("[\u200c\u200d]")
_INVISIBLE: Final = re.compile(
    # Zero width, soft hyphens, invisible operators, byte order marks, annotations, blank letters.
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb"
    # Controls, but for tab and line ends.
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]"
)


def hidden_text(raw: bytes) -> tuple[str, ...]:
    """Return a sentence for each text of a tool, or key in it, that hides characters.

    Args:
        raw: the tool, as JSON.
    """
    if raw.isascii() and b"\\u" not in raw:
        return ()  # Most tools, and this is fast.
    try:
        value: Any = json.loads(raw)
    except (ValueError, RecursionError):
        return ("it cannot be read as JSON",)
    found: list[str] = []
    for place, text in _texts(value, ""):
        if not text.isascii() or not text.isprintable():
            found.extend(f"{place or 'it'} {what}" for what in _hidden_in(text))
        if len(found) >= MAX_FLAGS:
            break
    return tuple(found[:MAX_FLAGS])


def _texts(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Yield each string in a JSON value with its path, keys included."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for key, part in cast("dict[str, Any]", value).items():
            shown = key if key.isprintable() else ascii(key)[1:-1]
            yield f"a key in {place or 'it'}", key
            yield from _texts(part, f"{place}.{shown}" if place else shown)
    elif isinstance(value, list):
        for index, part in enumerate(cast("list[Any]", value)):
            yield from _texts(part, f"{place}[{index}]")


def _hidden_in(text: str) -> Iterator[str]:
    plain = _EMOJI_FLAG.sub("", text)
    tags = "".join(_TAGS.findall(plain))
    if tags:
        said = "".join(chr(ord(tag) - 0xE0000) for tag in tags)
        shown = "".join(char if char.isprintable() else " " for char in said[:MAX_SHOWN])
        yield f"has {len(tags)} invisible tag characters, which read '{shown}'"
    if _DIRECTIONS.search(plain):
        yield "has characters that change the direction of text (bidirectional controls)"
    elif _DIRECTION_MARKS.search(plain) and not _is_right_to_left(plain):
        yield "has direction marks in text from left to right"
    if any(_is_odd_selector(plain, match.start()) for match in _SELECTORS.finditer(plain)):
        yield "has variation selectors where nothing varies"
    invisible = [match.start() for match in _INVISIBLE.finditer(plain)]
    invisible += [m.start() for m in _JOINERS.finditer(plain) if _is_odd_joiner(plain, m.start())]
    if invisible:
        codes = sorted({f"U+{ord(plain[at]):04X}" for at in invisible})
        yield f"has invisible characters ({', '.join(codes[:MAX_FLAGS])})"


def _is_right_to_left(text: str) -> bool:
    letters = filter(str.isprintable, text)  # the marks themselves count as right to left
    return any(unicodedata.bidirectional(char) in _RIGHT_TO_LEFT for char in letters)


def _is_odd_selector(text: str, at: int) -> bool:
    """Return whether a variation selector stands behind no symbol, keycap or ideograph."""
    if at == 0:
        return True
    before = text[at - 1]
    if before in "0123456789#*":
        return text[at : at + 2] != "\ufe0f\u20e3"
    category = unicodedata.category(before)
    return category[0] in "LNMCZ" and not (category == "Lo" and ord(before) > 0x1000)


def _is_odd_joiner(text: str, at: int) -> bool:
    """Return whether a joiner stands between characters that nothing joins."""
    around = text[max(0, at - 1) : at] + text[at + 1 : at + 2]
    return len(around) < 2 or any(char.isascii() for char in around)

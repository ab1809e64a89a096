"""Estimates how many tokens a text costs a language model.

No tokenizer is at hand that all models share, and each of them is megabytes. Characters counted by
class come within a tenth of what o200k (GPT) makes of the lists of real servers.

Invariants: pure; the estimate of a text takes some microseconds for each kilobyte.
"""

from __future__ import annotations

import re
from typing import Final

_WORDS: Final = re.compile(r"[A-Za-z]+")
_LONG_WORDS: Final = re.compile(r"[A-Za-z]{8,}")
_NUMBERS: Final = re.compile(r"[0-9]+")
_EAST_ASIAN: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_OTHER_LETTERS: Final = re.compile(r"[^\W\d_a-zA-Z\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_MARKS: Final = re.compile(r"[^\w\s]+")
_SPACES: Final = re.compile(r"\s{2,}|[\n\t]")

_SHORT_LETTERS: Final = 7
"""Letters of a word that is one token, as a rule."""

_LETTERS_A_TOKEN: Final = 9.0
"""Of the rest of a longer word."""

_DIGITS_A_TOKEN: Final = 3
_TOKENS_AN_EAST_ASIAN_CHARACTER: Final = 0.8
_OTHER_LETTERS_A_TOKEN: Final = 2.5
_TOKENS_A_RUN_OF_MARKS: Final = 0.75
_MARKS_A_TOKEN: Final = 2.9
_TOKENS_AN_UNDERSCORE: Final = 0.9


def estimate_tokens(text: str) -> int:
    """Return an estimate of the tokens of a text, such as a tool as JSON."""
    words = len(_WORDS.findall(text))
    long_words = _LONG_WORDS.findall(text)
    beyond = len("".join(long_words)) - _SHORT_LETTERS * len(long_words)
    digits = sum(-(-len(number) // _DIGITS_A_TOKEN) for number in _NUMBERS.findall(text))
    marks = sum(
        max(_TOKENS_A_RUN_OF_MARKS, len(run) / _MARKS_A_TOKEN) for run in _MARKS.findall(text)
    )
    rest = 0.0
    if not text.isascii():
        rest += len(_EAST_ASIAN.findall(text)) * _TOKENS_AN_EAST_ASIAN_CHARACTER
        rest += len(_OTHER_LETTERS.findall(text)) / _OTHER_LETTERS_A_TOKEN
    rest += text.count("_") * _TOKENS_AN_UNDERSCORE + len(_SPACES.findall(text))
    return round(words + beyond / _LETTERS_A_TOKEN + digits + marks + rest)

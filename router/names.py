"""What instances, providers and tokens may be called.

Neighbours: `entries`, `settings` and whatever else takes a name from outside; nothing of ours
below. A name ends up in paths, log lines and answers, so it is matched in full (security: path
traversal through names).
"""

from __future__ import annotations

import re
from typing import Final

# Han with its extensions, Hiragana, Katakana, Bopomofo, Hangul, and the Han iteration marks.
_CJK: Final = (
    r"\u3005-\u3007\u3041-\u3096\u30a1-\u30fa\u30fc\u3105-\u312f\u31a0-\u31bf\u31f0-\u31ff"
    r"\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U000323af"
)
_NAME: Final = re.compile(rf"[a-zA-Z0-9_{_CJK}][a-zA-Z0-9_\-{_CJK}]{{0,99}}")
_PROVIDER: Final = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_-]{0,99}")

NAME_RULE: Final = (
    "expected letters, digits, _, - and CJK letters, at most 100, not beginning with -"
)
PROVIDER_RULE: Final = "expected letters, digits, _ and -, at most 100, not beginning with -"


def is_name(text: object) -> bool:
    """May an instance be called this?"""
    return isinstance(text, str) and _NAME.fullmatch(text) is not None


def is_provider(text: object) -> bool:
    """May a provider, which is a folder, be called this?"""
    return isinstance(text, str) and _PROVIDER.fullmatch(text) is not None

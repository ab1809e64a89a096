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

# They end up as folders, and those move between systems.
_DEVICE: Final = re.compile(r"con|nul|prn|aux|com[0-9]|lpt[0-9]", re.IGNORECASE)

_NO_DEVICE: Final = "at most 100, not beginning with -, and no device of Windows such as con"
INSTANCE_FILE_NAME: Final = "mcp_settings.json"
"""The file in each provider's folder that holds its instances."""

NAME_RULE: Final = f"expected letters, digits, _, - and CJK letters, {_NO_DEVICE}"
PROVIDER_RULE: Final = f"expected letters, digits, _ and -, {_NO_DEVICE}"


def is_name(text: object) -> bool:
    """May an instance be called this?"""
    return _fits(text, _NAME)


def is_provider(text: object) -> bool:
    """May a provider, which is a folder, be called this?"""
    return _fits(text, _PROVIDER)


def _fits(text: object, pattern: re.Pattern[str]) -> bool:
    if not isinstance(text, str) or pattern.fullmatch(text) is None:
        return False
    return _DEVICE.fullmatch(text) is None

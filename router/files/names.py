"""Defines the names that instances, providers and tokens may have, and those of files of ours.

A name ends up in paths, log lines and answers, so it is matched in full. Otherwise `..` could lead
out of a folder, and a line break could forge a line.
"""

from __future__ import annotations

import re
from typing import Final

INSTANCE_FILE_NAME: Final = "mcp_settings.json"
"""The file in each provider's folder that holds its instances."""

SECRETS_FILE_NAME: Final = "secrets.json"

PINS_FILE_NAME: Final = "pins.json"
"""The file of secrets, beside `config.json`."""

# Han with its extensions, Hiragana, Katakana, Bopomofo, Hangul, and the Han iteration marks.
_CJK: Final = (
    r"\u3005-\u3007\u3041-\u3096\u30a1-\u30fa\u30fc\u3105-\u312f\u31a0-\u31bf\u31f0-\u31ff"
    r"\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U000323af"
)
# For start-up time these are compiled when they are first needed: CJK takes 4 ms. `re` keeps them.
_NAME: Final = rf"[a-zA-Z0-9_{_CJK}][a-zA-Z0-9_\-{_CJK}]{{0,99}}"
_PROVIDER: Final = r"[a-zA-Z0-9_][a-zA-Z0-9_-]{0,99}"

# Windows has no folders of these names, and data moves between systems.
_WINDOWS_DEVICE: Final = r"(?i:con|nul|prn|aux|com[0-9]|lpt[0-9])"

_LIMITS: Final = "at most 100, not beginning with -, and no device of Windows such as con"
NAME_RULE: Final = f"expected letters, digits, _, - and CJK letters, {_LIMITS}"
PROVIDER_RULE: Final = f"expected letters, digits, _ and -, {_LIMITS}"


def is_name(text: object) -> bool:
    """Return whether an instance or a token may have this name; `NAME_RULE` says it in words."""
    return _matches(text, _NAME)


def is_provider(text: object) -> bool:
    """Return whether a provider, which is a folder, may have this name; see `PROVIDER_RULE`."""
    return _matches(text, _PROVIDER)


def _matches(text: object, pattern: str) -> bool:
    if not isinstance(text, str) or re.fullmatch(pattern, text) is None:
        return False
    return re.fullmatch(_WINDOWS_DEVICE, text) is None

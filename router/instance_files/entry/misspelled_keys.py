"""Finds keys of an entry that are probably misspelled, such as `idle_stop` for `idle_stop_s`.

Unknown keys are allowed, because the files of clients have many. A key that is like one of ours is
shown as a warning, so that nobody believes in a setting that is not read.

Invariant: pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.core.text.nearest_names import likely_meant
from router.files.json_files import quote_key

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

_OTHER_WORDS: Final = {"enabled": "isActive"}
"""Keys of other programs that say what a key of ours says, and are not read here."""


_NEVER_MEANT: Final = ("oauth", "envFile", "alwaysAllow", "autoApprove")
"""Known keys that no other key is taken for: clients have keys of their own, such as `auth`."""


def misspelled_keys(
    keys: Collection[str], known: Collection[str], place: Callable[[str], str]
) -> tuple[str, ...]:
    """Return a warning for each unknown key that is like a known one.

    Args:
        keys: of the entry. One that differs from a known key only in case gets no warning, because
            it is a problem already.
        known: the keys that are known.
        place: returns a key of the entry as messages name it.
    """
    spellings = {key.lower() for key in known}
    candidates = [key for key in known if key not in _NEVER_MEANT]
    warnings: list[str] = []
    for key in keys:
        if key.lower() in spellings:
            continue
        meant = _OTHER_WORDS.get(key.lower()) or likely_meant(key, candidates)
        if meant is not None and meant not in keys:
            problem = f'unknown key, which does nothing; did you mean "{meant}"?'
            warnings.append(f"{place(quote_key(key))}: {problem}")
    return tuple(warnings)

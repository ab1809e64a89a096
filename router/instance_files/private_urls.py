"""Keeps an instance whose URL came through the API from reaching private addresses.

Whoever may only use the API would otherwise have the router ask servers that only the router
reaches, such as the metadata of a cloud (SSRF). Pure.

Invariant: after a change through the API an entry with another URL than before, or with another
`oauth.issuer`, says `"allow_private"`: what the change says, or false. What the file said was meant
for the URL that it had.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from router.instance_files.entry.entries import URL_KEYS

if TYPE_CHECKING:
    from collections.abc import Mapping

ALLOW_PRIVATE: Final = "allow_private"


def becomes_guarded(
    old: Mapping[str, Any], new: Mapping[str, Any], fields: Mapping[str, Any]
) -> bool:
    """Return whether `"allow_private": false` is to be written into an entry.

    Args:
        old: the entry as it is in the file; empty for a new one.
        new: the entry as it is to be.
        fields: the keys of the change.
    """
    url, issuer = _urls_of(new)
    is_new = (url, issuer) != _urls_of(old)
    return url is not None and is_new and fields.get(ALLOW_PRIVATE) is None


def _urls_of(entry: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return the URL of a server, and that of its authorization server; None for none."""
    url = next((entry[key] for key in URL_KEYS if entry.get(key) is not None), None)
    oauth = entry.get("oauth")
    issuer = cast("dict[str, Any]", oauth).get("issuer") if isinstance(oauth, dict) else None
    return url, issuer

"""Follows the links in paths, and says whether a confined process could change one of them.

What a process has put into a folder that it may write to must not decide on its rights when it is
started again. Looks at the file system.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable

_LINKS_LIMIT: Final = 40
"""As the system has it (path_resolution(7))."""


class ResolvedPath(Struct, frozen=True):
    """A path without links.

    Attributes:
        path: the path, absolute.
        links: the links on the way, each without links before its own name.
    """

    path: str
    links: tuple[str, ...]

    def can_be_changed(self, folders: Iterable[str]) -> bool:
        """Return whether it changes with what is in one of these folders, given without links."""
        starts = _starts(folders)
        return any(link.startswith(starts) for link in self.links)

    def is_within(self, folders: Iterable[str]) -> bool:
        """Return whether it is one of these folders or files, or in one of them."""
        return f"{self.path}/".startswith(_starts(folders))


def _starts(folders: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{folder.rstrip('/')}/" for folder in folders)


def resolve(path: str) -> ResolvedPath:
    """Follow all links of an absolute path. What is not there is no link."""
    rest = path.split("/")[::-1]
    links: list[str] = []
    at = ""
    while rest:
        part = rest.pop()
        if part == "..":
            at = os.path.dirname(at).rstrip("/")
        elif part not in ("", "."):
            at = f"{at}/{part}"
            target = _target(at) if len(links) < _LINKS_LIMIT else None
            if target is not None:
                links.append(at)
                rest += target.split("/")[::-1]
                at = "" if target.startswith("/") else os.path.dirname(at).rstrip("/")
    return ResolvedPath(at or "/", tuple(links))


def _target(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None

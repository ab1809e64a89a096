"""Finds other distributions in this environment that have packages of the router's names."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

OWN_PACKAGES: Final = ("router", "supervisors", "transports")


def find_foreign(path: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return a sentence for each such package.

    Args:
        path: the folders in which distributions are looked for; `sys.path` if not given.
    """
    return tuple(dict.fromkeys(_find(path)))


def _find(path: Sequence[str] | None) -> Iterator[str]:
    found = metadata.distributions() if path is None else metadata.distributions(path=list(path))
    for distribution in found:
        name = distribution.metadata["Name"]
        if name == "mcp-router":
            continue
        tops = {file.parts[0] for file in distribution.files or () if len(file.parts) > 1}
        for package in OWN_PACKAGES:
            if package in tops:
                yield (
                    f'the distribution {name} {distribution.version} has the package "{package}" '
                    "as well"
                )

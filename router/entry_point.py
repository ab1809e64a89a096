"""Starts the program `mcp-router`, once its packages are known to be its own.

The names `router`, `supervisors` and `transports` are common: another distribution in the same
environment, or a folder on `PYTHONPATH`, may stand in the place of one of them. Then the start
ends with a line that says so. In an installation this file is the module `mcp_router_entry_point`,
beside our packages: in a package of ours it would not run where that package is another's.

Invariants: nothing of ours is imported before the check; the check reads no metadata of packages
unless something is wrong, so it takes a fraction of a millisecond.
"""

from __future__ import annotations

import gc
import os
import sys
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec

OWN_FILES: Final = {
    "router": ("cli", "main.py"),
    "supervisors": ("supervisor.py",),
    "transports": ("listen", "serving", "asgi.py"),
}
"""Our packages, each with a file that another package of that name does not have."""

_OWN_ENVIRONMENT: Final = (
    "give mcp-router an environment of its own, such as by uv tool install or pipx install"
)
_NOT_IN_THE_WAY: Final = "start in another folder, or without it in PYTHONPATH"


def main() -> int:
    """Run the program with the arguments of the process; return its exit status."""
    # Starting makes no garbage worth looking for; `router.app.run` turns the collector on again.
    gc.disable()
    problem = find_foreign_package()
    if problem is None:
        from router.cli import main as program

        return program.main()
    # Python has None for a stream it was started without, although typeshed does not say so.
    if sys.stderr is not None:
        sys.stderr.write(f"mcp-router: {problem}\n")
    return 1


def find_foreign_package(path: Sequence[str] | None = None) -> str | None:
    """Return the problem with the first of our packages that is another's; None if all are ours.

    Args:
        path: the folders in which packages are looked for; `sys.path` if not given.
    """
    for name, own_file in OWN_FILES.items():
        spec = PathFinder.find_spec(name, path)
        # A package that only another finder knows was put there on purpose.
        if spec is not None and not _is_ours(spec, own_file):
            return _describe(name, spec)
    return None


def _is_ours(spec: ModuleSpec, own_file: tuple[str, ...]) -> bool:
    if spec.origin is None:
        return False  # a folder without `__init__.py`
    try:
        size = os.stat(spec.origin).st_size
    except OSError:
        return True  # inside an archive, which is made as a whole
    # All ours are empty. When two distributions have a package of one name, the files of both are
    # in its folder, and its `__init__.py` is that of the one that was installed later.
    return size == 0 and os.path.exists(os.path.join(os.path.dirname(spec.origin), *own_file))


def _describe(name: str, spec: ModuleSpec) -> str:
    places = [spec.origin or "", *(spec.submodule_search_locations or ())]
    place = next(one for one in reversed(places) if one)
    shown = place if place.isprintable() else repr(place)
    owner = _distribution_with(name, os.path.dirname(place))
    if owner is None:
        whose, way_out = "is not that of mcp-router, and comes first", _NOT_IN_THE_WAY
    else:
        whose, way_out = f"belongs to {owner}", _OWN_ENVIRONMENT
    return f'the package "{name}" in {shown} {whose}; {way_out}'


def _distribution_with(package: str, folder: str) -> str | None:
    """Return name and version of the other distribution whose package lies in this folder."""
    # For start-up time: only an error needs this.
    from importlib import metadata

    for found in metadata.distributions(path=[folder]):
        name = found.metadata["Name"]
        tops = {file.parts[0].removesuffix(".py") for file in found.files or ()}
        if package in tops and name != "mcp-router":
            return f"the distribution {name} {found.version}"
    return None

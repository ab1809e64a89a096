"""Tells whether this installation can run code, and which profiles want that.

Invariant: nothing is imported to find out, and nothing is looked for unless a profile wants it.
"""

from __future__ import annotations

import importlib.util
import shlex
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from router.messages.instances.exposure import Profile

PACKAGE: Final = "pydantic_monty"

EXTRA: Final = "mcp-router[code]"


def how_to_install() -> str:
    """Return what adds the extra to this installation; an index may have an older MCP Router."""
    command = "uv tool install --reinstall '.[code]', in a checkout of mcp-router"
    if importlib.util.find_spec("pip") is not None:
        # The router that is here already is new enough, so pip leaves it and adds the extra.
        command = shlex.join([sys.executable, "-m", "pip", "install", EXTRA])
    return f"{command}, and restart the router"


def can_run_code(profiles: Mapping[str, Profile]) -> bool:
    """Return whether a profile wants code to be run, and this installation can do it."""
    return any(_wanted_by(profiles)) and _is_installed()


def find_missing_extra(profiles: Mapping[str, Profile]) -> list[str]:
    """Return the names of the profiles that want code to be run where that cannot be done."""
    wanted_by = list(_wanted_by(profiles))
    return wanted_by if wanted_by and not _is_installed() else []


PROBLEM: Final = f'"expose": "code" needs {EXTRA}; until then its clients search, and run no code'
"""About a profile."""


def _wanted_by(profiles: Mapping[str, Profile]) -> Iterator[str]:
    return (name for name, profile in profiles.items() if profile.expose == "code")


def _is_installed() -> bool:
    return importlib.util.find_spec(PACKAGE) is not None

"""Makes a name that an instance may have of the name that a server has in a client. Pure."""

from __future__ import annotations

from typing import Final

from router.files.names import is_name

NAME_LIMIT: Final = 100

_NAMELESS: Final = "server"


def fitting_name(written: str) -> str:
    """Return the name itself if an instance may have it, else the nearest one that it may have.

    "Brave Search" becomes `Brave-Search`, and `@scope/server` becomes `scope-server`.
    """
    if is_name(written):
        return written
    usable = (char if char == "-" or is_name(char) else "-" for char in written)
    parts = "".join(usable).split("-")
    name = "-".join(part for part in parts if part)[:NAME_LIMIT].rstrip("-")
    if is_name(name):
        return name
    # Nothing usable is left, or it is the name of a device of Windows.
    return f"{name}-{_NAMELESS}" if name else _NAMELESS

"""Opens a page in the browser of the person who runs a command, where there is one."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from router.cli.terminal import is_for_a_person

if TYPE_CHECKING:
    from collections.abc import Mapping

_DISPLAYS: Final = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
"""Any of them means a browser; editors with a remote terminal, and WSL, set `BROWSER` alone."""

_REMOTE: Final = ("SSH_CONNECTION", "SSH_TTY")


def has_browser(environ: Mapping[str, str], platform: str) -> bool:
    """Return whether a page that is opened here would be seen by who runs the command.

    Args:
        environ: of this process.
        platform: as `sys.platform` has it.
    """
    if not is_for_a_person(sys.stdout) and not is_for_a_person(sys.stderr):
        return False
    if platform in ("win32", "darwin"):
        return not any(environ.get(name) for name in _REMOTE)
    return any(environ.get(name) for name in _DISPLAYS)


def is_web_page(url: str) -> bool:
    """Return whether a URL is that of a web page, and nothing that a system opens otherwise."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    is_plain = url.isascii() and url.isprintable() and " " not in url
    return is_plain and parts.scheme in ("https", "http") and bool(parts.hostname)


def open_page(url: str) -> bool:
    """Open a web page in the browser; return False if there is none that can be opened.

    What the browser's own launcher writes goes nowhere.
    """
    if not is_web_page(url):
        return False
    # For start-up time: only a login opens a browser.
    import webbrowser

    try:
        return webbrowser.open(url)
    except (webbrowser.Error, OSError):
        return False


def own_browser() -> bool:
    """Return whether this process has a browser; see `has_browser`."""
    return has_browser(os.environ, sys.platform)

"""Names, reads and writes the two cookies of a browser. Pure.

Both are `HttpOnly`, for every path, and hold one random word. Over TLS their names begin with
`__Host-`, so that no other host and no plain page can set them (RFC 6265bis section 4.1.3.2).

Invariant: a cookie that was sent twice counts as none. Over plain HTTP another server of this host
can add one, and nobody could say which of the two is ours.
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

SESSION: Final = "mcp_router_session"
"""Holds the session of a browser that has logged in."""

LOGIN: Final = "mcp_router_sign_in"
"""Binds a login that has begun to the browser that began it."""

_WORD_BYTES: Final = 32
_WORD: Final = re.compile(r"[A-Za-z0-9_-]{43}")


def new_word() -> str:
    """Return 256 random bits, in 43 characters."""
    return secrets.token_urlsafe(_WORD_BYTES)


def read_cookie(headers: Mapping[str, str], name: str, *, is_secure: bool) -> str:
    """Return the word in a cookie; empty if there is none, or more than one."""
    wanted = _full_name(name, is_secure=is_secure)
    pairs = (part.strip().partition("=") for part in headers.get("cookie", "").split(";"))
    found = [value for key, _, value in pairs if key == wanted]
    return found[0] if len(found) == 1 and _WORD.fullmatch(found[0]) else ""


def write_cookie(
    name: str, word: str, *, same_site: Literal["Strict", "Lax"], max_age_s: int, is_secure: bool
) -> tuple[bytes, bytes]:
    """Return the header that sets a cookie; an empty word and no time delete it."""
    parts = [
        f"{_full_name(name, is_secure=is_secure)}={word}",
        f"Max-Age={max_age_s}",
        "Path=/",
        "HttpOnly",
        f"SameSite={same_site}",
    ]
    if is_secure:
        parts.append("Secure")
    return (b"set-cookie", "; ".join(parts).encode("ascii"))


def _full_name(name: str, *, is_secure: bool) -> str:
    return f"__Host-{name}" if is_secure else name

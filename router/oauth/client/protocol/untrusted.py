"""Checks what comes from servers that nobody vouches for: texts, URLs and documents.

Invariants: pure. A text is one line and short; a URL that passes is one for HTTPS, or for HTTP on
this machine.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import SplitResult, urlsplit

import msgspec

from router.logs.record_text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable

_TEXT_LIMIT: Final = 200
"""Characters of a foreign text that a message quotes."""

URL_LIMIT: Final = 4096

TOKEN_LIMIT: Final = 16 * 1024
"""Characters of a token, a code or a secret: more fits into no header of a request."""

_DEFAULT_PORTS: Final = {"https": 443, "http": 80}


def clean(text: object, limit: int = _TEXT_LIMIT) -> str:
    """Return a text as one short line without control characters; "" for what is no text."""
    if not isinstance(text, str):
        return ""
    line = one_line(text[: limit + 1].strip())
    return line if len(line) <= limit else f"{line[:limit]}…"


def is_printable_ascii(text: object) -> bool:
    """Return whether this can be a token, a code or a secret (RFC 6749 appendix A: 1*VSCHAR)."""
    return (
        isinstance(text, str)
        and 0 < len(text) <= TOKEN_LIMIT
        and text.isascii()
        and text.isprintable()
    )


def decode_object(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object in a body; None if there is none."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def texts(value: object) -> tuple[str, ...] | None:
    """Return the strings of an array; None for what is no array of strings."""
    if not isinstance(value, list):
        return None
    found = cast("list[Any]", value)
    return tuple(found) if all(isinstance(text, str) for text in found) else None


def merge(first: Iterable[str], second: Iterable[str]) -> tuple[str, ...]:
    """Return both without repetitions, in their order."""
    return tuple(dict.fromkeys((*first, *second)))


# --- URLs ------------------------------------------------------------------------------------


def is_safe_url(text: object) -> bool:
    """Return whether tokens may go to this URL, or a browser may open it.

    It has https, or http and the address of this machine; a host, no user name and no fragment
    (RFC 6749 section 3.1; draft-ietf-oauth-v2-1 section 1.5).
    """
    if not isinstance(text, str) or len(text) > URL_LIMIT or not text.isascii():
        return False
    parts = _split(text)
    if parts is None or not text.isprintable() or " " in text or "\\" in text:
        return False
    if not parts.hostname or "@" in parts.netloc or "#" in text:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_this_machine(parts.hostname))


def is_this_machine(host: str) -> bool:
    """Return whether this is the name or the address of the loopback interface."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_of(url: str) -> str:
    """Return the host of a URL in lower case; "localhost" for each name of this machine."""
    parts = _split(url)
    host = (parts.hostname or "") if parts else ""
    return "localhost" if is_this_machine(host) else host


def canonical(url: str, *, with_query: bool = False) -> str:
    """Return a URL in the form in which resources are compared (RFC 8707 section 2).

    Scheme and host are in lower case; user name, fragment and the slash at the end are left out.
    A query is left out as well, since it may hold a key: the authorization server need not see it.
    """
    parts = _split(url)
    if parts is None or not parts.hostname:
        return url
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = parts.port
    place = host if port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f"{host}:{port}"
    query = f"?{parts.query}" if with_query and parts.query else ""
    return f"{parts.scheme}://{place}{parts.path.rstrip('/')}{query}"


def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL, such as `https://mcp.example.com`."""
    parts = _split(canonical(url))
    return f"{parts.scheme}://{parts.netloc}" if parts else ""


def _split(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return None
    return parts

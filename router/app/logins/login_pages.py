"""Writes the pages that a browser sees during a login. Pure.

Invariants: no script; everything that did not come from here is escaped; a page loads nothing.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from transports.listen.serving.exchange import Headers

_STYLE: Final = (
    "body{font:1rem/1.5 system-ui,sans-serif;margin:12vh auto;max-width:34rem;padding:0 1rem;"
    "color:#1f2328;background:#fff}h1{font-size:1.25rem}"
    "button{font:inherit;padding:.5rem 1.25rem;cursor:pointer}"
    "@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}}"
)
_STYLE_HASH: Final = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

PAGE_HEADERS: Final[Headers] = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"x-content-type-options", b"nosniff"),
    (
        b"content-security-policy",
        b"default-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
        b"style-src 'sha256-" + _STYLE_HASH.encode() + b"'",
    ),
)
"""Headers of each page. The policy has no `form-action`: browsers apply it to redirects, too."""


def done_page(instance: str) -> bytes:
    """Return the page at the end of a login."""
    return _page(f"Logged in to {instance}", "<p>You can close this page.</p>")


def failed_page(reason: str) -> bytes:
    """Return the page for a login that came to nothing."""
    return _page("The login has failed", f"<p>{escape(reason)}</p><p>You can close this page.</p>")


def confirm_page(instance: str, person: str) -> bytes:
    """Return the page that asks whether a person wants to log in."""
    name, who = escape(instance), escape(person)
    text = f"""\
<p>After this, calls of <b>{who}</b> to <b>{name}</b> use the account with which you log in on the
next page.</p>
<p>Go on only if you are {who}, and have asked for this yourself. Who sent you this link could
otherwise use your account.</p>
<form method="post"><button>Log in to {name}</button></form>"""
    return _page(f"Log in to {instance} for {person}?", text)


def _page(title: str, content: str) -> bytes:
    return f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{escape(title)}</h1>
{content}
</body>
</html>
""".encode("utf-8", "replace")

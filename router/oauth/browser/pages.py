"""The pages of a login, in HTML. Pure.

Invariant: they have no script and load nothing, and every text in them is escaped.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from transports.listen.serving.exchange import NOSNIFF, Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transports.listen.serving.exchange import Headers

HTML_TYPE: Final = (b"content-type", b"text/html; charset=utf-8")

_PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{head}<title>MCP Router: {title}</title>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


def moved_on(path: str, headers: Headers) -> Answer:
    """Return the page that moves on to a path of this site by itself.

    The browser came from the issuer's site, so a redirect would still count as that site's, and a
    cookie with `SameSite=Strict` would not be sent to its target. The page's own step is this
    site's (RFC 6265bis section 5.2).
    """
    target = escape(path)
    head = f'<meta http-equiv="refresh" content="0; url={target}">\n'
    return _page(200, "Logged in", f'<p><a href="{target}">Go on</a></p>', headers, head)


def refused(status: int, sentence: str, login: str) -> Answer:
    """Return the page for a login that does not go on; `login` is the path to begin another."""
    body = f'<p>{escape(sentence)}.</p>\n<p><a href="{escape(login)}">Log in</a></p>'
    return _page(status, "Not logged in", body)


def choice(links: Mapping[str, str]) -> Answer:
    """Return the page on which a person chooses an issuer: name -> path."""
    items = "\n".join(
        f'<li><a href="{escape(path)}">{escape(name)}</a></li>' for name, path in links.items()
    )
    return _page(200, "Log in", f"<ul>\n{items}\n</ul>")


def _page(status: int, title: str, body: str, headers: Headers = (), head: str = "") -> Answer:
    text = _PAGE.format(title=title, body=body, head=head)
    return Answer(status, (HTML_TYPE, NOSNIFF, *headers), text.encode())

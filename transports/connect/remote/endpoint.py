"""The URL of a remote upstream, and what is said about it.

Job: sentences for the user about an upstream that refuses or fails. Neighbours: every module of
`connect` that speaks HTTP; `transports.wire` beside it. Pure.

Invariants: a sentence shows scheme, host, port and path of the URL, never its user info, query or
fragment, no long part of its path (many services put a key there), and no header: those may be
secret.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

import attrs

from transports.connect.wire import WireLost

Kind: TypeAlias = Literal["http", "sse"]
"""A transport of MCP over HTTP: streamable HTTP, or HTTP+SSE."""

SAID_CHARS: Final = 300
"""How much of an upstream's own words goes into a sentence of ours."""

_HINTS: Final = {
    401: "; set headers.Authorization for this instance",
    403: "; may the headers of this instance use it?",
    404: "; is the URL right?",
    407: "; the proxy on the way wants credentials",
}
_KEY_IN_PATH: Final = re.compile(r"(?<=/)[^/]{16,}")
_SESSION_WORDS: Final = ("session", "not initialized")


@attrs.frozen
class Endpoint:
    """Where an upstream is.

    Attributes:
        url: all of it.
        shown: the part that may be shown to people.
    """

    url: str = attrs.field(repr=False)
    shown: str

    @classmethod
    def from_url(cls, url: str) -> Endpoint:
        """Read `url`.

        Raises:
            WireLost: it is no absolute http or https URL.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise WireLost("the url of this instance is no URL") from None
        if parts.scheme not in ("http", "https") or not host:
            raise WireLost(
                "the url of this instance must begin with http:// or https:// and a host"
            )
        name = f"[{host}]" if ":" in host else host
        where = name if port is None else f"{name}:{port}"
        path = _KEY_IN_PATH.sub("***", parts.path)
        return cls(url, f"{parts.scheme}://{where}{path}")

    def answered(self, status: int, said: str = "") -> str:
        """An HTTP status that is no success; `said` is the upstream's own explanation."""
        sentence = f"{self.shown} answered {status} {phrase(status)}".rstrip()
        quoted = f": {_one_line(said)}" if said else ""
        return f"{sentence}{quoted}{_HINTS.get(status, '')}"

    def answered_with(self, content_type: str) -> str:
        """A success that is no MCP message."""
        what = f"with {_one_line(content_type)}" if content_type else "without a Content-Type"
        return f"{self.shown} answered {what}, which is no MCP answer; is the URL right?"

    def unreachable(self, why: str) -> str:
        """No connection came about."""
        return f"cannot connect to {self.shown}: {why}"

    def session_gone(self, status: int) -> str:
        """The session that we had is no longer known there."""
        return f"{self.shown} lost the session (it answered {status} {phrase(status)})"

    def broke(self, why: str) -> str:
        """A connection that was there is gone."""
        return f"the connection to {self.shown} broke: {why}"


def phrase(status: int) -> str:
    """The reason phrase of RFC 9110, empty for a status it does not know."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def is_session_gone(status: int, said: str) -> bool:
    """Does this answer to a request with a session id mean that there is no such session?

    404 says so (MCP 2025-11-25, Transports, Session Management). Many servers answer 400 and
    explain it in words, as the examples they were made from do.
    """
    words = said.lower()
    return status == 404 or (status == 400 and any(word in words for word in _SESSION_WORDS))


def suggests_sse(status: int) -> bool:
    """May an upstream that refuses `initialize` so be one of HTTP+SSE?

    MCP 2025-11-25, Transports, Backwards Compatibility names 400, 404 and 405; servers of that
    time refuse a POST in other ways as well.
    """
    return 400 <= status < 500 and status not in (401, 403, 407, 429)


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    if len(line) <= SAID_CHARS:
        return line
    # Not within a word: half a secret would pass by whoever masks whole ones.
    return f"{re.sub(r'(?<= )[^ ]+$', '', line[:SAID_CHARS])}…"

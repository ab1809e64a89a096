"""The URL of a remote upstream, and the sentences for the user when it refuses or fails. Pure.

Invariants: a sentence shows scheme, host, port and path of the URL. It never shows a part that may
be secret: user info, query, fragment, a long part of the path (many services put a key there), or a
header.
"""

from __future__ import annotations

import re
from html import unescape
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast
from urllib.parse import urlsplit

import attrs
import msgspec

from transports.connect.wire import WireLost

if TYPE_CHECKING:
    from collections.abc import Iterator

Kind: TypeAlias = Literal["http", "sse"]
"""A transport of MCP over HTTP: streamable HTTP, or HTTP+SSE."""

SAID_CHARS: Final = 300
"""Length of an upstream's own words in a sentence."""

_WAYS_OUT: Final = {
    401: "; set headers.Authorization for this instance",
    407: "; the proxy on the way wants credentials",
}
_GUESSES: Final = {
    403: "; may the headers of this instance use it?",
    404: "; is the URL right?",
}
"""Hints for an upstream that does not explain itself."""

_KEY_IN_PATH: Final = re.compile(r"(?<=/)[^/]{16,}")
_JSON_KEYS: Final = ("message", "error_description", "detail", "error", "title")
"""Members that hold an explanation: of JSON-RPC, RFC 6749 section 5.2, RFC 9457 and habit."""

_MAX_DEPTH: Final = 3
_TITLE: Final = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_HTML: Final = re.compile(r"\s*<(!doctype|html|head|body|center|h1|p)\b", re.IGNORECASE)

_SESSION_WORDS: Final = ("session", "not initialized")


@attrs.frozen
class RemoteEndpoint:
    """The address of an upstream. The methods return sentences about it.

    Attributes:
        url: the whole URL.
        shown: the part of the URL that people may see.
        allow_private: False if only public addresses may be connected to.
    """

    url: str = attrs.field(repr=False)
    shown: str
    allow_private: bool = True

    @classmethod
    def from_url(cls, url: str, *, allow_private: bool = True) -> RemoteEndpoint:
        """Create an endpoint.

        Raises:
            WireLost: `url` is no absolute http or https URL.
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
        return cls(url, f"{parts.scheme}://{where}{path}", allow_private)

    def answered(
        self, status: int, explanation: str = "", retry_after_s: float | None = None
    ) -> str:
        """Return the sentence for a failed HTTP status, with the upstream's own explanation."""
        sentence = f"{self.shown} answered {status} {phrase(status)}".rstrip()
        quoted = f": {_shorten(explanation)}" if explanation else _GUESSES.get(status, "")
        asked = "" if retry_after_s is None else f"; Retry-After: {retry_after_s:.0f} s"
        return f"{sentence}{quoted}{_WAYS_OUT.get(status, '')}{asked}"

    def answered_with(self, content_type: str) -> str:
        """Return the sentence for a successful response that holds no MCP message."""
        what = f"with {_shorten(content_type)}" if content_type else "without a Content-Type"
        return f"{self.shown} answered {what}, which is no MCP answer; is the URL right?"

    def unreachable(self, why: str) -> str:
        """Return the sentence for a failure to connect."""
        return f"cannot connect to {self.shown}: {why}"

    def session_gone(self, status: int) -> str:
        """Return the sentence for a session that the upstream does not know any more."""
        return f"{self.shown} lost the session (it answered {status} {phrase(status)})"

    def broke(self, why: str) -> str:
        """Return the sentence for the end of a connection."""
        return f"the connection to {self.shown} broke: {why}"


def phrase(status: int) -> str:
    """Return the reason phrase of RFC 9110, empty for a status that is not in there."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def explanation_in(body: bytes, status: int) -> str:
    """Return the first line that explains an HTTP error; empty if the body says no more than it.

    Args:
        body: the body of the response.
        status: its status.
    """
    text = body.decode(errors="replace")
    lines = (_one_line(candidate) for candidate in _candidates(text))
    line = next((line for line in lines if line), "")
    said = line.lower().strip(" .!")
    known = phrase(status).lower()
    return "" if said in {known, str(status), f"{status} {known}"} else line


def _candidates(text: str) -> Iterator[str]:
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        if _HTML.match(text):
            yield from _TITLE.findall(text)[:1]
        else:
            yield from text.splitlines()
    else:
        yield from _explanations(value, _MAX_DEPTH)


def _explanations(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield from value.splitlines()
    elif isinstance(value, dict) and depth:
        members = cast("dict[str, Any]", value)
        for key in _JSON_KEYS:
            yield from _explanations(members.get(key), depth - 1)


def _one_line(text: str) -> str:
    shown = "".join(each if each.isprintable() else " " for each in unescape(text))
    return " ".join(shown.split())


def is_session_gone(status: int, explanation: str) -> bool:
    """Return whether this answer to a request with a session id means that the session is gone.

    404 means that (MCP 2025-11-25, Transports, Session Management). Many servers answer 400 and
    explain it in words, like the examples that they are modelled on.
    """
    words = explanation.lower()
    return status == 404 or (status == 400 and any(word in words for word in _SESSION_WORDS))


def suggests_sse(status: int) -> bool:
    """Return whether an upstream that refuses `initialize` with this status may speak HTTP+SSE.

    MCP 2025-11-25, Transports, Backwards Compatibility names 400, 404 and 405. Servers of that
    time refuse a POST in other ways as well.
    """
    return 400 <= status < 500 and status not in (401, 403, 407, 429)


def _shorten(text: str) -> str:
    """Return the text in one line of at most `SAID_CHARS`."""
    line = " ".join(text.split())
    if len(line) <= SAID_CHARS:
        return line
    # Not within a word: log filters mask whole secrets, so half a secret would get past them.
    return f"{re.sub(r'(?<= )[^ ]+$', '', line[:SAID_CHARS])}…"

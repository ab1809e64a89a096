"""`mcp-router status`: what a running router says of its instances, as a table.

Job: ask the REST API of a router (`GET /api/status`) and lay out its answer. Neighbours: `cli`
says whom to ask and prints; `transports.listen.rest` answers.

Invariant: what comes from the router is data: it cannot forge lines or move the cursor.
"""

from __future__ import annotations

import http.client
import unicodedata
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import SplitResult, urlsplit

import msgspec

from router.logs.record_text import UNPRINTABLE, one_line
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    import re

    from router.config.settings import Api, Security

ANSWER_S: Final = 10.0
"""How long a router may take to answer; it answers from memory."""

ANSWER_LIMIT_BYTES: Final = 16 * 1024 * 1024
"""Far more than thousands of instances take."""

ERROR_CHARACTERS: Final = 120
"""How much of an error a table shows; `--json` has all of it."""

_REACHED_AT: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "[::]": "::1"}
"""Where what listens on every address is reached from this machine."""

_ELSEWHERE: Final = (
    "Where api.port was taken, the router has another, which its log names: give it with --url"
)

HEAD: Final = (
    *("INSTANCE", "STATE", "SINCE", "RESTARTS", "TOOLS", "CALLS", "NEXT RETRY", "LAST ERROR"),
)


class Row(msgspec.Struct, frozen=True):
    """One instance. Unknown keys are a newer router's, and missing ones an older one's."""

    name: str
    state: str = ""
    since_s: float = 0.0
    restarts: int = 0
    tools_count: int = 0
    calls: int = 0
    in_flight: int = 0
    retry_in_s: float | None = None
    last_error: str | None = None


# --- Laying out ------------------------------------------------------------------------------


def table(rows: list[Row]) -> str:
    """The table, and a line that sums it up."""
    if not rows:
        return "There are no instances.\n"
    cells = [HEAD, *map(_cells, rows)]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(map(_padded, row, widths)).rstrip() for row in cells]
    ready = sum(row.state == "ready" for row in rows)
    return "\n".join([*lines, "", f"{ready} of {len(rows)} ready", ""])


def printable_json(body: bytes) -> str:
    """The same JSON, with what does not print escaped (RFC 8259 section 7)."""
    return UNPRINTABLE.sub(_escaped, body.decode())


def _escaped(found: re.Match[str]) -> str:
    if found[0] in "\n\r":
        return "\n"  # white space between its parts: within a string there can be none
    units = found[0].encode("utf-16-be")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))


def _cells(row: Row) -> tuple[str, ...]:
    calls = f"{row.calls} ({row.in_flight} open)" if row.in_flight else str(row.calls)
    error = one_line(row.last_error or "-")
    if len(error) > ERROR_CHARACTERS:
        error = error[: ERROR_CHARACTERS - 1] + "\u2026"
    return (
        one_line(row.name),
        one_line(row.state),
        duration(row.since_s),
        str(row.restarts),
        str(row.tools_count),
        calls,
        "-" if row.retry_in_s is None else f"in {duration(row.retry_in_s)}",
        error,
    )


def duration(seconds: float) -> str:
    """A duration in its two largest units, such as `3m 20s`."""
    left = max(0, round(seconds))
    units = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)]
    while len(units) > 1 and left < units[0][1]:
        del units[0]
    parts: list[str] = []
    for unit, size in units[:2]:
        number, left = divmod(left, size)
        if number or not parts:
            parts.append(f"{number}{unit}")
    return " ".join(parts)


def _width(text: str) -> int:
    """Columns of a terminal; CJK letters take two (UAX #11)."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


# --- Asking ----------------------------------------------------------------------------------


def whom_to_ask(api: Api, security: Security) -> tuple[str, str]:
    """The URL of the REST API of a router with these settings, and the token for it, if any."""
    host = _REACHED_AT.get(api.host, api.host)
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"  # RFC 3986 section 3.2.2
    token = security.bearer_token
    return f"http://{host}:{api.port}", "" if token.startswith("sha256:") else token


def fetch(url: str, token: str) -> bytes:
    """What the router at `url` says of its instances, as JSON. Blocks.

    Args:
        url: of the REST API, such as `http://127.0.0.1:8001`.
        token: for it; empty for none.

    Raises:
        ConfigError: nobody answers there, or not with that.
    """
    try:
        status, body = _get(url, "/api/status", token)
    except (OSError, http.client.HTTPException, ValueError) as exc:
        why = getattr(exc, "strerror", None) or str(exc).strip() or type(exc).__name__
        way_out = "Is the router running, and api.enabled true in its config.json?"
        raise ConfigError(url, f"no answer ({why}). {way_out}") from None
    if status != 200:
        raise ConfigError(url, _refusal(status, body))
    return body


def rows_of(body: bytes, url: str) -> list[Row]:
    """The rows in an answer.

    Raises:
        ConfigError: there are none.
    """
    try:
        return msgspec.json.decode(body, type=list[Row])
    except msgspec.MsgspecError:
        raise ConfigError(url, "what answers there is no MCP Router") from None


def _get(url: str, path: str, token: str) -> tuple[int, bytes]:
    parts = _split(url)
    secure = parts.scheme == "https"
    connect = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = connect(parts.netloc.rpartition("@")[2], timeout=ANSWER_S)
    try:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request("GET", parts.path.rstrip("/") + path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read(ANSWER_LIMIT_BYTES)
    finally:
        connection.close()


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts
    except ValueError:
        pass
    raise ConfigError("--url", f"expected a URL such as http://127.0.0.1:8001, got {url}")


def _refusal(status: int, body: bytes) -> str:
    detail = _detail_of(body)
    if status == 401:
        return f"{detail}. Give --token, or set $MCP_ROUTER_TOKEN"
    if status == 404:
        return f"answered 404, so it is no REST API of an MCP Router. {_ELSEWHERE}"
    return f"answered {status}: {detail}" if detail else f"answered {status}"


def _detail_of(body: bytes) -> str:
    """The `detail` of an error, which is a text or has its text in `error`."""
    try:
        detail: Any = msgspec.json.decode(body, type=dict[str, Any]).get("detail", "")
    except msgspec.MsgspecError:
        return ""
    if isinstance(detail, dict):
        detail = cast("dict[str, Any]", detail).get("error", "")
    return one_line(str(detail))

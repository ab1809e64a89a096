"""Gets the `server.json` of a server: from a file, from a URL, or from the MCP registry by name."""

from __future__ import annotations

import http.client
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, quote, urlsplit

from router.cli.changing.server_json import ServerJson, read_server_json
from router.logs.record_text import one_line
from router.messages.errors import ConfigError

REGISTRY: Final = "https://registry.modelcontextprotocol.io"
"""The official registry; `--registry` names another one with the same API."""

LIMIT_BYTES: Final = 1024 * 1024
"""Of a `server.json`, which takes some kilobytes."""

ANSWER_S: Final = 20.0
MAX_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


def fetch_server_json(reference: str, registry: str = REGISTRY) -> ServerJson:
    """Return what a reference names. Blocks.

    Args:
        reference: a file, a URL, or a name such as `io.github.user/weather`.
        registry: the base URL of the registry that knows the name.

    Raises:
        ConfigError: there is no such thing, or it is no `server.json`.
    """
    if reference.startswith(("http://", "https://")):
        return read_server_json(_download(reference), reference)
    path = Path(reference).expanduser()
    if path.is_file():
        with path.open("rb") as file:
            return read_server_json(file.read(LIMIT_BYTES), reference)
    if reference.count("/") != 1 or reference.startswith((".", "/", "~")):
        problem = "there is no such file; a name in the registry is like io.github.user/weather"
        raise ConfigError(one_line(reference), problem)
    base = registry.rstrip("/")
    url = f"{base}/v0.1/servers/{quote(reference, safe='')}/versions/latest"
    return read_server_json(_download(url), url)


def _download(url: str) -> bytes:
    """Return the body of a URL; redirects are followed, but not from https to http.

    Raises:
        ConfigError: it cannot be had.
    """
    for _ in range(MAX_REDIRECTS):
        parts = _split(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(one_line(url), "expected a URL such as https://host/server.json")
        is_secure = parts.scheme == "https"
        connect = http.client.HTTPSConnection if is_secure else http.client.HTTPConnection
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        authority = parts.netloc.rpartition("@")[2]
        try:
            with closing(connect(authority, timeout=ANSWER_S)) as connection:
                connection.request("GET", target, headers={"Accept": "application/json"})
                response = connection.getresponse()
                status, moved = response.status, response.getheader("Location", "")
                data = response.read(LIMIT_BYTES + 1)
        except (OSError, http.client.HTTPException, ValueError) as exc:
            why = getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
            raise ConfigError(one_line(url), f"cannot be reached: {one_line(why)}") from None
        if status in _REDIRECTS and moved:
            url = _next_url(url, moved)
            continue
        if status != 200 or len(data) > LIMIT_BYTES:
            problem = f"answered {status}" if status != 200 else "is too large"
            more = "; the registry knows no server of this name" if status == 404 else ""
            raise ConfigError(one_line(url), problem + more)
        return data
    raise ConfigError(one_line(url), "redirects too often")


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:  # such as an IPv6 address without its bracket
        raise ConfigError(one_line(url), "is no URL") from None


def _next_url(url: str, moved: str) -> str:
    # For start-up time: few URLs move.
    from urllib.parse import urljoin

    _split(moved)
    target = urljoin(url, moved)
    if url.startswith("https:") and not target.startswith("https:"):
        raise ConfigError(one_line(url), "redirects to a URL without TLS")
    return target

"""Says where an authorization server sends a browser back to: the redirect URIs of this router.

Invariants: pure. The router's own redirect URI is below `server.public_url`, or on a listener of
this machine; plain HTTP leads nowhere else (RFC 8252 section 7.3).
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from router.files.json_files import quote_value
from router.messages.errors import INVALID_PARAMS, RpcError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.app.sockets import Bound
    from router.config.values import Mode

CALLBACK_PATH: Final = "/oauth/callback"
LOGIN_PATH: Final = "/oauth/login"
METADATA_PATH: Final = "/oauth/client-metadata.json"

_ORDER: Final[tuple[Mode, ...]] = ("http", "sse", "api")
_ANY: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def own_base_url(public_url: str, bound: Sequence[Bound]) -> str | None:
    """Return the URL below which browsers find this router's pages; None if there is none.

    Args:
        public_url: `server.public_url`; empty for none.
        bound: the listeners; a browser reaches those that have a port of this machine.
    """
    if public_url:
        return public_url.rstrip("/")
    for one in sorted(bound, key=lambda one: _ORDER.index(one.mode)):
        host = None if one.is_unix else _loopback_of(_ANY.get(one.host.strip("[]"), one.host))
        if host is not None:
            return f"http://{host}:{one.port}"
    return None


def _loopback_of(host: str) -> str | None:
    """Return the loopback address at which this machine reaches a listener; None if it has none."""
    host = host.strip("[]")
    if host.lower() == "localhost":
        return "localhost"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if not address.is_loopback:
        return None
    return f"[{address}]" if address.version == 6 else str(address)


def check_loopback(uri: str) -> str:
    """Return a redirect URI that somebody gave; it has to lead to the machine of the browser.

    Raises:
        RpcError: -32602, it does not.
    """
    try:
        parts = urlsplit(uri)
        is_local = parts.scheme == "http" and _loopback_of(parts.hostname or "") is not None
        is_plain = not (parts.username or parts.password or parts.query or parts.fragment)
        if is_local and is_plain and parts.port and uri.isascii() and uri.isprintable():
            return uri
    except ValueError:
        pass
    problem = "expected a URL of this machine such as http://127.0.0.1:8765/oauth/callback"
    raise RpcError(INVALID_PARAMS, f"redirect_uri: {problem}, got {quote_value(uri)}")

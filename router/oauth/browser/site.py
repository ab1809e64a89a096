"""Tells at which origin a browser sees this router, and if a request comes from there. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from msgspec import Struct

from router.messages.errors import HttpRefusal

if TYPE_CHECKING:
    from collections.abc import Mapping

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110 section 9.2.1)."""

_OWN: Final = frozenset({"same-origin", "none"})
"""Values of `Sec-Fetch-Site` for a page of this router, and for an address that a person typed."""

_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_PATH_LIMIT: Final = 2000
_OTHER_SITE: Final = (
    "A browser that has logged in may be used by pages of {} only. Behind a reverse proxy, set "
    "server.public_url in config.json"
)


class Site(Struct, frozen=True):
    """The router as a browser sees it.

    Attributes:
        origin: scheme, host and port (RFC 6454 section 6.2).
        prefix: the path that a trusted proxy takes away, such as "/tools"; empty for none.
    """

    origin: str
    prefix: str = ""

    @property
    def is_secure(self) -> bool:
        """True if the browser uses TLS."""
        return self.origin.startswith("https:")

    def url(self, path: str) -> str:
        """Return the URL of a path of the router."""
        return f"{self.origin}{self.prefix}{path}"


def site_of(headers: Mapping[str, str], public_url: str, prefix: str = "") -> Site:
    """Return the site of a request.

    Only `server.public_url` tells of TLS, which ends at a reverse proxy, and it counts for requests
    to its host. Others have come to the listener itself.

    Args:
        headers: of the request, names in lower case; `Host` has been checked.
        public_url: `server.public_url`.
        prefix: the path that a trusted proxy has taken away; without one, it is the path of
            `public_url`.
    """
    host = headers.get("host", "").lower()
    public = urlsplit(public_url)
    if public.hostname and _host_and_port(host, public.scheme) == _host_and_port(
        public.netloc.lower(), public.scheme
    ):
        origin = f"{public.scheme}://{_without_default_port(host, public.scheme)}"
        return Site(origin, prefix or public.path.rstrip("/"))
    return Site(f"http://{_without_default_port(host, 'http')}", prefix)


def is_own(method: str, headers: Mapping[str, str], site: Site) -> bool:
    """Return whether a request comes from a page of this router, or from no page at all.

    Args:
        method: of HTTP; empty for a WebSocket.
        headers: of the request, names in lower case.
        site: the site of the request.
    """
    origin = headers.get("origin")
    # Browsers send it with everything that may change something (Fetch, section 3.2).
    is_from_here = method in SAFE_METHODS if origin is None else origin == site.origin
    return is_from_here and headers.get("sec-fetch-site", "none") in _OWN


def check_own(method: str, headers: Mapping[str, str], site: Site) -> None:
    """Refuse a request that is not `is_own`.

    Raises:
        HttpRefusal: 403.
    """
    if not is_own(method, headers, site):
        raise HttpRefusal(403, _OTHER_SITE.format(site.origin))


def is_own_path(path: str) -> bool:
    """Return whether a text is a path that a browser takes for one of the same site.

    Browsers read `//host`, `/\\host` and `/<TAB>/host` as another host (WHATWG URL, section 4.4).
    """
    is_plain = path.isascii() and path.isprintable() and "\\" not in path and " " not in path
    return is_plain and len(path) <= _PATH_LIMIT and path[:1] == "/" and path[1:2] != "/"


def _host_and_port(host: str, scheme: str) -> tuple[str, int]:
    name, separator, port = host.rpartition(":")
    if separator and port.isdecimal():
        return name, int(port)
    return host, _DEFAULT_PORTS[scheme]


def _without_default_port(host: str, scheme: str) -> str:
    return host.removesuffix(f":{_DEFAULT_PORTS[scheme]}")

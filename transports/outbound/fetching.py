"""Makes single requests of the router's own: to authorization servers, for keys and documents.

Cheap to import. The HTTP client is imported by the first request, in a worker thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from transports.outbound.fetched import BODY_LIMIT_BYTES, DEADLINE_S, NO_HEADERS
from transports.outbound.fetched import Fetch as Fetch
from transports.outbound.fetched import Fetched as Fetched
from transports.outbound.fetched import FetchFailed as FetchFailed
from transports.outbound.slow_imports import IMPORTING

if TYPE_CHECKING:
    from collections.abc import Mapping


async def fetch(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] = NO_HEADERS,
    content: bytes = b"",
    allow_private: bool,
    limit_bytes: int = BODY_LIMIT_BYTES,
    timeout_s: float = DEADLINE_S,
) -> Fetched:
    """Make one request, and return its answer, whatever its status.

    Redirects are not followed, and no cookies kept. TLS is verified by the certificates of the
    system, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`.

    Args:
        method: of HTTP.
        url: `https://`; `http://` only for `localhost` and for addresses of loopback.
        headers: of the request.
        content: body of the request.
        allow_private: False to connect to public addresses only, and never over a proxy. With
            True, proxies of the environment are used, except to this machine.
        limit_bytes: longest body that is accepted, encoded and decoded.
        timeout_s: time for everything.

    Raises:
        FetchFailed: the URL is not allowed, there was no answer in time, or it is too large.
    """
    send = await trio.to_thread.run_sync(_import_send, abandon_on_cancel=True)
    return await send(
        method,
        url,
        headers=headers,
        content=content,
        allow_private=allow_private,
        limit_bytes=limit_bytes,
        timeout_s=timeout_s,
    )


def _import_send() -> Fetch:
    # Not at the top, because of the time it takes.
    with IMPORTING:
        from transports.outbound.bounded_requests import send

    return send

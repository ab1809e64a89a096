"""Reads failures of the HTTP client: sentences for the user, and when to try again.

Imports the HTTP client, so only `sdk.load` loads this module.

Invariants: the text of an exception is never repeated, unless the system wrote it: libraries put
URLs and header values into theirs.
"""

from __future__ import annotations

import errno
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.request import getproxies

import httpx2
import trio
from msgspec import Struct

from transports.outbound.failures import chain, describe_cause
from transports.outbound.network import NOT_PUBLIC, AddressNotPublic

if TYPE_CHECKING:
    from transports.connect.remote.endpoint import RemoteEndpoint

HttpFailure: TypeAlias = "httpx2.HTTPError | httpx2.InvalidURL"

_RESETS: Final = frozenset({errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE})

_SECONDS_DIGITS: Final = 9
"""Digits that are read of a number of seconds: some thirty years."""

_ALLOW_PRIVATE: Final = 'set "allow_private": true for this instance in its file'

CONNECT_S: Final = 5.0
"""Time for name, TCP and TLS: an upstream that needs longer is as good as down."""


class Sending(Struct):
    """Learns how far a request got, as a `trace` extension of the HTTP client.

    Attributes:
        failed_at_once: True if the connection was gone when the first bytes were to be written.
    """

    failed_at_once: bool = False

    async def note(self, event: str, info: dict[str, Any]) -> None:
        """Take note of an event of the HTTP client."""
        if event == "http11.send_request_headers.failed":
            self.failed_at_once = was_reset(info["exception"])
        await trio.lowlevel.checkpoint()


def is_unreachable(exc: httpx2.HTTPError) -> bool:
    """Return whether the request failed before there was a connection, so nothing was sent."""
    return isinstance(
        exc,
        (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError, httpx2.UnsupportedProtocol),
    )


def was_reset(exc: BaseException) -> bool:
    """Return whether the other side had closed the connection."""
    return any(isinstance(link, OSError) and link.errno in _RESETS for link in chain(exc))


def describe(endpoint: RemoteEndpoint, exc: HttpFailure) -> str:
    """Return one sentence about `exc`."""
    if isinstance(exc, httpx2.InvalidURL):
        return endpoint.unreachable("its url is no URL")
    if isinstance(exc, httpx2.HTTPStatusError):
        return _describe_status(endpoint, exc.response)
    if isinstance(exc, httpx2.ConnectTimeout):
        return endpoint.unreachable(f"no answer within {CONNECT_S:g} s{_proxy_hint(endpoint)}")
    if isinstance(exc, httpx2.ProxyError):
        return endpoint.unreachable("the proxy on the way refused")
    if isinstance(exc, httpx2.ConnectError):
        return _describe_refusal(endpoint, exc)
    if isinstance(exc, httpx2.LocalProtocolError):
        return endpoint.unreachable("a header of this instance cannot be sent in HTTP")
    if isinstance(exc, httpx2.DecodingError):
        return endpoint.broke("its answer is not encoded as it says")
    if isinstance(exc, httpx2.SSEError):
        return endpoint.broke("its event stream cannot be read")
    return endpoint.broke(describe_cause(exc))


def _describe_refusal(endpoint: RemoteEndpoint, exc: httpx2.ConnectError) -> str:
    if any(isinstance(link, AddressNotPublic) for link in chain(exc)):
        return endpoint.unreachable(f"{NOT_PUBLIC}; {_ALLOW_PRIVATE}")
    return endpoint.unreachable(f"{describe_cause(exc)}{_proxy_hint(endpoint)}")


def _proxy_hint(endpoint: RemoteEndpoint) -> str:
    """Return the way out where a connection without the proxy of the environment fails."""
    scheme = endpoint.shown.partition(":")[0]
    if endpoint.allow_private or getproxies().keys().isdisjoint({scheme, "all"}):
        return ""
    return f"; the proxy of the environment is not used, since it hides addresses; {_ALLOW_PRIVATE}"


def describe_first(
    endpoint: RemoteEndpoint, group: BaseExceptionGroup[HttpFailure]
) -> tuple[str, float | None]:
    """Return one sentence about the first exception in a group, and the pause it asks for."""
    failures = (
        exc for exc in chain(group) if isinstance(exc, (httpx2.HTTPError, httpx2.InvalidURL))
    )
    first = next(failures)
    asked_s = retry_after_s(first.response) if isinstance(first, httpx2.HTTPStatusError) else None
    return describe(endpoint, first), asked_s


def retry_after_s(response: httpx2.Response) -> float | None:
    """Return the seconds after which an upstream wants to be called again; None if it says nothing.

    RFC 9110 section 10.2.3: `Retry-After` holds seconds, or a date.
    """
    value = str(response.headers.get("retry-after", "")).strip()
    if value.isascii() and value.isdigit():
        return float(value[:_SECONDS_DIGITS])
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())


def _describe_status(endpoint: RemoteEndpoint, response: httpx2.Response) -> str:
    sentence = endpoint.answered(response.status_code, "", retry_after_s(response))
    if response.has_redirect_location:
        return f"{sentence}, a redirect that is not followed; set the url it leads to"
    return sentence

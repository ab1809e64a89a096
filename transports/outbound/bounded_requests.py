"""Sends one request over HTTP, within limits of size and time; see `fetching.fetch`.

Imports the HTTP client, so only `fetching` loads this module.

Invariants:

- The URL that is checked is the one that is sent to: both are the same `httpx2.URL`.
- A body is never decoded beyond its limit, however small it came. So only gzip is decoded, once.
- No sentence repeats what a server wrote, or a part of the URL that may be secret.
"""

from __future__ import annotations

import zlib
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

import httpx2
import trio

from transports.outbound.failures import chain, describe_cause
from transports.outbound.fetched import (
    BODY_LIMIT_BYTES,
    DEADLINE_S,
    NO_HEADERS,
    Fetched,
    FetchFailed,
)
from transports.outbound.network import NOT_PUBLIC, AddressNotPublic, GuardedTransport

if TYPE_CHECKING:
    from collections.abc import Mapping

_SHOWN_CHARS: Final = 200
"""Length of a URL in a sentence."""

_GZIP: Final = 16 + zlib.MAX_WBITS
"""Has zlib expect the header of gzip (zlib manual, inflateInit2)."""


async def send(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] = NO_HEADERS,
    content: bytes = b"",
    allow_private: bool,
    limit_bytes: int = BODY_LIMIT_BYTES,
    timeout_s: float = DEADLINE_S,
) -> Fetched:
    """Make one request; see `fetching.fetch`.

    Raises:
        FetchFailed: as there.
    """
    await trio.lowlevel.checkpoint()
    target = _checked(url)
    shown = _shown(target)
    make = partial(_client, allow_private=allow_private, is_here=_is_loopback(target))
    with trio.move_on_after(timeout_s):
        async with await trio.to_thread.run_sync(make, abandon_on_cancel=True) as client:
            request = client.build_request(
                method, target, headers={"accept-encoding": "gzip", **headers}, content=content
            )
            try:
                return await _answer(client, request, limit_bytes, shown)
            except httpx2.HTTPError as exc:
                raise FetchFailed(f"cannot fetch {shown}: {_describe(exc)}") from None
    raise FetchFailed(f"cannot fetch {shown}: there was no answer within {timeout_s:g} s")


def _client(*, allow_private: bool, is_here: bool) -> httpx2.AsyncClient:
    """Make a client. Blocks, since it reads the certificates."""
    if not allow_private:
        return httpx2.AsyncClient(transport=GuardedTransport(), timeout=None)
    return httpx2.AsyncClient(
        verify=httpx2.create_ssl_context(), trust_env=not is_here, timeout=None
    )


# --- URLs -------------------------------------------------------------------------------------


def _checked(url: str) -> httpx2.URL:
    try:
        target = httpx2.URL(url)
    except httpx2.InvalidURL:
        raise FetchFailed("cannot fetch a URL that is malformed") from None
    if target.scheme not in ("http", "https") or not target.host:
        raise FetchFailed(
            f"cannot fetch {_shown(target)}: it is no URL that begins with https:// and a host"
        )
    if target.userinfo:
        raise FetchFailed(f"cannot fetch {_shown(target)}: its URL holds a user name or a password")
    if target.scheme == "http" and not _is_loopback(target):
        raise FetchFailed(
            f"cannot fetch {_shown(target)}: it must be https://, "
            "since http:// is for addresses of this machine only"
        )
    return target


def _is_loopback(url: httpx2.URL) -> bool:
    try:
        return url.host == "localhost" or ip_address(url.host).is_loopback
    except ValueError:
        return False


def _shown(url: httpx2.URL) -> str:
    path, _, _ = url.raw_path.partition(b"?")
    return f"{url.scheme}://{(url.netloc + path).decode()}"[:_SHOWN_CHARS]


# --- Answers ----------------------------------------------------------------------------------


async def _answer(
    client: httpx2.AsyncClient, request: httpx2.Request, limit_bytes: int, shown: str
) -> Fetched:
    response = await client.send(request, stream=True, follow_redirects=False)
    try:
        body = await _read(response, limit_bytes)
    finally:
        await response.aclose()
    if len(body) <= limit_bytes:
        body = _decoded(body, response.headers.get("content-encoding", ""), limit_bytes, shown)
    if len(body) > limit_bytes:
        limit = f"{limit_bytes / 1024:,.0f} KiB"
        raise FetchFailed(f"cannot fetch {shown}: its answer is larger than {limit}")
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Fetched(response.status_code, headers, body)


async def _read(response: httpx2.Response, limit_bytes: int) -> bytes:
    """Return the body as it came, or a beginning that is longer than `limit_bytes`."""
    await trio.lowlevel.checkpoint()
    body = bytearray()
    with trio.CancelScope() as scope:
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > limit_bytes:
                # Raises in the innermost of the generators, so that each of them is closed.
                scope.cancel()
    return bytes(body)


def _decoded(body: bytes, encoding: str, limit_bytes: int, shown: str) -> bytes:
    """Return the body, or a beginning that is longer than `limit_bytes`."""
    if encoding.lower() in ("", "identity"):
        return body
    if encoding.lower() not in ("gzip", "x-gzip"):
        raise FetchFailed(f"cannot fetch {shown}: its answer is encoded, and not as gzip")
    decoder = zlib.decompressobj(_GZIP)
    try:
        decoded = decoder.decompress(body, limit_bytes + 1)
    except zlib.error:
        decoded = b""
    if len(decoded) <= limit_bytes and not decoder.eof and body:
        raise FetchFailed(f"cannot fetch {shown}: its answer is not encoded as it says")
    return decoded


# --- Failures ---------------------------------------------------------------------------------


def _describe(exc: httpx2.HTTPError) -> str:
    if any(isinstance(link, AddressNotPublic) for link in chain(exc)):
        return f'{NOT_PUBLIC}, and "allow_private" is false'
    if isinstance(exc, httpx2.ProxyError):
        return "the proxy on the way refused"
    if isinstance(exc, httpx2.LocalProtocolError):
        return "a header of the request cannot be sent in HTTP"
    if isinstance(exc, httpx2.RemoteProtocolError):
        return "it broke off, or did not answer in HTTP"
    return describe_cause(exc)

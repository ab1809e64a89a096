"""Finds out which authorization server a server belongs to, and what that offers.

A server names it in its protected resource metadata (RFC 9728); one of MCP 2025-03-26 has none, and
its own origin is the authorization server. That publishes metadata of RFC 8414, or those of OpenID.

Invariants:

- Metadata count only if they name what was asked for: the URL of the instance as `resource` (RFC
  9728 section 3.3), and the very issuer (RFC 8414 section 3.3).
- Each endpoint has https, or is on this machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import trio
from msgspec import Struct

from router.oauth.client.login_results import LoginFailed
from router.oauth.client.protocol import sdk
from router.oauth.client.protocol.requests import Unreachable
from router.oauth.client.protocol.untrusted import (
    canonical,
    clean,
    decode_object,
    is_safe_url,
    origin_of,
    texts,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from router.oauth.client.protocol.requests import Requests

_ENDPOINTS: Final = (
    "authorization_endpoint",
    "token_endpoint",
    "registration_endpoint",
    "revocation_endpoint",
    "device_authorization_endpoint",
)

_OK: Final = 200
_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500


class Resource(Struct, frozen=True):
    """A server that wants tokens (RFC 9728).

    Attributes:
        resource: its identifier, exactly as it writes it; requests for tokens name it.
        authorization_servers: issuers, the server's preferred one first; empty for a server
            without metadata (MCP 2025-03-26).
        scopes: those that basic use takes; None if it names none.
    """

    resource: str
    authorization_servers: tuple[str, ...] = ()
    scopes: tuple[str, ...] | None = None


class AuthorizationServer(Struct, frozen=True):
    """An authorization server (RFC 8414), with "" or None for what its metadata leave out.

    Attributes:
        issuer: its identifier, exactly as it writes it.
        authorization_endpoint, token_endpoint, registration_endpoint, revocation_endpoint,
            device_authorization_endpoint: safe URLs.
        auth_methods: by which clients show who they are at the token endpoint.
        signing_algorithms: of assertions by which clients do so.
        scopes: that it knows.
        has_s256: True if it supports PKCE with S256.
        takes_documents: True if a client may be named by the URL of its metadata.
        names_itself: True if the answer to a browser always has `iss` (RFC 9207).
        is_guessed: True if it has no metadata, and its endpoints are those of MCP 2025-03-26.
    """

    issuer: str
    authorization_endpoint: str = ""
    token_endpoint: str = ""
    registration_endpoint: str = ""
    revocation_endpoint: str = ""
    device_authorization_endpoint: str = ""
    auth_methods: tuple[str, ...] | None = None
    signing_algorithms: tuple[str, ...] | None = None
    scopes: tuple[str, ...] | None = None
    has_s256: bool = False
    takes_documents: bool = False
    names_itself: bool = False
    is_guessed: bool = False


async def find_resource(requests: Requests, metadata_url: str) -> Resource | None:
    """Return what a server says of itself; None if it has no metadata.

    Args:
        requests: for its instance.
        metadata_url: that its challenge names; "" for none.

    Raises:
        LoginFailed: its metadata are of another server.
        Unreachable: they could not be fetched.
    """
    await sdk.load()
    from mcp.client.auth.utils import build_protected_resource_metadata_discovery_urls
    from mcp.shared.auth import ProtectedResourceMetadata

    url = canonical(requests.spec.url)
    for place in build_protected_resource_metadata_discovery_urls(metadata_url or None, url):
        members = await _document(requests, place)
        if members is None or not _is_valid(ProtectedResourceMetadata, members):
            continue
        named = members["resource"]
        # RFC 9728 section 3.3. MCP also has metadata of the whole origin.
        if canonical(named, with_query=True) not in _identifiers(requests.spec.url):
            problem = f"the metadata at {clean(place)} are of another server, {clean(named)}"
            raise LoginFailed(f"{problem}: no token for that one is sent to {url}")
        servers = texts(members["authorization_servers"]) or ()
        return Resource(named, servers, texts(members.get("scopes_supported")))
    return None


def _identifiers(url: str) -> tuple[str, ...]:
    return canonical(url), canonical(url, with_query=True), origin_of(url)


async def find_server(requests: Requests, issuer: str) -> AuthorizationServer:
    """Return the metadata of an authorization server.

    Raises:
        LoginFailed: it has none, or they are of another one, or name endpoints that are not safe.
        Unreachable: they could not be fetched.
    """
    if not is_safe_url(issuer):
        raise LoginFailed(f"the authorization server {clean(issuer)} is no URL for https")
    await sdk.load()
    from mcp.client.auth.utils import build_oauth_authorization_server_metadata_discovery_urls

    urls = build_oauth_authorization_server_metadata_discovery_urls(issuer, issuer)
    found = await _first_server(requests, urls, (issuer,))
    if found is None:
        raise LoginFailed(f"the authorization server {clean(issuer)} has no metadata (RFC 8414)")
    return found


async def find_old_server(requests: Requests) -> AuthorizationServer | None:
    """Return the authorization server at the origin of the instance, as MCP 2025-03-26 has it.

    Returns:
        None if it has no metadata; see `guessed_server`.

    Raises:
        LoginFailed: as `find_server`.
    """
    await sdk.load()
    from mcp.client.auth.utils import build_oauth_authorization_server_metadata_discovery_urls

    origin = origin_of(requests.spec.url)
    urls = build_oauth_authorization_server_metadata_discovery_urls(None, origin)
    return await _first_server(requests, urls, (origin, f"{origin}/"))


def guessed_server(url: str) -> AuthorizationServer:
    """Return the authorization server of a server without metadata (MCP 2025-03-26, section 2.3.3).

    Args:
        url: of the instance.
    """
    origin = origin_of(url)
    return AuthorizationServer(
        issuer=origin,
        authorization_endpoint=f"{origin}/authorize",
        token_endpoint=f"{origin}/token",
        registration_endpoint=f"{origin}/register",
        is_guessed=True,
    )


async def _first_server(
    requests: Requests, urls: Iterable[str], issuers: tuple[str, ...]
) -> AuthorizationServer | None:
    await trio.lowlevel.checkpoint()
    from mcp.shared.auth import OAuthMetadata

    for url in urls:
        members = await _document(requests, url)
        # The model wants an authorization endpoint, which a server for machines need not have.
        if members is None or not _is_valid(
            OAuthMetadata, {"authorization_endpoint": "https://none.invalid", **members}
        ):
            continue
        if members["issuer"] not in issuers:
            problem = f"the metadata at {clean(url)} are of another authorization server"
            raise LoginFailed(f"{problem}, {clean(members['issuer'])}, and are not used")
        return _server(members)
    return None


def _server(members: dict[str, Any]) -> AuthorizationServer:
    endpoints: dict[str, Any] = {key: members.get(key) or "" for key in _ENDPOINTS}
    for key, url in endpoints.items():
        if url and not is_safe_url(url):
            raise LoginFailed(f"{clean(members['issuer'])} has no URL for https as {key}")
    return AuthorizationServer(
        issuer=members["issuer"],
        **endpoints,
        auth_methods=texts(members.get("token_endpoint_auth_methods_supported")),
        signing_algorithms=texts(members.get("token_endpoint_auth_signing_alg_values_supported")),
        scopes=texts(members.get("scopes_supported")),
        has_s256="S256" in (texts(members.get("code_challenge_methods_supported")) or ()),
        takes_documents=members.get("client_id_metadata_document_supported") is True,
        names_itself=members.get("authorization_response_iss_parameter_supported") is True,
    )


async def _document(requests: Requests, url: str) -> dict[str, Any] | None:
    """Return the JSON object at a URL; None if there is none."""
    fetched = await requests.get_json(url)
    if fetched.status >= _SERVER_ERROR or fetched.status == _TOO_MANY:
        # This says nothing about whether there are metadata, so no other place is tried.
        raise Unreachable(f"{clean(url)} answers HTTP {fetched.status}; try again later")
    return decode_object(fetched.body) if fetched.status == _OK else None


def _is_valid(model: Any, members: dict[str, Any]) -> bool:
    from pydantic import ValidationError

    try:
        model.model_validate(members)
    except ValidationError:
        return False
    return True

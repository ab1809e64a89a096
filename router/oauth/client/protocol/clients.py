"""Decides as which client the router appears at an authorization server, and registers it there.

In this order (MCP 2026-07-28, Client Registration): the client that the entry names; the URL of the
router's own metadata document, where the server takes that; else dynamic registration (RFC 7591).

Invariant: no secret is in a repr or a message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from router.oauth.client.login_results import LoginFailed
from router.oauth.client.protocol import sdk
from router.oauth.client.protocol.requests import Unreachable
from router.oauth.client.protocol.untrusted import (
    clean,
    decode_object,
    is_printable_ascii,
    is_this_machine,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.messages.instances.oauth_login import OAuthLogin
    from router.oauth.client.protocol.discovery import AuthorizationServer
    from router.oauth.client.protocol.requests import Requests
    from transports.outbound.fetched import Fetched

CLIENT_NAME: Final = "MCP Router"

DOCUMENT_PATH: Final = "/oauth/client-metadata.json"

CALLBACK_PATH: Final = "/oauth/callback"

DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"

AuthMethod: TypeAlias = Literal[
    "none", "client_secret_basic", "client_secret_post", "private_key_jwt"
]
Origin: TypeAlias = Literal["configured", "document", "registered"]

_SECRET_METHODS: Final[tuple[AuthMethod, ...]] = ("client_secret_basic", "client_secret_post")
_REGISTERED: Final = (200, 201)
_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500


class Client(Struct, frozen=True):
    """The router, as one authorization server knows it.

    Attributes:
        client_id: its name there.
        secret: of the client; "" for none.
        auth_method: how it shows who it is.
        issuer: the authorization server that knows it.
        origin: where the client comes from.
        redirect_uri: that it was registered with; "" where it was not registered.
        expires_at_s: Unix time at which the secret ends; 0 for never.
    """

    client_id: str
    secret: str = ""
    auth_method: AuthMethod = "none"
    issuer: str = ""
    origin: Origin = "configured"
    redirect_uri: str = ""
    expires_at_s: float = 0

    def serves(self, issuer: str, redirect_uri: str, now_s: float) -> bool:
        """Return whether this registration can be used once more."""
        is_same = self.issuer == issuer and self.redirect_uri == redirect_uri
        return is_same and (self.expires_at_s == 0 or now_s < self.expires_at_s)

    def __repr__(self) -> str:
        return f"Client(client_id={self.client_id!r}, origin={self.origin!r})"


def configured_client(login: OAuthLogin, server: AuthorizationServer) -> Client:
    """Return the client that an entry names.

    Raises:
        LoginFailed: the server does not take what the entry has to show.
    """
    method: AuthMethod = "client_secret_basic" if login.client_secret else "none"
    if login.private_key:
        method = "private_key_jwt"
    # A server that lists no methods takes this one (RFC 8414 section 2).
    offered = server.auth_methods or ("client_secret_basic",)
    if method == "client_secret_basic" and method not in offered:
        method = "client_secret_post"
    if method not in offered and method != "none" and server.auth_methods is not None:
        named = ", ".join(clean(offer, 40) for offer in offered[:10])
        key = "oauth.private_key" if method == "private_key_jwt" else "oauth.client_secret"
        raise LoginFailed(f"{clean(server.issuer)} does not take {key}, only: {named}")
    return Client(login.client_id, login.client_secret, method, server.issuer)


# --- Client ID Metadata Documents ------------------------------------------------------------


def document_url(public_url: str) -> str:
    """Return the URL of the router's document; "" unless it has a public URL with https."""
    is_https = public_url.startswith("https://")
    return f"{public_url.rstrip('/')}{DOCUMENT_PATH}" if is_https else ""


def document(public_url: str) -> bytes | None:
    """Return the router's metadata document; None unless it has a public URL with https.

    See draft-ietf-oauth-client-id-metadata-document section 4.
    """
    url = document_url(public_url)
    if not url:
        return None
    members = {
        "client_id": url,
        "client_name": CLIENT_NAME,
        "client_uri": public_url,
        "redirect_uris": [public_url.rstrip("/") + CALLBACK_PATH],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": "web",
    }
    return msgspec.json.encode(members)


def document_client(
    server: AuthorizationServer, public_url: str, redirect_uri: str
) -> Client | None:
    """Return the client whose name is the URL of its document; None where that is not possible."""
    url = document_url(public_url)
    if not url or not server.takes_documents:
        return None
    if redirect_uri != public_url.rstrip("/") + CALLBACK_PATH:
        return None  # the document does not name it
    return Client(url, issuer=server.issuer, origin="document", redirect_uri=redirect_uri)


def check_device(server: AuthorizationServer) -> None:
    """Check that a server lets people log in on another device.

    Raises:
        LoginFailed: it does not offer that.
    """
    if not server.device_authorization_endpoint:
        place = clean(server.issuer)
        raise LoginFailed(f"{place} offers no login on another device; use a browser")


# --- Dynamic registration --------------------------------------------------------------------


async def register(
    requests: Requests,
    server: AuthorizationServer,
    redirect_uri: str,
    scopes: tuple[str, ...] | None,
) -> Client:
    """Register the router (RFC 7591 section 3).

    Args:
        requests: for the instance.
        server: to register at.
        redirect_uri: to register; "" for a login on another device.
        scopes: to ask for later; None for those that the server chooses.

    Raises:
        LoginFailed: the server does not register the router, or not so that it can log in.
        Unreachable: it gave no answer.
    """
    if not redirect_uri:
        check_device(server)
    if not server.registration_endpoint:
        problem = f"{clean(server.issuer)} registers no clients by itself"
        way_out = "register the router there, and set oauth.client_id of the instance"
        callback = f" (redirect URI: {redirect_uri})" if redirect_uri else ""
        raise LoginFailed(f"{problem}; {way_out}{callback}")
    await sdk.load()
    fetched = await requests.post_json(
        server.registration_endpoint, _registration(server, redirect_uri, scopes)
    )
    if fetched.status not in _REGISTERED:
        raise _registration_failure(server, fetched)
    return _registered(server, redirect_uri, decode_object(fetched.body))


def _registration(
    server: AuthorizationServer, redirect_uri: str, scopes: tuple[str, ...] | None
) -> dict[str, Any]:
    from mcp.shared.auth import OAuthClientMetadata
    from pydantic import AnyUrl

    methods = server.auth_methods or ("none",)
    # A secret in the form first: servers disagree about how one in a header is encoded.
    wanted: tuple[AuthMethod, ...] = ("none", "client_secret_post", "client_secret_basic")
    is_native = is_this_machine(urlsplit(redirect_uri).hostname or "localhost")
    grants = ["authorization_code", "refresh_token"]
    if server.device_authorization_endpoint:
        grants.append(DEVICE_GRANT)
    possible: list[AuthMethod] = [way for way in wanted if way in methods]
    metadata = OAuthClientMetadata(
        redirect_uris=[AnyUrl(redirect_uri)] if redirect_uri else None,
        token_endpoint_auth_method=possible[0] if possible else wanted[0],
        grant_types=grants if redirect_uri else [DEVICE_GRANT, "refresh_token"],
        response_types=["code"] if redirect_uri else [],
        client_name=CLIENT_NAME,
        scope=" ".join(scopes) if scopes else None,
        application_type="native" if is_native else "web",
    )
    members = metadata.model_dump(mode="json", exclude_none=True)
    if redirect_uri:
        members["redirect_uris"] = [redirect_uri]  # exactly as later requests have it
    return members


def _registration_failure(server: AuthorizationServer, fetched: Fetched) -> LoginFailed:
    place = f"{clean(server.issuer)} does not register the router"
    if fetched.status >= _SERVER_ERROR or fetched.status == _TOO_MANY:
        return Unreachable(f"{place}: HTTP {fetched.status}; try again later")
    members = decode_object(fetched.body) or {}
    said = clean(members.get("error_description")) or clean(members.get("error"))
    said = f": {said}" if said else f": HTTP {fetched.status}"
    return LoginFailed(f"{place}{said}; register it there, and set oauth.client_id")


def _registered(
    server: AuthorizationServer, redirect_uri: str, members: Mapping[str, Any] | None
) -> Client:
    """Return the client that an answer describes (RFC 7591 section 3.2.1)."""
    from mcp.shared.auth import OAuthClientInformationFull
    from pydantic import ValidationError

    place = f"{clean(server.issuer)} has registered the router"
    try:
        known = OAuthClientInformationFull.model_validate(members)
    except ValidationError:
        raise LoginFailed(f"{place}, but its answer cannot be understood") from None
    secret = known.client_secret or ""
    if not is_printable_ascii(known.client_id) or (secret and not is_printable_ascii(secret)):
        raise LoginFailed(f"{place}, but under a name or secret that cannot be sent")
    # A server that leaves the method out means `client_secret_basic` (RFC 7591 section 2).
    method = known.token_endpoint_auth_method or ("client_secret_basic" if secret else "none")
    if method == "none":
        secret = ""
    elif method not in _SECRET_METHODS or not secret:
        raise LoginFailed(f"{place}, but for {clean(method, 40)}, which it has no means for")
    return Client(
        known.client_id,
        secret,
        method,
        server.issuer,
        "registered",
        redirect_uri,
        float(max(known.client_secret_expires_at or 0, 0)) if secret else 0,
    )

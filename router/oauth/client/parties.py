"""Introduces the router to the authorization server of an instance: discovery and registration.

Invariants:

- A client that the entry names belongs to one authorization server (MCP 2026-07-28, Authorization
  Server Binding): the first one it was used with, or `oauth.issuer`. Its secret goes to no other.
- A registration is used only at the server that made it, and with the redirect URI it was made for.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import attrs
import trio
from msgspec import Struct

from router.oauth.client.login_results import LoginFailed
from router.oauth.client.login_store import client_key, configured_client_key
from router.oauth.client.protocol import clients, discovery
from router.oauth.client.protocol.challenges import NO_CHALLENGE, bearer
from router.oauth.client.protocol.requests import Requests
from router.oauth.client.protocol.untrusted import canonical, clean, merge

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.messages.instances.instance_spec import InstanceSpec
    from router.oauth.client.login_store import LoginStore
    from router.oauth.client.protocol.challenges import Challenge
    from router.oauth.client.protocol.clients import Client
    from router.oauth.client.protocol.discovery import AuthorizationServer, Resource
    from router.oauth.client.protocol.token_endpoint import TokenRefused
    from transports.outbound.fetched import Fetch

_UNAUTHORIZED: Final = 401


@attrs.frozen
class Surroundings:
    """The things outside of a login that it works with.

    Attributes:
        fetch: does requests.
        store: keeps logins and registrations.
        public_url: the URL of the router as it is now; "" for none.
        subject_token: principal -> the access token that this person sent last.
        now_s: the clock of tokens, Unix time in seconds.
    """

    fetch: Fetch = attrs.field(repr=False)
    store: LoginStore = attrs.field(repr=False)
    public_url: Callable[[], str] = attrs.field(repr=False)
    subject_token: Callable[[str], str | None] = attrs.field(repr=False)
    now_s: Callable[[], float] = time.time

    def requests(self, spec: InstanceSpec) -> Requests:
        """Return the requests for an instance."""
        return Requests(self.fetch, spec)


class Parties(Struct, frozen=True):
    """The participants of a login.

    Attributes:
        resource: the identifier that tokens are asked for (RFC 8707).
        server: that issues them.
        client: as which the router asks.
        scopes: to ask for; None for those that the server chooses.
    """

    resource: str
    server: AuthorizationServer
    client: Client
    scopes: tuple[str, ...] | None


async def introduce(
    around: Surroundings,
    spec: InstanceSpec,
    challenge: Challenge,
    *,
    redirect_uri: str = "",
    further_scopes: tuple[str, ...] = (),
    may_register: bool = True,
) -> Parties:
    """Find the authorization server of an instance, and be a client there.

    Args:
        around: see there.
        spec: of the instance.
        challenge: of its server; `NO_CHALLENGE` if that is not known.
        redirect_uri: for a login in a browser, else "".
        further_scopes: to ask for in any case.
        may_register: False for a grant that takes a client that the entry names.

    Raises:
        LoginFailed: one of them cannot be found, or does not want the router.
    """
    requests = around.requests(spec)
    resource = await discovery.find_resource(requests, challenge.resource_metadata)
    server = await _server_of(requests, resource)
    scopes = scopes_for(spec, challenge, resource, further_scopes)
    if redirect_uri:
        scopes = with_offline_access(spec, server, scopes)
    client = await _client_at(around, spec, server, redirect_uri, scopes, may_register=may_register)
    identifier = resource.resource if resource else canonical(spec.url)
    return Parties(identifier, server, client, scopes)


async def ask_for_challenge(around: Surroundings, spec: InstanceSpec) -> Challenge:
    """Return what the server of an instance says to a request without a token.

    It is `NO_CHALLENGE` for a server that says nothing of logins.
    """
    await trio.lowlevel.checkpoint()
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    accept = {"accept": "application/json, text/event-stream"}
    try:
        fetched = await around.requests(spec).post_json(spec.url, ping, {**spec.headers, **accept})
    except LoginFailed:
        return NO_CHALLENGE  # discovery will say more
    said = fetched.headers.get("www-authenticate", "")
    return (bearer(said) if fetched.status == _UNAUTHORIZED else None) or NO_CHALLENGE


async def _server_of(requests: Requests, resource: Resource | None) -> AuthorizationServer:
    spec = requests.spec
    wanted = spec.oauth.issuer if spec.oauth else ""
    named = resource.authorization_servers if resource else ()
    if wanted and named and wanted not in named:
        listed = ", ".join(clean(issuer, 100) for issuer in named[:5])
        problem = f"{spec.name} takes tokens of {listed}, and oauth.issuer is {wanted}"
        raise LoginFailed(f"{problem}; if that is right, change oauth.issuer")
    issuer = wanted or next(iter(named), "")
    if issuer:
        return await discovery.find_server(requests, issuer)
    found = await discovery.find_old_server(requests)
    return found or discovery.guessed_server(spec.url)


def scopes_for(
    spec: InstanceSpec, challenge: Challenge, resource: Resource | None, further: tuple[str, ...]
) -> tuple[str, ...] | None:
    """Return the scopes to ask for; None for those that the server chooses.

    They are those of the entry, else those of the challenge, else those of the metadata of the
    resource (MCP 2026-07-28, Scope Selection Strategy).
    """
    chosen = spec.oauth.scopes if spec.oauth else None
    if chosen is None:
        chosen = challenge.scopes
    if chosen is None:
        chosen = resource.scopes if resource else None
    if not further:
        return chosen
    return merge(chosen or (), further)


def with_offline_access(
    spec: InstanceSpec, server: AuthorizationServer, scopes: tuple[str, ...] | None
) -> tuple[str, ...] | None:
    """Return the scopes with the one that gets a refresh token, where the server has that one."""
    is_chosen_by_user = spec.oauth is not None and spec.oauth.scopes is not None
    if not scopes or is_chosen_by_user or "offline_access" not in (server.scopes or ()):
        return scopes
    return merge(scopes, ("offline_access",))


async def _client_at(
    around: Surroundings,
    spec: InstanceSpec,
    server: AuthorizationServer,
    redirect_uri: str,
    scopes: tuple[str, ...] | None,
    *,
    may_register: bool,
) -> Client:
    await trio.lowlevel.checkpoint()
    if spec.oauth and spec.oauth.client_id:
        return await _configured(around, spec, server)
    if not may_register:
        raise LoginFailed(f"oauth.client_id of {spec.name} is missing: its grant takes a client")
    if redirect_uri:
        known = clients.document_client(server, around.public_url(), redirect_uri)
        if known is not None:
            return known
    key = client_key(server.issuer, redirect_uri)
    saved = await around.store.read_client(key)
    if saved is not None and saved.serves(server.issuer, redirect_uri, around.now_s()):
        return saved
    client = await clients.register(around.requests(spec), server, redirect_uri, scopes)
    await around.store.write_client(key, client)
    return client


def lost_client(server: AuthorizationServer, client: Client, refusal: TokenRefused) -> list[str]:
    """Return the name of a registration that a server does not know any more, in a list."""
    codes = ("invalid_client", "unauthorized_client")
    is_lost = client.origin == "registered" and refusal.code in codes
    return [client_key(server.issuer, client.redirect_uri)] if is_lost else []


async def _configured(
    around: Surroundings, spec: InstanceSpec, server: AuthorizationServer
) -> Client:
    await trio.lowlevel.checkpoint()
    assert spec.oauth is not None
    client = clients.configured_client(spec.oauth, server)
    if spec.oauth.issuer:
        return client
    key = configured_client_key(spec, client.client_id)
    first = await around.store.read_client(key)
    if first is None:
        # Only the issuer of it counts.
        await around.store.write(key, clients.Client(client.client_id, issuer=server.issuer))
    elif first.issuer != server.issuer:
        problem = f"{spec.name} now takes tokens of {clean(server.issuer)}"
        known = f"and its oauth.client_id was used with {first.issuer}"
        raise LoginFailed(f"{problem}, {known}; if the change is right, set oauth.issuer to it")
    return client

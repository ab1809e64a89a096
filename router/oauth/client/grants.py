"""Gets tokens by each grant, for a login that is new or old.

Invariants:

- Each request names the resource (RFC 8707 section 2.2).
- The token of a person goes only to the identity provider that issued it, or to `oauth.issuer`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
import trio
from msgspec.structs import replace

from router.oauth.client.login_results import LoginFailed
from router.oauth.client.login_store import SavedLogin
from router.oauth.client.parties import Parties, introduce, scopes_for
from router.oauth.client.protocol import discovery, token_endpoint
from router.oauth.client.protocol.clients import configured_client
from router.oauth.client.protocol.token_endpoint import TokenRefused
from router.oauth.client.protocol.untrusted import canonical, is_safe_url

if TYPE_CHECKING:
    from router.messages.instances.instance_spec import InstanceSpec
    from router.messages.instances.oauth_login import OAuthLogin
    from router.oauth.client.parties import Surroundings
    from router.oauth.client.protocol.challenges import Challenge
    from router.oauth.client.protocol.clients import Client
    from router.oauth.client.protocol.requests import Requests
    from router.oauth.client.protocol.token_endpoint import Tokens

_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
_JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_TYPE: Final = "urn:ietf:params:oauth:token-type:"
_ACCESS_TOKEN: Final = f"{_TYPE}access_token"
_ID_JAG: Final = f"{_TYPE}id-jag"


def needs_a_person(spec: InstanceSpec) -> bool:
    """Return whether a person has to log in, in a browser or on a device."""
    return spec.oauth is None or spec.oauth.grant == "authorization_code"


def logs_in(spec: InstanceSpec) -> bool:
    """Return whether the router gets tokens for an instance."""
    has_token = any(name.lower() == "authorization" for name in spec.headers)
    return bool(spec.url) and spec.may_log_in and not has_token


def why_nobody_logs_in(spec: InstanceSpec) -> str:
    """Return the reason; "" if a person may log in."""
    if not spec.url:
        return "it is no remote server"
    if not spec.may_log_in:
        return "its key oauth is off"
    if not logs_in(spec):
        return "its entry has headers.Authorization"
    if not needs_a_person(spec):
        return f'with oauth.grant "{spec.oauth.grant if spec.oauth else ""}", the router does so'
    return ""


def person_of(spec: InstanceSpec, person: str | None) -> str | None:
    """Return whose login serves a person: their own, or None for everybody's."""
    login = spec.oauth
    is_own = login is not None and (login.per_user or login.grant in ("token_exchange", "id_jag"))
    return person if is_own else None


def new_login(
    spec: InstanceSpec, person: str | None, parties: Parties, tokens: Tokens, now_s: float
) -> SavedLogin:
    """Return the login that came to these tokens."""
    login = SavedLogin(
        spec.name,
        person,
        parties.resource,
        parties.server,
        without_secret(parties.client),
        access_token="",
        scopes=parties.scopes or (),
        since_s=now_s,
    )
    return login.renewed(tokens, now_s)


def without_secret(client: Client) -> Client:
    """Return what is kept of a client: the entry has the secret of one that it names."""
    return replace(client, secret="") if client.origin == "configured" else client


def client_of(spec: InstanceSpec, login: SavedLogin) -> Client:
    """Return the client of a login, with its secret.

    Raises:
        LoginFailed: the server does not take what the entry has to show.
    """
    if login.client.origin != "configured" or spec.oauth is None:
        return login.client
    return configured_client(spec.oauth, login.server)


async def refresh(around: Surroundings, spec: InstanceSpec, login: SavedLogin) -> SavedLogin:
    """Return the login with new tokens (RFC 6749 section 6).

    Raises:
        TokenRefused: the server gives none any more.
        LoginFailed: it could not be asked.
    """
    fields = {
        "grant_type": "refresh_token",
        "refresh_token": login.refresh_token,
        "resource": login.resource,
    }
    requests = around.requests(spec)
    client = client_of(spec, login)
    tokens = await token_endpoint.ask(requests, login.server, client, fields)
    return login.renewed(tokens, around.now_s())


async def revoke(around: Surroundings, spec: InstanceSpec, login: SavedLogin) -> None:
    """Revoke the tokens of a login, where that is offered (RFC 7009).

    Raises:
        LoginFailed: the server did not.
    """
    await trio.lowlevel.checkpoint()
    if not login.server.revocation_endpoint:
        return
    requests, client = around.requests(spec), client_of(spec, login)
    if login.refresh_token:
        # First, since it could get further access tokens.
        await token_endpoint.revoke(
            requests, login.server, client, login.refresh_token, "refresh_token"
        )
    try:
        await token_endpoint.revoke(
            requests, login.server, client, login.access_token, "access_token"
        )
    except TokenRefused as exc:
        # Signed tokens, which nobody looks up, end by themselves (RFC 7009 section 2.2.1).
        if exc.code != "unsupported_token_type":
            raise


async def acquire(
    around: Surroundings,
    spec: InstanceSpec,
    person: str | None,
    challenge: Challenge,
    further_scopes: tuple[str, ...],
) -> SavedLogin:
    """Return a login by a grant that takes no person at a browser.

    Raises:
        TokenRefused: the server gives no token.
        LoginFailed: the entry lacks something, or a server could not be asked.
    """
    assert spec.oauth is not None
    if not spec.oauth.client_id:
        raise LoginFailed(f"oauth.client_id of {spec.name} is missing: its grant takes a client")
    if spec.oauth.grant == "client_credentials":
        return await _client_credentials(around, spec, person, challenge, further_scopes)
    return await _from_subject(around, spec, person, challenge, further_scopes)


async def _client_credentials(
    around: Surroundings,
    spec: InstanceSpec,
    person: str | None,
    challenge: Challenge,
    further_scopes: tuple[str, ...],
) -> SavedLogin:
    """Get a token for the router itself (RFC 6749 section 4.4)."""
    parties = await introduce(
        around, spec, challenge, further_scopes=further_scopes, may_register=False
    )
    if parties.client.auth_method == "none":
        way_out = "set oauth.client_secret or oauth.private_key"
        raise LoginFailed(f"oauth of {spec.name} has nothing to show for its client; {way_out}")
    fields = {
        "grant_type": "client_credentials",
        "resource": parties.resource,
        **_scope(parties.scopes),
    }
    requests = around.requests(spec)
    tokens = await token_endpoint.ask(requests, parties.server, parties.client, fields)
    return new_login(spec, person, parties, tokens, around.now_s())


async def _from_subject(
    around: Surroundings,
    spec: InstanceSpec,
    person: str | None,
    challenge: Challenge,
    further_scopes: tuple[str, ...],
) -> SavedLogin:
    """Get a token for the person who calls, from the token that this person has sent."""
    login = spec.oauth
    assert login is not None
    provider, subject = _subject(around, spec, person)
    requests = attrs.evolve(around.requests(spec), named_by_user=(provider,))
    resource = await discovery.find_resource(requests, challenge.resource_metadata)
    identifier = resource.resource if resource else canonical(spec.url)
    scopes = scopes_for(spec, challenge, resource, further_scopes)
    fields = {
        "grant_type": _EXCHANGE,
        "subject_token": subject,
        "subject_token_type": f"{_TYPE}{login.subject_token_type}",
        "resource": identifier,
        **_scope(scopes),
    }
    exchange = _id_jag if login.grant == "id_jag" else _token_exchange
    parties, tokens = await exchange(requests, login, provider, fields)
    known = Parties(identifier, parties.server, parties.client, scopes)
    return new_login(spec, person, known, tokens, around.now_s())


def _subject(around: Surroundings, spec: InstanceSpec, person: str | None) -> tuple[str, str]:
    """Return the identity provider of a person, and the token that this person sent."""
    subject = around.subject_token(person) if person else None
    # The name of a principal of OAuth begins with the issuer of its token.
    issuer = (person or "").partition(" ")[0]
    if subject is None or not is_safe_url(issuer):
        problem = f"{spec.name} is reached with the access token of the person who calls"
        raise LoginFailed(f"{problem}, and there is none; log in to the router by your provider")
    return issuer, subject


async def _token_exchange(
    requests: Requests, login: OAuthLogin, provider: str, fields: dict[str, str]
) -> tuple[Parties, Tokens]:
    """Exchange the token of a person for one for the resource (RFC 8693)."""
    server = await discovery.find_server(requests, login.issuer or provider)
    client = configured_client(login, server)
    wanted = {
        "audience": login.token_audience or fields["resource"],
        "requested_token_type": _ACCESS_TOKEN,
    }
    tokens = await token_endpoint.ask(requests, server, client, {**fields, **wanted})
    return Parties(fields["resource"], server, client, None), tokens


async def _id_jag(
    requests: Requests, login: OAuthLogin, provider: str, fields: dict[str, str]
) -> tuple[Parties, Tokens]:
    """Have the identity provider vouch for a person at another authorization server.

    See draft-ietf-oauth-identity-assertion-authz-grant: RFC 8693 at the provider, then RFC 7523.
    """
    if not login.issuer:
        # Else the server of the instance would choose who gets the client's secret.
        raise LoginFailed("oauth.issuer is missing: the authorization server of the instance")
    server = await discovery.find_server(requests, login.issuer)
    identity = await discovery.find_server(requests, provider)
    wanted = {
        "audience": login.token_audience or server.issuer,
        "requested_token_type": _ID_JAG,
    }
    voucher = await token_endpoint.ask(
        requests,
        identity,
        configured_client(_at_provider(login), identity),
        {**fields, **wanted},
        is_assertion=True,
    )
    client = configured_client(login, server)
    claim = {
        "grant_type": _JWT_BEARER,
        "assertion": voucher.access_token,
        "resource": fields["resource"],
    }
    if "scope" in fields:
        claim["scope"] = fields["scope"]
    tokens = await token_endpoint.ask(requests, server, client, claim)
    return Parties(fields["resource"], server, client, None), tokens


def _at_provider(login: OAuthLogin) -> OAuthLogin:
    """Return the client that an entry names for the identity provider."""
    if not login.idp_client_id:
        return login
    key = "" if login.idp_client_secret else login.private_key
    secret = login.idp_client_secret
    return replace(login, client_id=login.idp_client_id, client_secret=secret, private_key=key)


def _scope(scopes: tuple[str, ...] | None) -> dict[str, str]:
    return {"scope": " ".join(scopes)} if scopes else {}

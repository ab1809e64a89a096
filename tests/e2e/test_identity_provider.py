"""The authorization servers that other tests meet do what those tests take for granted."""

from __future__ import annotations

import base64
import hashlib
import json
import urllib.parse
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e import identity_provider as idp

if TYPE_CHECKING:
    from collections.abc import Iterator

CALLBACK: Final = "http://127.0.0.1:5/oauth/callback"
RESOURCE: Final = "http://127.0.0.1:5/mcp"
VERIFIER: Final = "v" * 43


@pytest.fixture(scope="module")
def provider() -> Iterator[idp.IdentityProvider]:
    with idp.identity_provider() as provider:
        yield provider


def claims_of(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def authorization_url(metadata: dict[str, Any], client_id: str, **more: str) -> str:
    challenge = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=")
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": CALLBACK,
        "state": "s",
        "code_challenge": challenge.decode(),
        "code_challenge_method": "S256",
        "resource": RESOURCE,
        **more,
    }
    return f"{metadata['authorization_endpoint']}?{urllib.parse.urlencode(query)}"


def test_a_login_by_forms_gives_tokens_and_a_refresh_token_works_once(
    provider: idp.IdentityProvider,
) -> None:
    url = authorization_url(provider.metadata, idp.CLIENT_ID, scope="openid mcp.call")
    came_back = urllib.parse.urlsplit(idp.log_in(url, "alice"))
    query = dict(urllib.parse.parse_qsl(came_back.query))
    assert (query["state"], query["iss"]) == ("s", provider.issuer)

    tokens = provider.token(
        grant_type="authorization_code",
        code=query["code"],
        code_verifier=VERIFIER,
        redirect_uri=CALLBACK,
        client_id=idp.CLIENT_ID,
    )
    claims = claims_of(tokens["access_token"])
    wanted = ("alice", RESOURCE, "mcp.call", ["ops"])
    assert tuple(claims[name] for name in ("sub", "aud", "scope", "groups")) == wanted
    assert claims_of(tokens["id_token"])["groups"] == ["ops"]

    refresh = {"grant_type": "refresh_token", "client_id": idp.CLIENT_ID}
    renewed = provider.token(**refresh, refresh_token=tokens["refresh_token"])
    assert renewed["refresh_token"] != tokens["refresh_token"]
    with pytest.raises(AssertionError, match="invalid_grant"):
        provider.token(**refresh, refresh_token=tokens["refresh_token"])
    failed = json.loads(provider.said.wait_for(r'.*"error":"invalid_grant".*')[0])
    assert failed["grant"] == "refresh_token"


def test_a_device_is_let_in_by_forms(provider: idp.IdentityProvider) -> None:
    asked = {"client_id": idp.CLIENT_ID, "scope": "openid"}
    start = idp.fetch_json(provider.metadata["device_authorization_endpoint"], asked)
    assert "successful" in idp.approve_device(start["verification_uri"], start["user_code"])
    tokens = provider.token(
        grant_type="urn:ietf:params:oauth:grant-type:device_code",
        device_code=start["device_code"],
        client_id=idp.CLIENT_ID,
    )
    assert tokens["access_token"]


def test_a_machine_gets_a_token_for_a_resource(provider: idp.IdentityProvider) -> None:
    claims = claims_of(provider.machine_token(RESOURCE))
    assert (claims["iss"], claims["aud"]) == (provider.issuer, RESOURCE)


def test_the_mock_issuer_signs_what_it_is_asked_to() -> None:
    with idp.mock_issuer() as issuer:
        token = issuer.signed({"sub": "eve", "exp": 5, "nbf": None})
        claims = claims_of(token)
        assert (claims["iss"], claims["sub"], claims["exp"]) == (issuer.issuer, "eve", 5)
        assert "nbf" not in claims
        issuer.new_key()
        assert len(idp.fetch_json(issuer.metadata["jwks_uri"])["keys"]) == 2


def test_the_examples_of_the_sdk_log_in_by_their_form() -> None:
    with idp.sdk_authorization_server() as server, idp.sdk_protected_server(server) as url:
        status, headers = idp.status_of(url)
        assert status == 401
        assert "resource_metadata=" in headers["www-authenticate"]

        metadata = idp.fetch_json(f"{server}/.well-known/oauth-authorization-server")
        client = {"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none"}
        registered = idp.fetch_json(metadata["registration_endpoint"], json_body=client)
        login = authorization_url(metadata, registered["client_id"], scope="user")
        assert idp.log_in(login).startswith(f"{CALLBACK}?code=")

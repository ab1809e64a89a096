"""Requests for tokens: who asks, and which answers are taken."""

from __future__ import annotations

import time
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from router.messages.instances.oauth_login import OAuthLogin
from router.oauth.client.protocol.clients import Client
from router.oauth.client.protocol.discovery import AuthorizationServer
from router.oauth.client.protocol.requests import Requests, Unreachable
from router.oauth.client.protocol.token_endpoint import TokenRefused, Tokens, ask, lifetime_of
from tests.router.oauth.client.world import ISSUER, TOKEN, Request, World, spec

RSA = RSAKey.generate_key(2048)
SERVER = AuthorizationServer(ISSUER, token_endpoint=TOKEN)


async def answered(world: World, members: Any, status: int = 200) -> Tokens:
    world.token_answers = [(status, members)]
    client = Client("c")
    return await ask(Requests(world.fetch, spec()), SERVER, client, {"grant_type": "x"})


async def sent(
    world: World, client: Client, login: OAuthLogin | None = None, **server: Any
) -> Request:
    known = AuthorizationServer(ISSUER, token_endpoint=TOKEN, **server)
    await ask(Requests(world.fetch, spec(login)), known, client, {"grant_type": "x"})
    return world.sent_to(TOKEN)[-1]


@pytest.mark.parametrize(
    ("value", "lifetime_s"),
    [
        *((3600, 3600), ("60", 60), (59.5, 59.5), (None, None), (0, None), (-5, None)),
        *(("soon", None), (True, None), ([], None), ({}, None), ("nan", None), ("", None)),
        *((10**400, 315360000), ("1e999", 315360000), (10**18, 315360000)),
    ],
)
async def test_lifetime_is_a_number_of_seconds_or_unknown(
    world: World, value: Any, lifetime_s: float | None
) -> None:
    assert lifetime_of(value) == lifetime_s
    if value != 10**400:
        members = {"access_token": "a", "token_type": "bearer", "expires_in": value}
        assert (await answered(world, members)).lifetime_s == lifetime_s


async def test_lifetime_may_be_absent(world: World) -> None:
    tokens = await answered(world, {"access_token": "a", "token_type": "BEARER", "scope": "x  y"})
    assert tokens == Tokens("a", scopes=("x", "y"))
    assert "access_token" not in repr(tokens)


@pytest.mark.parametrize(
    "members",
    [
        {"access_token": "a", "token_type": "mac"},
        {"access_token": "a", "token_type": "DPoP"},
        {"access_token": "a", "token_type": None},
        {"token_type": "Bearer"},
        {"access_token": "", "token_type": "Bearer"},
        {"access_token": 7, "token_type": "Bearer"},
        {"access_token": "a\r\nx-evil: 1", "token_type": "Bearer"},
        {"access_token": "a b", "token_type": "Bearer"},
        {"access_token": "é", "token_type": "Bearer"},
        {"access_token": "a" * 20000, "token_type": "Bearer"},
    ],
)
async def test_token_that_no_header_can_hold_is_refused(world: World, members: Any) -> None:
    with pytest.raises(TokenRefused) as raised:
        await answered(world, members)
    assert raised.value.code == ""


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b"\xff", {"error": 7}, {"error": ""}])
async def test_answer_that_is_none_is_a_server_that_cannot_answer(world: World, body: Any) -> None:
    with pytest.raises(Unreachable):
        await answered(world, body)
    with pytest.raises(Unreachable):
        await answered(world, body, 400)


async def test_error_is_told_in_a_clean_line(world: World) -> None:
    answer = {"error": "invalid_\x1bgrant" * 99, "error_description": "x\n" * 9999}
    with pytest.raises(TokenRefused) as raised:
        await answered(world, answer, 400)
    assert raised.value.reason.isprintable()
    assert len(raised.value.reason) < 500


async def test_secret_in_a_header_is_encoded_as_in_a_form(world: World) -> None:
    request = await sent(world, Client("a b:c", "s/%é", "client_secret_basic"))
    # a+b%3Ac:s%2F%25%C3%A9
    assert request.headers["authorization"] == "Basic YStiJTNBYzpzJTJGJTI1JUMzJUE5"
    assert dict(request) == {"grant_type": "x", "client_id": "a b:c"}


async def test_secret_in_the_form(world: World) -> None:
    request = await sent(world, Client("a", "s", "client_secret_post"))
    assert dict(request) == {"grant_type": "x", "client_id": "a", "client_secret": "s"}
    assert "authorization" not in request.headers


@pytest.mark.parametrize(
    ("key", "offered", "algorithm"),
    [
        (ECKey.generate_key("P-256"), None, "ES256"),
        (ECKey.generate_key("P-384"), ("ES384",), "ES384"),
        (RSA, None, "RS256"),
        (RSA, ("PS256",), "PS256"),
    ],
    ids=lambda value: getattr(value, "key_type", None),
)
async def test_key_signs_who_asks(
    world: World, key: ECKey | RSAKey, offered: tuple[str, ...] | None, algorithm: str
) -> None:
    login = OAuthLogin(client_id="m", private_key=key.as_pem(private=True).decode())
    client = Client("m", auth_method="private_key_jwt")
    request = await sent(world, client, login, signing_algorithms=offered)
    assert request["client_assertion_type"].endswith(":jwt-bearer")
    token = jwt.decode(request["client_assertion"], key, algorithms=[algorithm])
    now_s = time.time()
    claims = token.claims
    assert claims.pop("jti")
    assert now_s - 5 < claims.pop("iat") <= now_s < claims.pop("exp") <= now_s + 300
    assert claims == {"iss": "m", "sub": "m", "aud": ISSUER}
    assert "private" not in repr(login)


async def test_public_key_cannot_sign(world: World) -> None:
    public = ECKey.generate_key("P-256").as_pem(private=False).decode()
    client = Client("m", auth_method="private_key_jwt")
    with pytest.raises(Exception, match="no PEM key of EC or RSA"):
        await sent(world, client, OAuthLogin(private_key=public))

"""Tokens for the person who calls, by token exchange and by an identity assertion."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
import trio

from router.messages.instances.oauth_login import OAuthLogin
from tests.router.oauth.client.world import ISSUER, SERVER_METADATA, TOKEN, Request, World, spec
from transports.connect.credentials import LoginNeeded

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

PROVIDER = "https://idp.test/realm"
ANN = f"{PROVIDER} ann"
PROVIDER_TOKEN = f"{PROVIDER}/token"
EXCHANGE = OAuthLogin(client_id="router", client_secret="s", grant="token_exchange")
ID_JAG = OAuthLogin(client_id="router", client_secret="s", grant="id_jag", issuer=ISSUER)
GRANT = "urn:ietf:params:oauth:grant-type:"
TYPE = "urn:ietf:params:oauth:token-type:"


@pytest.fixture
def provider(world: World) -> World:
    """The world, with an identity provider."""
    world.documents["https://idp.test/.well-known/oauth-authorization-server/realm"] = {
        **world.documents[SERVER_METADATA],
        "issuer": PROVIDER,
        "token_endpoint": PROVIDER_TOKEN,
    }
    world.documents[PROVIDER_TOKEN] = {"access_token": "exchanged", "token_type": "Bearer"}
    return world


def subject_token(person: str) -> str | None:
    return {ANN: "ann-token"}.get(person)


def sent_as(request: Request) -> str | None:
    """Return the client and its secret, as HTTP's own authentication has them."""
    scheme, _, pair = request.headers.get("authorization", "").partition(" ")
    return base64.b64decode(pair).decode() if scheme == "Basic" else None


async def refuse(world: World, folder: Path, login: OAuthLogin, person: str | None) -> Any:
    instance = spec(login)
    logins = world.logins(folder, instance, subject_token=subject_token)
    credentials = logins.credentials_for(instance, person)
    assert await credentials.refused(401, world.challenge, {})
    return credentials


async def test_token_of_the_person_is_exchanged_at_its_provider(
    provider: World, tmp_path: Path
) -> None:
    credentials = await refuse(provider, tmp_path, EXCHANGE, ANN)
    assert await credentials.headers() == {"authorization": "Bearer exchanged"}
    (request,) = provider.sent_to(PROVIDER_TOKEN)
    assert dict(request) == {
        "client_id": "router",
        "grant_type": f"{GRANT}token-exchange",
        "subject_token": "ann-token",
        "subject_token_type": f"{TYPE}access_token",
        "requested_token_type": f"{TYPE}access_token",
        "audience": "https://mcp.test/mcp",
        "resource": "https://mcp.test/mcp",
        "scope": "read",
    }
    assert provider.private[PROVIDER_TOKEN]  # the user has named it, in `security.oauth`
    # The authorization server that the instance names gets nothing.
    assert not [request for request in provider.requests if request.url.startswith(ISSUER)]
    assert not (tmp_path / "logins.json").exists()


async def test_token_is_exchanged_where_the_entry_says_so(provider: World, tmp_path: Path) -> None:
    login = OAuthLogin(
        client_id="r", client_secret="s", grant="token_exchange", issuer=ISSUER, token_audience="a"
    )
    await refuse(provider, tmp_path, login, ANN)
    assert provider.sent_to(TOKEN)[0]["audience"] == "a"
    assert not provider.sent_to(PROVIDER_TOKEN)


async def test_provider_vouches_for_the_person(provider: World, tmp_path: Path) -> None:
    provider.documents[PROVIDER_TOKEN] = {
        "access_token": "voucher",
        "issued_token_type": f"{TYPE}id-jag",
        "token_type": "N_A",
    }
    credentials = await refuse(provider, tmp_path, ID_JAG, ANN)
    (first,) = provider.sent_to(PROVIDER_TOKEN)
    assert first["requested_token_type"] == f"{TYPE}id-jag"
    assert first["audience"] == ISSUER
    assert first["resource"] == "https://mcp.test/mcp"
    (second,) = provider.sent_to(TOKEN)
    assert dict(second) == {
        "client_id": "router",
        "grant_type": f"{GRANT}jwt-bearer",
        "assertion": "voucher",
        "resource": "https://mcp.test/mcp",
        "scope": "read",
    }
    assert await credentials.headers() == {"authorization": "Bearer access-1"}


@pytest.mark.parametrize(
    ("secrets", "basic"),
    [
        ({"client_secret": "s", "idp_client_secret": "i"}, "idp:i"),
        ({"client_secret": "s"}, None),  # the secret of one server does not go to another
    ],
)
async def test_router_has_a_client_of_its_own_at_the_provider(
    provider: World, tmp_path: Path, secrets: dict[str, Any], basic: str | None
) -> None:
    login = OAuthLogin(
        client_id="router",
        idp_client_id="idp",
        grant="id_jag",
        issuer=ISSUER,
        subject_token_type="id_token",
        **secrets,
    )
    await refuse(provider, tmp_path, login, ANN)
    (first,), (second,) = provider.sent_to(PROVIDER_TOKEN), provider.sent_to(TOKEN)
    assert first["subject_token_type"] == f"{TYPE}id_token"
    assert (first["client_id"], sent_as(first)) == ("idp", basic)
    assert (second["client_id"], sent_as(second)) == ("router", "router:s")


@pytest.mark.parametrize("person", [None, "static-token", f"{PROVIDER} bob", "http://x.test ann"])
@pytest.mark.parametrize("login", [EXCHANGE, ID_JAG])
async def test_nobody_gets_the_token_of_somebody_else(
    provider: World, tmp_path: Path, login: OAuthLogin, person: str | None
) -> None:
    instance = spec(login)
    logins = provider.logins(tmp_path, instance, subject_token=subject_token)
    ann = logins.credentials_for(instance, ANN)
    assert await ann.refused(401, provider.challenge, {})
    other = logins.credentials_for(instance, person)
    assert await other.headers() == {}
    with pytest.raises(LoginNeeded, match="log in to the router by your provider"):
        await other.refused(401, provider.challenge, {})


async def test_assertion_needs_an_issuer_that_the_user_has_named(
    provider: World, tmp_path: Path
) -> None:
    login = OAuthLogin(client_id="router", client_secret="s", grant="id_jag")
    with pytest.raises(LoginNeeded, match=r"oauth\.issuer is missing"):
        await refuse(provider, tmp_path, login, ANN)
    assert not provider.sent_to(PROVIDER_TOKEN)


async def test_token_of_a_person_who_has_left_is_not_exchanged_for_ever(
    provider: World, tmp_path: Path, autojump_clock: MockClock
) -> None:
    provider.documents[PROVIDER_TOKEN]["expires_in"] = 3600
    tokens = {ANN: "ann-token"}
    asked: list[str] = []

    def subject(person: str) -> str | None:
        asked.append(person)
        return tokens.get(person)

    start_s = trio.current_time()
    instance = spec(EXCHANGE)
    logins = provider.logins(
        tmp_path, instance, subject_token=subject, now_s=lambda: trio.current_time() - start_s
    )
    assert await logins.credentials_for(instance, ANN).refused(401, provider.challenge, {})
    tokens.clear()
    with trio.move_on_after(30 * 24 * 3600):
        await logins.run()
    assert 1 < len(asked) < 20

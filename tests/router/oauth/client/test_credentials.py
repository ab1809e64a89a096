"""401 and 403 of a remote server, and what follows from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from router.messages.instances.oauth_login import OAuthLogin
from router.oauth.client.credentials import MOST_STEP_UPS
from tests.router.oauth.client.world import (
    CALLBACK,
    RESOURCE_METADATA,
    SERVER_METADATA,
    TOKEN,
    World,
    log_in,
    spec,
)
from transports.connect.credentials import LoginNeeded

if TYPE_CHECKING:
    from pathlib import Path

    from router.oauth.client.logins import Logins

MACHINE = OAuthLogin(client_id="m", client_secret="s3cret", grant="client_credentials")


def forbidden(scopes: str) -> str:
    return f'Bearer error="insufficient_scope", scope="{scopes}"'


async def reason(call: Any) -> str:
    with pytest.raises(LoginNeeded) as raised:
        await call
    return str(raised.value)


async def test_challenge_with_metadata_asks_for_a_login_without_a_request(
    world: World, tmp_path: Path
) -> None:
    credentials = world.logins(tmp_path).credentials_for(spec(), None)
    assert await credentials.headers() == {}
    said = await reason(credentials.refused(401, world.challenge, {}))
    assert said == "nobody is logged in; run: mcp-router login notes"
    assert not world.requests


@pytest.mark.parametrize("challenges", ["Bearer", ""])
async def test_server_is_asked_once_whether_it_has_logins(
    world: World, tmp_path: Path, challenges: str
) -> None:
    credentials = world.logins(tmp_path).credentials_for(spec(), None)
    await reason(credentials.refused(401, challenges, {}))
    asked = len(world.requests)
    await reason(credentials.refused(401, challenges, {}))
    assert len(world.requests) == asked


async def test_server_without_logins_keeps_its_401(world: World, tmp_path: Path) -> None:
    world.documents.clear()
    credentials = world.logins(tmp_path).credentials_for(spec(), None)
    assert not await credentials.refused(401, "Bearer", {})
    assert not await credentials.refused(401, 'Basic realm="x"', {})
    assert not await credentials.refused(403, "", {})
    assert not await credentials.refused(500, world.challenge, {})


async def test_server_whose_metadata_cannot_be_read_keeps_its_401(
    world: World, tmp_path: Path
) -> None:
    world.documents[RESOURCE_METADATA] = (503, {})
    credentials = world.logins(tmp_path).credentials_for(spec(), None)
    assert not await credentials.refused(401, "Bearer", {})


async def test_further_scopes_are_asked_for_beside_those_that_there_are(
    world: World, tmp_path: Path
) -> None:
    logins = world.logins(tmp_path)
    await log_in(world, logins)
    credentials = logins.credentials_for(spec(), None)
    sent = await credentials.headers()
    with pytest.raises(LoginNeeded, match="further scopes: admin") as raised:
        await credentials.refused(403, forbidden("admin read"), sent)
    assert raised.value.is_for_one_request
    for _ in range(2 * MOST_STEP_UPS):  # the same for each call that wants them
        assert "admin" in await reason(credentials.refused(403, forbidden("admin"), sent))
    assert not await credentials.refused(403, forbidden("read"), sent)
    assert not await credentials.refused(403, 'Bearer error="invalid_token"', sent)
    assert await credentials.headers() == sent  # it is as good as before for everything else
    start = await logins.begin("notes", None, CALLBACK)
    assert "scope=admin+read&" in f"{start.url}&"
    await logins.finish(world.approve(start.url))
    assert await credentials.refused(403, forbidden("admin"), sent)
    assert not await credentials.refused(403, forbidden("admin"), await credentials.headers())


async def test_further_scopes_without_a_person_are_bounded(world: World, tmp_path: Path) -> None:
    machine = spec(MACHINE)
    credentials = world.logins(tmp_path, machine).credentials_for(machine, None)
    assert await credentials.refused(401, world.challenge, {})
    for number in range(MOST_STEP_UPS):
        sent = await credentials.headers()
        assert await credentials.refused(403, forbidden(f"s{number}"), sent)
    sent = await credentials.headers()
    assert not await credentials.refused(403, forbidden("one-more"), sent)
    assert [request["scope"] for request in world.sent_to(TOKEN)][:3] == [
        *("read", "s0 read", "s1 s0 read")
    ]


async def test_scope_that_is_refused_leaves_the_token(world: World, tmp_path: Path) -> None:
    machine = spec(MACHINE)
    logins = world.logins(tmp_path, machine)
    credentials = logins.credentials_for(machine, None)
    assert await credentials.refused(401, world.challenge, {})
    sent = await credentials.headers()
    world.token_answers = [(400, {"error": "invalid_scope"})]
    assert not await credentials.refused(403, forbidden("admin"), sent)
    assert await credentials.headers() == sent
    assert "invalid_scope" in logins.state_of("notes", None).problem


async def test_client_credentials_need_no_person(world: World, tmp_path: Path) -> None:
    machine = spec(MACHINE)
    logins = world.logins(tmp_path, machine)
    credentials = logins.credentials_for(machine, None)
    assert await credentials.refused(401, world.challenge, {})
    assert await credentials.headers() == {"authorization": "Bearer access-1"}
    (request,) = world.sent_to(TOKEN)
    assert dict(request) == {
        "client_id": "m",
        "grant_type": "client_credentials",
        "resource": "https://mcp.test/mcp",
        "scope": "read",
    }
    assert request.headers["authorization"] == "Basic bTpzM2NyZXQ="
    world.now_s += 3600
    assert await credentials.headers() == {"authorization": "Bearer access-2"}
    assert "access" not in (tmp_path / "logins.json").read_text()


async def test_refused_client_is_told_and_asked_for_again_after_a_change(
    world: World, tmp_path: Path
) -> None:
    machine = spec(MACHINE)
    logins = world.logins(tmp_path, machine)
    credentials = logins.credentials_for(machine, None)
    world.token_answers = [(401, {"error": "invalid_client"})]
    assert "invalid_client" in await reason(credentials.refused(401, world.challenge, {}))
    assert "invalid_client" in await reason(credentials.refused(401, world.challenge, {}))
    assert len(world.sent_to(TOKEN)) == 1
    changed = spec(OAuthLogin(client_id="m", client_secret="new", grant="client_credentials"))
    logins.take_specs([changed])
    assert await credentials.refused(401, world.challenge, {})


async def test_unreachable_server_is_tried_again_later(world: World, tmp_path: Path) -> None:
    machine = spec(MACHINE)
    credentials = world.logins(tmp_path, machine).credentials_for(machine, None)
    world.token_answers = [(503, {})]
    assert not await credentials.refused(401, world.challenge, {})
    assert not await credentials.refused(401, world.challenge, {})
    assert len(world.sent_to(TOKEN)) == 1
    world.now_s += 6
    assert await credentials.refused(401, world.challenge, {})


async def test_secret_goes_to_no_other_authorization_server(world: World, tmp_path: Path) -> None:
    machine = spec(MACHINE)
    assert await _first(world.logins(tmp_path, machine)).refused(401, world.challenge, {})
    world.documents[RESOURCE_METADATA]["authorization_servers"] = ["https://evil.test"]
    world.documents["https://evil.test/.well-known/oauth-authorization-server"] = {
        **world.documents[SERVER_METADATA],
        "issuer": "https://evil.test",
        "token_endpoint": "https://evil.test/token",
    }
    said = await reason(_first(world.logins(tmp_path, machine)).refused(401, world.challenge, {}))
    assert "now takes tokens of https://evil.test" in said
    assert not world.sent_to("https://evil.test/token")


def _first(logins: Logins) -> Any:
    return logins.credentials_for(spec(MACHINE), None)


@pytest.mark.parametrize(
    ("login", "missing"),
    [
        (OAuthLogin(grant="client_credentials"), "oauth.client_id of notes"),
        (OAuthLogin(client_id="m", grant="client_credentials"), "oauth.client_secret"),
        (
            OAuthLogin(client_id="m", private_key="no key", grant="client_credentials"),
            "oauth.private_key is no PEM key of EC or RSA",
        ),
        (OAuthLogin(client_id="m", grant="token_exchange"), "there is none"),
    ],
)
async def test_missing_key_is_named(
    world: World, tmp_path: Path, login: OAuthLogin, missing: str
) -> None:
    lacking = spec(login)
    credentials = world.logins(tmp_path, lacking).credentials_for(lacking, None)
    assert missing in await reason(credentials.refused(401, world.challenge, {}))

"""Authorization servers are found, and what is not of them is not believed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from router.messages.instances.oauth_login import OAuthLogin
from router.oauth.client.login_results import LoginFailed
from tests.router.oauth.client.world import (
    CALLBACK,
    ISSUER,
    RESOURCE_METADATA,
    SERVER_METADATA,
    World,
    spec,
)

if TYPE_CHECKING:
    from pathlib import Path

    from router.messages.instances.instance_spec import InstanceSpec


async def begin(world: World, folder: Path, instance: InstanceSpec | None = None) -> str:
    """Begin a login, and return its URL."""
    logins = world.logins(folder, instance or spec())
    return (await logins.begin("notes", None, CALLBACK)).url


async def failure(world: World, folder: Path, instance: InstanceSpec | None = None) -> str:
    with pytest.raises(LoginFailed) as raised:
        await begin(world, folder, instance)
    assert raised.value.reason.isprintable()
    return raised.value.reason


def urls(world: World) -> list[str]:
    return [request.url for request in world.requests if request.method == "GET"]


async def test_metadata_that_the_challenge_names_come_first(world: World, tmp_path: Path) -> None:
    world.challenge = 'Bearer resource_metadata="https://meta.test/notes"'
    world.documents["https://meta.test/notes"] = world.documents.pop(RESOURCE_METADATA)
    assert "scope=read+write" in await begin(world, tmp_path)
    assert urls(world)[0] == "https://meta.test/notes"


@pytest.mark.parametrize(
    ("url", "resource"),
    [
        ("https://mcp.test/mcp", "https://mcp.test"),
        ("https://mcp.test/mcp", "https://mcp.test/"),
        ("https://mcp.test/mcp/", "HTTPS://MCP.test:443/mcp"),
        ("https://mcp.test/mcp?key=1", "https://mcp.test/mcp"),
    ],
)
async def test_resource_is_sent_exactly_as_the_server_writes_it(
    world: World, tmp_path: Path, url: str, resource: str
) -> None:
    world.documents[RESOURCE_METADATA]["resource"] = resource
    from urllib.parse import quote_plus

    assert f"resource={quote_plus(resource)}&" in f"{await begin(world, tmp_path, spec(url=url))}&"


@pytest.mark.parametrize(
    "resource",
    [
        *("https://evil.test/mcp", "https://mcp.test/other", "http://mcp.test/mcp"),
        *("https://mcp.test:8443/mcp", "https://mcp.test/mcp?x=1", "https://mcp.test/m"),
        "https://mcp.test/mcp/deeper",
    ],
)
async def test_metadata_of_another_resource_end_the_login(
    world: World, tmp_path: Path, resource: str
) -> None:
    world.documents[RESOURCE_METADATA]["resource"] = resource
    assert "are of another server" in await failure(world, tmp_path)
    assert SERVER_METADATA not in urls(world)


@pytest.mark.parametrize("place", ["http://mcp.test/meta", "ftp://x", "https://a@b.test/"])
async def test_metadata_without_tls_are_not_fetched(
    world: World, tmp_path: Path, place: str
) -> None:
    world.challenge = f'Bearer resource_metadata="{place}"'
    assert "no URL for https" in await failure(world, tmp_path)
    assert not urls(world)


async def test_metadata_of_another_issuer_end_the_login(world: World, tmp_path: Path) -> None:
    world.documents[SERVER_METADATA]["issuer"] = "https://evil.test"
    assert "another authorization server, https://evil.test" in await failure(world, tmp_path)


@pytest.mark.parametrize(
    ("issuer", "place"),
    [
        (ISSUER, f"{ISSUER}/.well-known/openid-configuration"),
        (f"{ISSUER}/t1", f"{ISSUER}/.well-known/oauth-authorization-server/t1"),
        (f"{ISSUER}/t1", f"{ISSUER}/.well-known/openid-configuration/t1"),
        (f"{ISSUER}/t1", f"{ISSUER}/t1/.well-known/openid-configuration"),
    ],
)
async def test_all_places_of_metadata_are_tried(
    world: World, tmp_path: Path, issuer: str, place: str
) -> None:
    metadata = world.documents.pop(SERVER_METADATA)
    world.documents[place] = {**metadata, "issuer": issuer}
    world.documents[RESOURCE_METADATA]["authorization_servers"] = [issuer]
    await begin(world, tmp_path)
    assert urls(world)[-1] == place


async def test_server_of_2025_03_26_is_its_own_authorization_server(
    world: World, tmp_path: Path
) -> None:
    metadata = world.documents.pop(SERVER_METADATA)
    world.documents.clear()
    world.documents["https://mcp.test/.well-known/oauth-authorization-server"] = {
        **metadata,
        "issuer": "https://mcp.test/",
    }
    world.challenge = "Bearer"
    url = await begin(world, tmp_path)
    assert "resource=https%3A%2F%2Fmcp.test%2Fmcp" in url
    assert "scope" not in url


async def test_server_of_2025_03_26_without_metadata_has_the_usual_endpoints(
    world: World, tmp_path: Path
) -> None:
    world.documents.clear()
    world.documents["https://mcp.test/register"] = (201, {"client_id": "old"})
    url = await begin(world, tmp_path)
    assert url.startswith("https://mcp.test/authorize?response_type=code&client_id=old&")
    assert "code_challenge_method=S256" in url


@pytest.mark.parametrize("status", [500, 503, 429])
@pytest.mark.parametrize("place", [RESOURCE_METADATA, SERVER_METADATA])
async def test_server_that_cannot_answer_is_not_taken_for_an_old_one(
    world: World, tmp_path: Path, status: int, place: str
) -> None:
    world.documents[place] = (status, {})
    assert f"HTTP {status}; try again later" in await failure(world, tmp_path)


@pytest.mark.parametrize(
    "document",
    [
        *(b"", b"<html>", b"[]", b"null", b"\xff", b'{"a": ' + b"[" * 5000, b"{" * 99),
        {"resource": 7, "authorization_servers": [ISSUER]},
        {"resource": "https://mcp.test/mcp", "authorization_servers": []},
        {"resource": "https://mcp.test/mcp", "authorization_servers": ["javascript:x"]},
        {"authorization_servers": [ISSUER]},
    ],
)
async def test_rubbish_is_no_metadata(world: World, tmp_path: Path, document: Any) -> None:
    world.documents[RESOURCE_METADATA] = (200, document)
    await failure(world, tmp_path)
    assert not [request for request in world.requests if ISSUER in request.url]


@pytest.mark.parametrize("key", ["token_endpoint", "registration_endpoint", "revocation_endpoint"])
async def test_endpoint_without_tls_ends_the_login(world: World, tmp_path: Path, key: str) -> None:
    world.documents[SERVER_METADATA][key] = "http://login.test/x"
    assert key in await failure(world, tmp_path)


async def test_configured_issuer_has_to_be_one_that_the_server_names(
    world: World, tmp_path: Path
) -> None:
    other = spec(OAuthLogin(issuer="https://other.test", client_id="c"))
    said = await failure(world, tmp_path, other)
    assert f"notes takes tokens of {ISSUER}, and oauth.issuer is https://other.test" in said
    world.documents[RESOURCE_METADATA]["authorization_servers"] = ["https://x.test", ISSUER]
    await begin(world, tmp_path, spec(OAuthLogin(issuer=ISSUER)))


async def test_refresh_token_is_asked_for_where_the_server_has_a_scope_for_it(
    world: World, tmp_path: Path
) -> None:
    world.documents[SERVER_METADATA]["scopes_supported"] = ["offline_access", "admin"]
    url = await begin(world, tmp_path)
    assert "scope=read+offline_access" in url
    assert "prompt=consent" in url
    url = await begin(world, tmp_path, spec(OAuthLogin(scopes=("mine",))))
    assert "scope=mine" in url
    assert "prompt" not in url


async def test_server_without_registration_names_the_way_out(world: World, tmp_path: Path) -> None:
    del world.documents[SERVER_METADATA]["registration_endpoint"]
    said = await failure(world, tmp_path)
    assert "set oauth.client_id" in said
    assert CALLBACK in said
    assert "client_id=mine" in await begin(world, tmp_path, spec(OAuthLogin(client_id="mine")))

"""Logging in in a browser, and on another device."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import trio

from router.messages.instances.oauth_login import OAuthLogin
from router.oauth.client.login_results import Finished, LoginFailed, LoginState
from router.oauth.client.logins import Logins
from tests.router.oauth.client.world import (
    CALLBACK,
    DEVICE,
    ISSUER,
    REGISTER,
    RESOURCE_METADATA,
    REVOKE,
    SERVER_METADATA,
    TOKEN,
    URL,
    World,
    log_in,
    spec,
)
from transports.outbound.fetched import Fetched, FetchFailed

if TYPE_CHECKING:
    from pathlib import Path


async def failure(call: Any) -> str:
    with pytest.raises(LoginFailed) as raised:
        await call
    return raised.value.reason


async def test_login_goes_from_discovery_to_a_token_that_survives_a_restart(
    world: World, tmp_path: Path
) -> None:
    logins = world.logins(tmp_path)
    changes: list[tuple[str, str | None]] = []
    logins.on_change = lambda name, person: changes.append((name, person))
    start = await logins.begin("notes", None, CALLBACK)
    asked = dict(parse_qsl(urlsplit(start.url).query))
    assert start.url.startswith(f"{ISSUER}/authorize?")
    assert len(asked.pop("code_challenge")) == 43
    assert len(asked.pop("state")) == 43
    assert asked == {
        "response_type": "code",
        "client_id": "router-1",
        "redirect_uri": CALLBACK,
        "code_challenge_method": "S256",
        "resource": URL,
        "scope": "read",
    }
    assert await logins.finish(world.approve(start.url)) == Finished("notes", None)
    assert changes == [("notes", None)]
    (exchange,) = world.sent_to(TOKEN)
    assert exchange["resource"] == URL
    assert exchange["redirect_uri"] == CALLBACK
    assert exchange["client_id"] == "router-1"
    assert logins.state_of("notes", None) == LoginState(
        is_logged_in=True,
        since_s=world.now_s,
        expires_at_s=world.now_s + 3600,
        is_renewed=True,
        scopes=("read",),
        issuer=ISSUER,
    )
    again = world.logins(tmp_path)
    headers = await again.credentials_for(spec(), None).headers()
    assert headers == {"authorization": "Bearer access-1"}


async def test_registration_names_the_redirect_uri_and_is_used_again(
    world: World, tmp_path: Path
) -> None:
    logins = world.logins(tmp_path)
    await log_in(world, logins)
    await log_in(world, logins)
    await log_in(world, world.logins(tmp_path))
    (registration,) = world.sent_to(REGISTER)
    told = json.loads(registration.content)
    assert told["redirect_uris"] == [CALLBACK]
    assert told["application_type"] == "native"
    assert told["token_endpoint_auth_method"] == "none"
    logins = world.logins(tmp_path)
    await logins.begin("notes", None, "https://router.test/oauth/callback")
    assert json.loads(world.sent_to(REGISTER)[1].content)["application_type"] == "web"


async def test_login_that_is_begun_again_registers_again(world: World, tmp_path: Path) -> None:
    # The first one ended at a page that says "unknown client", which the router never hears of.
    logins = world.logins(tmp_path)
    await logins.begin("notes", None, CALLBACK)
    world.registration = (201, {"client_id": "router-2"})
    start = await logins.begin("notes", None, CALLBACK)
    assert "client_id=router-2" in start.url
    await logins.finish(world.approve(start.url))
    await logins.begin("notes", None, CALLBACK)
    assert len(world.sent_to(REGISTER)) == 2


async def test_unfinished_login_elsewhere_is_another_one_though_its_client_has_the_same_name(
    world: World, tmp_path: Path
) -> None:
    other, issuer = "https://other.test/mcp", "https://login.other.test"
    register = f"{issuer}/register"
    world.documents |= {
        "https://other.test/.well-known/oauth-protected-resource/mcp": {
            "resource": other,
            "authorization_servers": [issuer],
        },
        f"{issuer}/.well-known/oauth-authorization-server": {
            **world.documents[SERVER_METADATA],
            "issuer": issuer,
            "registration_endpoint": register,
        },
        register: world.registration,
    }
    logins = world.logins(tmp_path, spec(), spec(name="mail", url=other))
    await logins.begin("notes", None, CALLBACK)
    await logins.begin("mail", None, CALLBACK)
    assert len(world.sent_to(register)) == 1


async def test_registration_that_is_refused_is_forgotten(world: World, tmp_path: Path) -> None:
    logins = world.logins(tmp_path)
    start = await logins.begin("notes", None, CALLBACK)
    world.token_answers = [(401, {"error": "invalid_client"})]
    assert "invalid_client" in await failure(logins.finish(world.approve(start.url)))
    await world.logins(tmp_path).begin("notes", None, CALLBACK)
    assert len(world.sent_to(REGISTER)) == 2


async def test_one_login_serves_every_person_unless_each_has_one(
    world: World, tmp_path: Path
) -> None:
    logins = world.logins(tmp_path)
    await log_in(world, logins, "ann")
    credentials = logins.credentials_for(spec(), "bob")
    assert await credentials.headers() == {"authorization": "Bearer access-1"}
    assert logins.state_of("notes", "bob").is_logged_in


async def test_registration_that_has_expired_is_done_again(world: World, tmp_path: Path) -> None:
    ends_at_s = world.now_s + 100
    world.registration = (
        201,
        {"client_id": "a", "client_secret": "s", "client_secret_expires_at": ends_at_s},
    )
    await log_in(world, world.logins(tmp_path))
    assert world.sent_to(TOKEN)[0].headers["authorization"] == "Basic YTpz"
    world.now_s += 101
    await log_in(world, world.logins(tmp_path))
    assert len(world.sent_to(REGISTER)) == 2


@pytest.mark.parametrize(
    "answer",
    [
        (201, {}),
        (201, {"client_id": 7}),
        (201, {"client_id": "a\nb"}),
        (201, {"client_id": "a", "token_endpoint_auth_method": "private_key_jwt"}),
        (201, {"client_id": "a", "token_endpoint_auth_method": "client_secret_basic"}),
        (201, b"\xff"),
        (400, {"error": "invalid_redirect_uri", "error_description": "no\x1b[31m\nway"}),
        (503, {}),
    ],
)
async def test_registration_that_is_no_use_ends_the_login(
    world: World, tmp_path: Path, answer: Any
) -> None:
    world.registration = answer
    reason = await failure(world.logins(tmp_path).begin("notes", None, CALLBACK))
    assert ISSUER in reason
    assert reason.isprintable()


async def test_document_names_the_router_where_the_server_takes_it(
    world: World, tmp_path: Path
) -> None:
    world.documents[SERVER_METADATA]["client_id_metadata_document_supported"] = True
    logins = world.logins(tmp_path, public_url=lambda: "https://router.test/")
    document = json.loads(logins.client_metadata_document() or b"")
    assert document["client_id"] == "https://router.test/oauth/client-metadata.json"
    start = await logins.begin("notes", None, document["redirect_uris"][0])
    assert dict(parse_qsl(urlsplit(start.url).query))["client_id"] == document["client_id"]
    assert not world.sent_to(REGISTER)
    await logins.begin("notes", None, CALLBACK)  # which is not in the document
    assert len(world.sent_to(REGISTER)) == 1
    assert world.logins(tmp_path).client_metadata_document() is None


async def test_state_serves_once_and_only_for_ten_minutes(world: World, tmp_path: Path) -> None:
    logins = world.logins(tmp_path)
    first = await logins.begin("notes", None, CALLBACK)
    query = world.approve(first.url)
    await logins.finish(query)
    assert "unknown, or was finished" in await failure(logins.finish(query))
    assert "unknown" in await failure(logins.finish({"state": "x", "code": "c", "iss": ISSUER}))
    assert "unknown" in await failure(logins.finish({}))
    late = await logins.begin("notes", None, CALLBACK)
    world.now_s += 601
    assert "too long" in await failure(logins.finish(world.approve(late.url)))
    assert len(world.sent_to(TOKEN)) == 1


async def test_code_of_another_login_is_of_no_use(world: World, tmp_path: Path) -> None:
    logins = world.logins(tmp_path)
    victim = await logins.begin("notes", None, CALLBACK)
    thief = await logins.begin("notes", None, CALLBACK)
    stolen = world.approve(victim.url, "stolen")
    reason = await failure(logins.finish({**stolen, "state": thief.state}))
    assert "invalid_grant (wrong code)" in reason
    assert not logins.state_of("notes", None).is_logged_in


@pytest.mark.parametrize("iss", [None, "https://evil.test", f"{ISSUER}/"])
async def test_answer_of_another_issuer_is_neither_used_nor_shown(
    world: World, tmp_path: Path, iss: str | None
) -> None:
    logins = world.logins(tmp_path)
    start = await logins.begin("notes", None, CALLBACK)
    query = world.approve(start.url) | {"error": "access_denied", "error_description": "SHOWN"}
    query = {key: value for key, value in query.items() if key != "iss"}
    reason = await failure(logins.finish(query | ({"iss": iss} if iss else {})))
    assert "is not used" in reason
    assert "SHOWN" not in reason
    assert not world.sent_to(TOKEN)


async def test_refusal_of_the_person_is_told_in_one_clean_line(
    world: World, tmp_path: Path
) -> None:
    logins = world.logins(tmp_path)
    start = await logins.begin("notes", None, CALLBACK)
    answer = {"state": start.state, "iss": ISSUER, "error": "access_denied"}
    reason = await failure(
        logins.finish({**answer, "error_description": "no\r\nSet-Cookie: a" + "x" * 9999})
    )
    assert "access_denied (no" in reason
    assert reason.isprintable()
    assert len(reason) < 400


@pytest.mark.parametrize("methods", [None, ["plain"], "S256"])
async def test_server_without_s256_is_refused(world: World, tmp_path: Path, methods: Any) -> None:
    world.documents[SERVER_METADATA]["code_challenge_methods_supported"] = methods
    reason = await failure(world.logins(tmp_path).begin("notes", None, CALLBACK))
    assert "PKCE" in reason or "no metadata" in reason


@pytest.mark.parametrize(
    "page",
    [
        "javascript:alert(1)",
        "file:///etc/passwd",
        "http://login.test/authorize",
        "https://user@login.test/authorize",
        "https://login.test/authorize#fragment",
        "https://login.test/authorize?state=mine",
        "",
    ],
)
async def test_page_that_is_not_safe_is_never_opened(
    world: World, tmp_path: Path, page: str
) -> None:
    world.documents[SERVER_METADATA]["authorization_endpoint"] = page
    await failure(world.logins(tmp_path).begin("notes", None, CALLBACK))


async def test_query_of_the_page_is_kept(world: World, tmp_path: Path) -> None:
    world.documents[SERVER_METADATA]["authorization_endpoint"] = f"{ISSUER}/a?tenant=1"
    start = await world.logins(tmp_path).begin("notes", None, CALLBACK)
    assert start.url.startswith(f"{ISSUER}/a?tenant=1&response_type=code&")


async def test_login_is_not_for_everything(world: World, tmp_path: Path) -> None:
    logins = world.logins(
        tmp_path,
        spec(name="local", url="", type="stdio"),
        spec(name="off", may_log_in=False),
        spec(name="own", headers={"Authorization": "Bearer mine"}),
        spec(OAuthLogin(client_id="a", client_secret="s", grant="client_credentials"), name="m"),
        spec(OAuthLogin(per_user=True), name="each"),
    )
    for name, why in {
        "nobody": "there is no instance nobody",
        "local": "no remote server",
        "off": "oauth is off",
        "own": "headers.Authorization",
        "m": "client_credentials",
        "each": "each person",
    }.items():
        assert why in await failure(logins.begin(name, None, CALLBACK))
    assert not world.requests


def test_no_library_is_imported_before_it_is_needed() -> None:
    slow = {"mcp", "pydantic", "httpx2", "joserfc", "cryptography"}
    program = f"import sys, router.oauth.client.logins; print({slow} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert ran.stdout.strip() == b"set()"


async def test_nothing_is_asked_for_an_instance_with_a_token(world: World, tmp_path: Path) -> None:
    own = spec(headers={"authorization": "Bearer mine"})
    credentials = world.logins(tmp_path, own).credentials_for(own, None)
    assert await credentials.headers() == {}
    assert not await credentials.refused(401, world.challenge, {})
    assert not world.requests


async def test_login_on_another_device(world: World, tmp_path: Path) -> None:
    logins = world.logins(tmp_path)
    start = await logins.begin_device("notes", None)
    assert (start.user_code, start.url) == ("WDJB-MJHT", f"{ISSUER}/device-page")
    assert "device-secret" not in repr(start)
    assert world.sent_to(DEVICE)[0]["resource"] == URL
    pending = (400, {"error": "authorization_pending"})
    world.token_answers = [pending, (400, {"error": "slow_down"}), None]
    assert await logins.poll_device(start.handle) is None
    assert await logins.poll_device(start.handle) is None  # too early: nothing is asked
    assert len(world.sent_to(TOKEN)) == 1
    world.now_s += 5
    assert await logins.poll_device(start.handle) is None
    world.now_s += 5
    assert await logins.poll_device(start.handle) is None  # the interval is 10 s by now
    world.now_s += 5
    assert await logins.poll_device(start.handle) == Finished("notes", None)
    assert len(world.sent_to(TOKEN)) == 3
    await failure(logins.poll_device(start.handle))


async def test_device_that_is_refused_or_not_offered_ends_the_login(
    world: World, tmp_path: Path
) -> None:
    logins = world.logins(tmp_path)
    start = await logins.begin_device("notes", None)
    world.token_answers = [(400, {"error": "expired_token"})]
    assert "expired_token" in await failure(logins.poll_device(start.handle))
    world.device = (200, {"device_code": "c", "user_code": "u", "verification_uri": "ftp://x"})
    assert "use a browser" in await failure(logins.begin_device("notes", None))
    del world.documents[SERVER_METADATA]["device_authorization_endpoint"]
    fresh = world.logins(tmp_path / "fresh")
    before = len(world.sent_to(REGISTER))
    assert "no login on another device" in await failure(fresh.begin_device("notes", None))
    assert len(world.sent_to(REGISTER)) == before


async def test_logout_revokes_and_forgets(world: World, tmp_path: Path) -> None:
    logins = world.logins(tmp_path)
    await log_in(world, logins)
    assert await logins.log_out("notes", None)
    revoked = [request["token"] for request in world.sent_to(REVOKE)]
    assert revoked == ["refresh-1", "access-1"]
    assert not logins.state_of("notes", None).is_logged_in
    assert not await logins.log_out("notes", None)
    assert await world.logins(tmp_path).credentials_for(spec(), None).headers() == {}


async def test_logout_counts_where_the_server_does_not_revoke(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logins = world.logins(tmp_path)
    await log_in(world, logins)
    world.documents[REVOKE] = (503, {})
    assert await logins.log_out("notes", None)
    assert "could not be revoked" in caplog.text
    assert not await logins.log_out("nobody", None)


async def test_logout_is_whole_where_signed_tokens_end_by_themselves(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logins = world.logins(tmp_path)
    world.token_extras = {"refresh_token": ""}
    await log_in(world, logins)
    world.documents[REVOKE] = (400, {"error": "unsupported_token_type"})
    assert await logins.log_out("notes", None)
    assert "could not be revoked" not in caplog.text


async def test_secret_that_the_server_does_not_take_is_told_of(
    world: World, tmp_path: Path
) -> None:
    metadata = world.documents[SERVER_METADATA]
    mine = spec(OAuthLogin(client_id="mine", client_secret="s3cret"))
    metadata["token_endpoint_auth_methods_supported"] = ["private_key_jwt"]
    reason = await failure(world.logins(tmp_path, mine).begin("notes", None, CALLBACK))
    assert f"{ISSUER} does not take oauth.client_secret, only: private_key_jwt" in reason
    metadata["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    await log_in(world, world.logins(tmp_path, mine))
    assert world.sent_to(TOKEN)[0]["client_secret"] == "s3cret"
    assert "s3cret" not in (tmp_path / "logins.json").read_text()


async def test_server_that_does_not_answer_is_named(world: World, tmp_path: Path) -> None:
    async def fail(*_: object, **__: object) -> Fetched:
        await trio.lowlevel.checkpoint()
        raise FetchFailed("mcp.test has no address")

    logins = Logins(tmp_path / "config.json", fail)
    logins.take_specs([spec()])
    reason = await failure(logins.begin("notes", None, CALLBACK))
    assert reason == "mcp.test does not answer: mcp.test has no address"


async def test_each_person_has_a_token_of_their_own(world: World, tmp_path: Path) -> None:
    each = spec(OAuthLogin(per_user=True))
    logins = world.logins(tmp_path, each)
    await log_in(world, logins, "ann")
    ann, bob = (logins.credentials_for(each, person) for person in ("ann", "bob"))
    assert await ann.headers() == {"authorization": "Bearer access-1"}
    assert await bob.headers() == {}
    await log_in(world, logins, "bob")
    assert await bob.headers() == {"authorization": "Bearer access-2"}
    again = world.logins(tmp_path, each)
    assert await again.credentials_for(each, "ann").headers() == await ann.headers()
    assert await again.credentials_for(each, None).headers() == {}


@pytest.mark.parametrize(
    "other",
    [
        spec(url="https://elsewhere.test/mcp"),
        spec(OAuthLogin(issuer="https://other.test")),
        spec(OAuthLogin(client_id="other")),
        spec(name="other"),
    ],
)
async def test_token_is_sent_nowhere_else(world: World, tmp_path: Path, other: Any) -> None:
    logins = world.logins(tmp_path)
    await log_in(world, logins)
    logins.take_specs([other])
    assert await logins.credentials_for(other, None).headers() == {}
    assert await world.logins(tmp_path, other).credentials_for(other, None).headers() == {}


async def test_instance_that_was_changed_during_the_login_gets_no_token(
    world: World, tmp_path: Path
) -> None:
    logins = world.logins(tmp_path)
    start = await logins.begin("notes", None, CALLBACK)
    logins.take_specs([spec(url="https://elsewhere.test/mcp")])
    assert "was changed since" in await failure(logins.finish(world.approve(start.url)))
    assert not world.sent_to(TOKEN)


async def test_no_secret_is_in_a_repr_or_a_log(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    logins = world.logins(tmp_path)
    start = await logins.begin("notes", None, CALLBACK)
    await logins.finish(world.approve(start.url, "the-code"))
    credentials = logins.credentials_for(spec(), None)
    shown = [repr(start), repr(credentials), repr(logins.state_of("notes", None)), caplog.text]
    shown += [repr(vars(logins)), repr(next(iter(vars(logins)["_held"].values())))]
    for secret in ("access-1", "refresh-1", "the-code", start.state):
        assert not any(secret in text for text in shown), secret


async def test_metadata_are_asked_for_with_private_addresses_only_where_the_user_named_the_host(
    world: World, tmp_path: Path
) -> None:
    await world.logins(tmp_path).begin("notes", None, CALLBACK)
    assert world.private == {
        URL: True,
        RESOURCE_METADATA: True,
        SERVER_METADATA: False,
        REGISTER: False,
    }
    world.private.clear()
    named = spec(OAuthLogin(issuer=ISSUER))
    await world.logins(tmp_path, named).begin("notes", None, CALLBACK)
    assert world.private[SERVER_METADATA]

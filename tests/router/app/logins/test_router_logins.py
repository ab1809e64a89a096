"""The logins as sessions and listeners use them."""

from __future__ import annotations

import attrs
import pytest

from router.messages.instances.instance_spec import CLIENT_MARK
from router.messages.instances.oauth_login import OAuthLogin
from tests.router.app.logins.fakes import OWN, PERSONAL, SHARED, FakeLogins, router_logins
from transports.connect.credentials import LoginNeeded
from transports.listen.serving.exchange import HttpRequest


async def test_person_is_told_the_page_and_everybody_is_not() -> None:
    logins = router_logins(FakeLogins(), [])
    shared = logins.credentials_for(SHARED, None)
    personal = logins.credentials_for(PERSONAL, "ana")
    logins.for_asking()
    for credentials, has_url in ((shared, False), (personal, True)):
        with pytest.raises(LoginNeeded, match="log in first") as caught:
            await credentials.headers()
        assert caught.value.login_url.startswith(f"{OWN}/oauth/login/") == has_url
        with pytest.raises(LoginNeeded, match="log in again") as again:
            await credentials.refused(401, "", {})
        assert again.value.login_url == caught.value.login_url


async def test_without_a_listener_there_is_no_page() -> None:
    credentials = router_logins(FakeLogins(), []).credentials_for(PERSONAL, "ana")
    with pytest.raises(LoginNeeded) as caught:
        await credentials.headers()
    assert caught.value.login_url == ""
    assert "FakeCredentials" in repr(credentials)


async def test_logs_mask_each_token_before_it_is_sent() -> None:
    fake = FakeLogins(sent="Bearer first-token")
    credentials = router_logins(fake, []).credentials_for(SHARED, None)
    for _ in range(2):
        assert await credentials.headers() == {"authorization": "Bearer first-token"}
    fake.sent = "Bearer second-token"
    await credentials.headers()
    assert fake.masked == ["first-token", "second-token"]


async def test_session_of_a_person_uses_the_login_of_the_instance() -> None:
    fake = FakeLogins()
    logins = router_logins(fake, [])
    logins.for_asking()
    session = attrs.evolve(PERSONAL, name=f"mail{CLIENT_MARK}2")
    with pytest.raises(LoginNeeded) as caught:
        await logins.credentials_for(session, "ana").headers()
    assert fake.asked_for == ["mail"]
    assert caught.value.login_url == logins.for_asking().login_url("mail", "ana")


async def test_error_names_one_way_out() -> None:
    fake = FakeLogins()
    logins = router_logins(fake, [])
    logins.for_asking()
    exchanged = attrs.evolve(
        PERSONAL, oauth=OAuthLogin(client_id="router", grant="token_exchange", per_user=True)
    )
    said = []
    for spec in (PERSONAL, exchanged):
        with pytest.raises(LoginNeeded) as caught:
            await logins.credentials_for(spec, "ana").headers()
        said.append((str(caught.value), bool(caught.value.login_url)))
    # Nobody logs in where the token of a person is exchanged: there is no page for that.
    assert said == [("log in first", True), ("log in first; do so", False)]


async def test_pages_ask_who_is_signed_in_where_a_person_can_be() -> None:
    logins = router_logins(FakeLogins(), [])
    asked: list[str] = []

    def sign_in_of(person: str) -> None:
        asked.append(person)

    logins.sign_in_of = sign_in_of
    url = logins.for_asking().login_url("mail", "ana").removeprefix(OWN)
    route = logins.open_routes().find(url)
    assert route is not None
    headers = {"host": "127.0.0.1:3000", "origin": OWN}
    assert (await route(HttpRequest("POST", url, headers, _no_body))).status == 403
    assert asked == ["ana"]


async def _no_body() -> bytes:
    return b""


def test_listeners_share_the_logins_and_their_routes() -> None:
    logins = router_logins(FakeLogins(), [])
    assert logins.for_asking() is logins.for_asking()
    routes = logins.open_routes()
    assert routes.find("/oauth/callback") is not None
    assert routes.find("/oauth/login/x") is not None
    assert routes.find("/oauth/other") is None

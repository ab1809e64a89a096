"""Browsers log in at an issuer and are admitted by their cookie, and nobody gets in another way."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest
import trio
import trio.testing

from router.config.security.browser_login import BrowserLogin
from router.config.security.oauth import Issuer
from router.messages.commands import Principal
from router.messages.errors import HttpRefusal
from router.oauth.browser.browser_logins import BrowserLogins
from router.oauth.browser.cookies import LOGIN, SESSION, new_word
from router.oauth.browser.issuer_client import MOST_REQUESTS
from router.oauth.browser.pending_logins import LOGIN_S
from tests.router.oauth.browser.fake_browser import HOST, FakeBrowser, header
from tests.router.oauth.browser.fake_issuer import CLIENT, URL, FakeIssuer

if TYPE_CHECKING:
    from collections.abc import Mapping

EVIL: Final = "https://evil.example.org"
ALICE: Final = Principal(f"{URL} alice", frozenset({"call", "read"}))


def check_site(headers: Mapping[str, str]) -> None:
    if headers["host"] not in (HOST, "mcp.example.org"):
        raise HttpRefusal(403, "Host is not allowed")


class Site:
    """A router's logins with one issuer."""

    def __init__(self, public_url: str = "", **entry: Any) -> None:
        self.issuer = FakeIssuer()
        self.entries: list[Issuer] = [self.issuer.configured(**entry)]
        self.logins = BrowserLogins(
            issuers=lambda: self.entries,
            public_url=lambda: public_url,
            check_site=check_site,
            fetch=self.issuer.fetch,
        )

    def browser(self, **how: str) -> FakeBrowser:
        return FakeBrowser(self.logins, **how)

    async def logged_in(self) -> FakeBrowser:
        browser = self.browser()
        assert (await browser.log_in(self.issuer)).status == 200
        return browser


# --- A login ---------------------------------------------------------------------------------


async def test_the_browser_is_sent_to_the_issuer_with_pkce_a_state_and_a_nonce() -> None:
    browser = Site().browser()
    location = urlsplit(await browser.begin())
    query = {name: value for name, (value,) in parse_qs(location.query).items()}
    assert f"{location.scheme}://{location.netloc}{location.path}" == f"{URL}/authorize"
    for name in ("state", "nonce", "code_challenge"):
        assert len(query.pop(name)) == 43
    assert query == {
        "response_type": "code",
        "client_id": CLIENT,
        "redirect_uri": f"http://{HOST}/login/callback",
        "scope": "openid mcp",
        "code_challenge_method": "S256",
    }
    attributes = browser.attributes[LOGIN]
    assert (attributes["httponly"], attributes["samesite"]) == (True, "Lax")
    assert attributes["max-age"] == str(LOGIN_S)


async def test_after_the_login_the_cookie_admits_as_the_person() -> None:
    site = Site()
    browser = site.browser()
    answer = await browser.log_in(site.issuer)
    assert answer.status == 200
    assert b'http-equiv="refresh" content="0; url=/docs"' in answer.body
    attributes = browser.attributes[SESSION]
    assert (attributes["httponly"], attributes["samesite"]) == (True, "Strict")
    assert list(browser.cookies) == [SESSION]
    assert browser.principal() == ALICE
    assert browser.principal("POST", origin=browser.origin) == ALICE
    assert browser.principal("", origin=browser.origin) == ALICE
    assert site.logins.is_known(ALICE)
    assert not site.logins.is_known(Principal(ALICE.name))
    assert browser.signed_in() == ALICE.name
    assert site.browser().signed_in() is None


async def test_the_table_of_the_issuer_decides_what_a_person_may() -> None:
    site = Site()
    site.issuer.scope, site.issuer.claims = "openid", {"groups": ["ops", "all"]}
    browser = await site.logged_in()
    assert browser.principal() == Principal(f"{URL} alice", frozenset({"admin"}))


async def test_a_person_to_whom_nothing_is_granted_gets_no_session() -> None:
    site = Site()
    site.issuer.scope, browser = "openid", site.browser()
    answer = await browser.log_in(site.issuer)
    assert answer.status == 403
    assert b"nothing that it says of you grants a permission" in answer.body
    assert SESSION not in browser.cookies


async def test_behind_tls_the_cookies_are_bound_to_this_host() -> None:
    site = Site("https://mcp.example.org/tools")
    browser = site.browser(host="mcp.example.org", scheme="https")
    location = await browser.begin()
    assert "redirect_uri=https%3A%2F%2Fmcp.example.org%2Flogin%2Fcallback" in location
    await browser.come_back(site.issuer.log_in(location))
    assert list(browser.cookies) == [f"__Host-{SESSION}"]
    assert browser.attributes[f"__Host-{SESSION}"]["secure"] is True
    assert browser.principal("POST", origin=browser.origin) == ALICE
    assert browser.principal("POST", origin="http://mcp.example.org") == 403
    browser.cookies = {SESSION: browser.cookies[f"__Host-{SESSION}"]}
    assert browser.principal() is None


async def test_the_page_learns_the_name_and_no_other_site_does() -> None:
    site = Site()
    site.issuer.claims = {"preferred_username": "Al\nice" + "!" * 200}
    browser = await site.logged_in()
    answer = await browser.ask("GET", "/login/who")
    assert answer.body.startswith(b'{"name":"Al\\\\nice!!!')
    assert len(answer.body) < 120
    for fetch_site in ("cross-site", "same-site"):
        answer = await browser.ask("GET", "/login/who", sec_fetch_site=fetch_site)
        assert answer.body == b'{"name":null}'
    assert (await site.browser().ask("GET", "/login/who")).body == b'{"name":null}'


async def test_a_client_with_a_secret_shows_it_as_the_issuer_wants_it() -> None:
    login = BrowserLogin(CLIENT, "a secret:word", ("email",))
    site = Site(login=login, permissions={"email:a@example.org": ("call",)})
    site.issuer.claims = {"email": "a@example.org"}
    browser = await site.logged_in()
    assert browser.principal() == Principal(f"{URL} alice", frozenset({"call"}))
    form, headers = site.issuer.tokens_sent[-1]
    # "router-client:a+secret%3Aword" in base64.
    assert headers["authorization"] == "Basic cm91dGVyLWNsaWVudDphK3NlY3JldCUzQXdvcmQ="
    assert "client_secret" not in form

    site = Site(login=login)
    site.issuer.scope = "mcp"
    site.issuer.metadata["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    await site.logged_in()
    form, headers = site.issuer.tokens_sent[-1]
    assert (form["client_secret"], "authorization" in headers) == ("a secret:word", False)


async def test_among_several_issuers_the_person_chooses() -> None:
    site = Site()
    other = "https://other.example.org"
    site.entries += [Issuer(other, "a", login=BrowserLogin("b")), Issuer("https://no.login", "a")]
    browser = site.browser()
    page = await browser.ask("GET", "/login", {"return_to": "/docs?a=b"})
    assert b'href="/login?return_to=%2Fdocs%3Fa%3Db&amp;issuer=https%3A%2F%2Fid.exa' in page.body
    assert other.encode() in page.body
    assert b"no.login" not in page.body
    assert (await browser.begin({"issuer": URL})).startswith(URL)
    for unknown in ("https://no.login", EVIL):
        assert (await browser.ask("GET", "/login", {"issuer": unknown})).status == 404


async def test_nothing_secret_is_in_the_log_or_in_an_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    site = Site(login=BrowserLogin(CLIENT, "client-secret-0123456789"))
    browser = site.browser()
    location = await browser.begin()
    login_word = browser.cookies[LOGIN]
    query = site.issuer.log_in(location)
    answer = await browser.come_back(query)
    again = await browser.come_back(query)
    (form, _), *_ = site.issuer.tokens_sent
    secrets = [
        login_word, browser.cookies[SESSION], query["code"], query["state"], form["code_verifier"],
        "client-secret-0123456789", "secret-access-token",
    ]  # fmt: skip
    for text in (caplog.text, answer.body.decode(), again.body.decode()):
        assert not [secret for secret in secrets if secret in text]
    assert "alice logged in with a browser" in caplog.text


# --- Logins that are refused -----------------------------------------------------------------


async def test_a_login_that_another_browser_began_is_refused_and_its_own_can_finish_it() -> None:
    """An attacker who sends a victim a link with the attacker's code logs nobody in."""
    site = Site()
    victim = site.browser()
    attacker = site.browser()
    query = site.issuer.log_in(await attacker.begin())
    assert (await victim.come_back(query)).status == 403
    await victim.begin()
    assert (await victim.come_back(query)).status == 403
    assert SESSION not in victim.cookies
    assert site.issuer.tokens_sent == []
    assert (await attacker.come_back(query)).status == 200


async def test_a_callback_works_once() -> None:
    site = Site()
    browser = site.browser()
    query = site.issuer.log_in(await browser.begin())
    word = browser.cookies[LOGIN]
    assert (await browser.come_back(query)).status == 200
    thief = site.browser()
    for other in (browser, thief):
        other.cookies[LOGIN] = word
        answer = await other.come_back(query)
        assert (answer.status, b"was finished before" in answer.body) == (400, True)
    assert SESSION not in thief.cookies
    assert len(site.issuer.tokens_sent) == 1


async def test_a_login_that_takes_too_long_is_refused(
    autojump_clock: trio.testing.MockClock,
) -> None:
    site = Site()
    browser = site.browser()
    query = site.issuer.log_in(await browser.begin())
    await trio.sleep(LOGIN_S)
    assert (await browser.come_back(query)).status == 400
    assert site.issuer.tokens_sent == []


async def test_an_answer_that_names_something_twice_is_refused() -> None:
    site = Site()
    browser = site.browser()
    query = site.issuer.log_in(await browser.begin())
    pairs = [f"{name}={value}" for name, value in query.items()]
    assert (await browser.come_back("&".join([*pairs, "state=x"]))).status == 400
    assert (await browser.come_back("&".join(["code=y", *pairs]))).status == 400
    assert site.issuer.tokens_sent == []


async def test_the_cookie_of_a_login_that_was_sent_twice_does_not_count() -> None:
    site = Site()
    browser = site.browser()
    query = site.issuer.log_in(await browser.begin())
    both = f"{LOGIN}={browser.cookies[LOGIN]}; {LOGIN}={new_word()}"
    assert (await browser.ask("GET", "/login/callback", query, cookie=both)).status == 403


@pytest.mark.parametrize("query", [{}, {"state": ""}, {"state": "x", "code": "y"}, {"code": "y"}])
async def test_an_answer_to_no_login_is_refused(query: dict[str, str]) -> None:
    assert (await Site().browser().come_back(query)).status == 400


@pytest.mark.parametrize("issuer", [EVIL, f"{URL}/", None])
async def test_an_answer_of_another_issuer_is_refused(issuer: str | None) -> None:
    site = Site()
    browser = site.browser()
    site.issuer.metadata["authorization_response_iss_parameter_supported"] = True
    query = site.issuer.log_in(await browser.begin())
    query = {**query, "iss": issuer} if issuer else {"code": query["code"], "state": query["state"]}
    assert (await browser.come_back(query)).status == 400
    assert site.issuer.tokens_sent == []


async def test_an_issuer_that_does_not_promise_its_name_need_not_send_it() -> None:
    site = Site()
    browser = site.browser()
    query = site.issuer.log_in(await browser.begin())
    del query["iss"]
    assert (await browser.come_back(query)).status == 200


async def test_the_words_of_an_issuer_for_an_error_are_shown_as_text_and_bounded() -> None:
    site = Site()
    browser = site.browser()
    query = site.issuer.log_in(await browser.begin())
    said = {"error": "access_denied", "error_description": "<script>\n" + "a" * 1000}
    answer = await browser.come_back({"state": query["state"], "iss": URL, **said})
    assert answer.status == 403
    assert b"access_denied: &lt;script&gt;\\naaa" in answer.body
    assert b"<script" not in answer.body
    assert len(answer.body) < 1000


@pytest.mark.parametrize(
    "return_to", [EVIL, "//evil.example.org", "/\\evil.example.org", "javascript:alert(1)"]
)
async def test_a_login_returns_to_this_site_only(return_to: str) -> None:
    site = Site()
    query = f"return_to={return_to}"
    assert (await site.browser().ask("GET", "/login", query)).status == 400
    assert site.issuer.asked == []


async def test_a_login_returns_to_the_page_that_began_it() -> None:
    site = Site()
    browser = site.browser()
    location = await browser.begin({"return_to": "/docs?a=\"><script>&b='#call_tool"})
    answer = await browser.come_back(site.issuer.log_in(location))
    assert b"url=/docs?a=&quot;&gt;&lt;script&gt;&amp;b=&#x27;#call_tool" in answer.body
    assert b"<script" not in answer.body


async def test_too_many_requests_to_the_issuer_at_once_are_refused() -> None:
    site = Site()
    browser = site.browser()
    go_on = trio.Event()
    fetch = site.issuer.fetch

    async def slow(method: str, url: str, **more: Any) -> Any:
        if method == "POST":
            await go_on.wait()
        return await fetch(method, url, **more)

    site.logins = BrowserLogins(lambda: site.entries, lambda: "", check_site, slow)
    browsers = [site.browser() for _ in range(MOST_REQUESTS + 1)]
    queries = [site.issuer.log_in(await browser.begin()) for browser in browsers]
    async with trio.open_nursery() as nursery:
        for browser, query in zip(browsers[:-1], queries[:-1], strict=True):
            nursery.start_soon(browser.come_back, query)
        await trio.testing.wait_all_tasks_blocked()
        assert (await browsers[-1].come_back(queries[-1])).status == 503
        go_on.set()
    assert [SESSION in browser.cookies for browser in browsers] == [True] * MOST_REQUESTS + [False]


@pytest.mark.parametrize("method", ["POST", "HEAD", "PUT"])
async def test_pages_take_get_only(method: str) -> None:
    browser = Site().browser()
    assert (await browser.ask(method, "/login", origin=EVIL)).status == 405
    assert (await browser.ask(method, "/login/callback")).status == 405


# --- The issuer's documents and tokens -------------------------------------------------------


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": EVIL},
        {"aud": "another-client"},
        {"aud": ["another-client"]},
        {"aud": [CLIENT, "another-client"]},
        {"aud": [CLIENT, "another-client"], "azp": "another-client"},
        {"azp": "another-client"},
        {"exp": 1_000_000},
        {"exp": None},
        {"iat": 99_999_999_999},
        {"nonce": "another"},
        {"nonce": None},
        {"sub": None},
        {"sub": ""},
        {"aud": None},
    ],
    ids=str,
)
async def test_an_id_token_that_was_not_made_for_this_login_is_refused(
    claims: dict[str, Any],
) -> None:
    site = Site()
    browser = site.browser()
    site.issuer.claims = claims
    answer = await browser.log_in(site.issuer)
    assert (answer.status, b"ID token is not valid" in answer.body) == (502, True)
    assert SESSION not in browser.cookies


async def test_an_id_token_for_several_names_the_party_that_it_is_for() -> None:
    site = Site()
    site.issuer.claims = {"aud": ["another-client", CLIENT], "azp": CLIENT}
    assert (await site.logged_in()).principal() == ALICE


async def test_an_id_token_that_another_key_signed_is_refused() -> None:
    site = Site()
    browser = site.browser()
    site.issuer.signs_with = FakeIssuer().key
    assert (await browser.log_in(site.issuer)).status == 502
    assert SESSION not in browser.cookies


async def test_a_code_that_the_issuer_refuses_logs_nobody_in() -> None:
    site = Site()
    browser = site.browser()
    query = site.issuer.log_in(await browser.begin())
    answer = await browser.come_back({**query, "code": "stolen-or-made-up"})
    assert answer.status == 502
    assert b"answered with 400 (invalid_grant: no such\\ncode)" in answer.body
    assert SESSION not in browser.cookies


@pytest.mark.parametrize(
    "answer", [(200, {}), (200, ["x"]), (200, {"id_token": 5}), (200, {"id_token": "a.b.c"})]
)
async def test_an_answer_without_a_readable_id_token_logs_nobody_in(answer: Any) -> None:
    site = Site()
    browser = site.browser()
    site.issuer.answer = answer
    assert (await browser.log_in(site.issuer)).status == 502
    assert SESSION not in browser.cookies


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": EVIL},
        {"token_endpoint": "http://id.example.org/token"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"jwks_uri": "file:///etc/passwd"},
        {"token_endpoint": 5},
    ],
    ids=str,
)
async def test_metadata_that_cannot_be_trusted_begins_no_login(metadata: dict[str, Any]) -> None:
    site = Site()
    browser = site.browser()
    site.issuer.metadata |= metadata
    assert (await browser.ask("GET", "/login")).status == 502
    assert LOGIN not in browser.cookies


async def test_only_the_host_of_the_issuer_itself_may_be_a_private_one() -> None:
    site = Site()
    site.issuer.metadata["token_endpoint"] = "https://elsewhere.example.org/token"
    await site.logged_in()
    assert {url: private for _, url, private in site.issuer.asked} == {
        f"{URL}/.well-known/openid-configuration": True,
        "https://elsewhere.example.org/token": False,
        f"{URL}/keys": True,
    }


async def test_the_keys_that_the_configuration_names_may_be_at_a_private_one() -> None:
    keys = "https://keys.example.org/keys"
    site = Site(jwks_uri=keys)
    site.issuer.metadata["jwks_uri"] = keys
    await site.logged_in()
    assert ("GET", keys, True) in site.issuer.asked


async def test_metadata_is_asked_for_once_however_many_log_in() -> None:
    site = Site()
    for _ in range(3):
        await site.logged_in()
    metadata = [url for _, url, _ in site.issuer.asked if "well-known" in url]
    assert len(metadata) == 1


# --- Sessions --------------------------------------------------------------------------------


async def test_a_session_that_was_there_before_the_login_is_not_the_session_after_it() -> None:
    """Session fixation: the attacker knows the word that the victim's browser had before."""
    site = Site()
    victim = site.browser()
    planted = new_word()
    victim.cookies[SESSION] = planted
    await victim.log_in(site.issuer)
    assert victim.cookies[SESSION] != planted
    attacker = site.browser()
    attacker.cookies[SESSION] = planted
    assert attacker.principal() is None

    before = victim.cookies[SESSION]
    await victim.log_in(site.issuer)
    attacker.cookies[SESSION] = before
    assert attacker.principal() is None
    assert victim.principal() == ALICE


async def test_with_two_cookies_of_sessions_nobody_is_admitted() -> None:
    """Cookie tossing: another server of this host adds the attacker's session to the victim's."""
    site = Site()
    victim, attacker = await site.logged_in(), await site.logged_in()
    for words in ((victim, attacker), (attacker, victim)):
        both = "; ".join(f"{SESSION}={browser.cookies[SESSION]}" for browser in words)
        assert victim.principal(cookie=both) is None


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("POST", {"origin": EVIL, "sec_fetch_site": "cross-site"}),
        ("POST", {"origin": EVIL, "sec_fetch_site": None}),
        ("POST", {"origin": "null"}),
        ("POST", {}),
        ("DELETE", {"origin": "http://127.0.0.1:9999", "sec_fetch_site": "same-site"}),
        ("", {"origin": "http://127.0.0.1:9999"}),
        ("", {}),
        ("GET", {"sec_fetch_site": "cross-site"}),
        ("GET", {"host": "rebound.example.org"}),
    ],
    ids=str,
)
async def test_a_request_of_another_site_with_the_cookie_is_refused(
    method: str, headers: dict[str, str | None]
) -> None:
    browser = await Site().logged_in()
    assert browser.principal(method, **headers) == 403
    assert browser.principal() == ALICE


async def test_a_logout_ends_the_session() -> None:
    site = Site()
    browser, other = await site.logged_in(), await site.logged_in()
    word = browser.cookies[SESSION]
    answer = await browser.ask("POST", "/logout", origin=browser.origin)
    assert (answer.status, SESSION in browser.cookies) == (204, False)
    browser.cookies[SESSION] = word
    assert browser.principal() is None
    assert other.principal() == ALICE


@pytest.mark.parametrize("headers", [{"origin": EVIL}, {}, {"origin": "null"}], ids=str)
async def test_another_site_logs_nobody_out(headers: Any) -> None:
    browser = await Site().logged_in()
    with pytest.raises(HttpRefusal, match="403"):
        await browser.ask("POST", "/logout", **headers)
    with pytest.raises(HttpRefusal, match="405"):
        await browser.ask("GET", "/logout", sec_fetch_site="cross-site")
    assert browser.principal() == ALICE


async def test_who_has_logged_in_is_out_when_the_issuer_leaves_the_settings() -> None:
    site = Site()
    browser = await site.logged_in()
    site.entries.clear()
    assert browser.principal() is None
    answer = await browser.ask("GET", "/login")
    assert (answer.status, header(answer, b"content-type")) == (404, "text/html; charset=utf-8")

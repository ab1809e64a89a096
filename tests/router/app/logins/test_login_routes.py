"""The pages that a browser sees during a login, and what they refuse."""

from __future__ import annotations

import re
from typing import Any

import pytest

from router.app.logins.login_routes import BROWSER_COOKIE, PAGE_COOKIE, LoginRoutes
from router.messages.errors import HttpRefusal
from router.messages.observability.records import ChangeRecord, Record
from tests.router.app.logins.fakes import (
    ADMIN,
    ANA,
    AUTHORIZE,
    OWN,
    FakeLogins,
    logins_for_asking,
)
from transports.listen.serving.exchange import Answer, HttpRequest

HOST = "127.0.0.1:3000"
LOOPBACK = "http://127.0.0.1:8765/cb"


class Site:
    """The routes, asked by one browser that keeps its cookies."""

    def __init__(self, fake: FakeLogins, *, public_url: str = OWN, who: Any = "nobody can") -> None:
        self.records: list[Record] = []
        self.logins = logins_for_asking(fake, self.records, public_url)
        if who == "nobody can":
            self.routes = LoginRoutes(self.logins)
        else:
            self.routes = LoginRoutes(self.logins, lambda _: lambda _: who)
        self.cookies: dict[str, str] = {}
        self.last: Answer | None = None

    async def ask(self, method: str, target: str, **headers: str) -> Answer:
        path, _, query = target.removeprefix(OWN).partition("?")
        route = self.routes.routes().find(path)
        assert route is not None
        cookie = "; ".join(["other=1", *(f"{k}={v}" for k, v in self.cookies.items())])
        given = {"host": HOST, "cookie": cookie, **headers}
        answer = await route(HttpRequest(method, path, given, _no_body, query, address="192.0.2.9"))
        for name, value in answer.headers:
            if name == b"set-cookie":
                pair, _, rules = value.decode().partition(";")
                assert "HttpOnly" in rules
                key, _, content = pair.partition("=")
                self.cookies[key] = content
        return answer

    async def open_page(self) -> str:
        """Open the page of a person's login; return its URL."""
        url = self.logins.login_url("mail", "ana")
        assert (await self.ask("GET", url)).status == 200
        return url

    async def confirm(self, url: str, **headers: str) -> Answer:
        return await self.ask("POST", url, **{"origin": OWN, **headers})


async def _no_body() -> bytes:
    return b""


def text_of(answer: Answer) -> str:
    text = re.sub(r"(?s)<style>.*?</style>|<[^>]+>", " ", answer.body.decode())
    return " ".join(text.split())


# --- The callback ----------------------------------------------------------------------------


async def test_callback_finishes_a_login_and_says_so() -> None:
    site = Site(FakeLogins())
    await site.logins.begin(ADMIN, "notion")
    answer = await site.ask("GET", "/oauth/callback?code=a&state=state-1")
    assert answer.status == 200
    assert "Logged in to notion You can close this page." in text_of(answer)
    assert site.records == [ChangeRecord("ops", "192.0.2.9", "log_in", "notion")]
    again = await site.ask("GET", "/oauth/callback?code=a&state=state-1")
    assert again.status == 400
    assert "unknown, too old, or over already" in text_of(again)


async def test_page_has_no_script_loads_nothing_and_is_in_no_frame() -> None:
    site = Site(FakeLogins())
    answer = await site.ask("GET", "/oauth/callback?code=a&state=x")
    headers = dict(answer.headers)
    policy = headers[b"content-security-policy"].decode()
    assert policy.startswith("default-src 'none'; base-uri 'none'; frame-ancestors 'none'; style")
    assert headers[b"content-type"] == b"text/html; charset=utf-8"
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert b"<script" not in answer.body
    assert re.search(rb"(?:src|href)=", answer.body) is None


async def test_hostile_text_is_shown_escaped() -> None:
    fake = FakeLogins()
    site = Site(fake)
    await site.logins.begin(ADMIN, "notion")
    fake.fails = 'as.example says: <img src=x onerror=alert(1)> "&'
    answer = await site.ask("GET", "/oauth/callback?error=%3Cscript%3E&state=state-1")
    assert answer.status == 400
    assert b"&lt;img src=x onerror=alert(1)&gt; &quot;&amp;" in answer.body
    assert b"<img" not in answer.body
    assert b"script" not in answer.body


@pytest.mark.parametrize("query", ["", "code=a", "state=a&state=b", "%FF=%FE&state=%00", "a&" * 99])
async def test_query_of_no_authorization_server_is_refused(query: str) -> None:
    answer = await Site(FakeLogins()).ask("GET", f"/oauth/callback?{query}")
    assert answer.status == 400


async def test_other_methods_and_paths_are_refused() -> None:
    site = Site(FakeLogins())
    for method, path in [("POST", "/oauth/callback"), ("DELETE", "/oauth/login/x")]:
        with pytest.raises(HttpRefusal) as caught:
            await site.ask(method, path)
        assert caught.value.status == 405
    for path in ["/oauth/login", "/oauth/login/", "/oauth/login/x", "/oauth/login/x/y"]:
        assert (await site.ask("GET", path)).status == 404
    assert site.routes.routes().find("/oauth/loginx") is None


# --- The page of a person's login --------------------------------------------------------------


async def test_person_confirms_and_comes_back_logged_in() -> None:
    fake = FakeLogins()
    site = Site(fake)
    url = await site.open_page()
    went_on = await site.confirm(url)
    assert (went_on.status, dict(went_on.headers)[b"location"]) == (
        303,
        AUTHORIZE.encode() + b"state-1",
    )
    assert fake.begun == [("mail", "ana", f"{OWN}/oauth/callback")]
    answer = await site.ask("GET", "/oauth/callback?code=a&state=state-1")
    assert answer.status == 200
    assert fake.logged_in == {("mail", "ana")}
    assert site.cookies[BROWSER_COOKIE] == ""


async def test_page_names_who_logs_in_and_changes_nothing() -> None:
    fake = FakeLogins()
    site = Site(fake)
    url = site.logins.login_url("mail", "ana")
    answer = await site.ask("GET", url)
    assert "Log in to mail for ana?" in text_of(answer)
    headers = dict(answer.headers)
    # With "no-referrer", a browser says "null" in place of where the form was sent from.
    assert headers[b"referrer-policy"] == b"same-origin"
    assert b"SameSite=Strict" in headers[b"set-cookie"]
    assert b"Secure" not in headers[b"set-cookie"]
    assert fake.begun == []


async def test_cookies_of_a_public_router_need_tls() -> None:
    site = Site(FakeLogins(), public_url="https://mcp.example")
    url = site.logins.login_url("mail", "ana")
    assert url.startswith("https://mcp.example/oauth/login/")
    answer = await site.ask("GET", url.removeprefix("https://mcp.example"))
    assert b"; Secure" in dict(answer.headers)[b"set-cookie"]


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://127.0.0.1:5173"},
        {"cookie": ""},
        {"cookie": f"{PAGE_COOKIE}=guessed"},
    ],
)
async def test_form_that_was_sent_from_elsewhere_goes_nowhere(headers: dict[str, str]) -> None:
    fake = FakeLogins()
    site = Site(fake)
    answer = await site.confirm(await site.open_page(), **headers)
    assert answer.status == 403
    assert "not sent from the page of the router" in text_of(answer)
    assert fake.begun == []


async def test_link_is_good_for_one_login() -> None:
    fake = FakeLogins()
    site = Site(fake)
    url = await site.open_page()
    assert (await site.confirm(url)).status == 303
    assert (await site.confirm(url)).status == 404
    assert (await site.ask("GET", url)).status == 404


async def test_login_is_finished_by_no_other_browser() -> None:
    # Somebody confirms their own link, and sends the URL of the authorization server to another.
    fake = FakeLogins()
    site = Site(fake)
    await site.confirm(await site.open_page())
    for stolen in ("", "guessed"):
        site.cookies[BROWSER_COOKIE] = stolen
        answer = await site.ask("GET", "/oauth/callback?code=a&state=state-1")
        assert answer.status == 400
        assert "begun in another browser" in text_of(answer)
    assert fake.logged_in == set()


async def test_login_of_a_person_that_began_over_rest_is_finished_in_no_browser() -> None:
    fake = FakeLogins()
    site = Site(fake)
    await site.logins.begin(ANA, "mail", redirect_uri=LOOPBACK)
    answer = await site.ask("GET", "/oauth/callback?code=a&state=state-1")
    assert answer.status == 400
    assert fake.logged_in == set()


@pytest.mark.parametrize(
    ("who", "status", "said"),
    [
        ("ana", 303, ""),
        ("ben", 403, "This link is for ana, and you are signed in as ben"),
        (None, 403, "Sign in to this router as ana first"),
    ],
)
async def test_where_browsers_sign_in_it_has_to_be_the_same_person(
    who: str | None, status: int, said: str
) -> None:
    site = Site(FakeLogins(), who=who)
    answer = await site.confirm(await site.open_page())
    assert answer.status == status
    assert said in text_of(answer)


async def test_login_that_cannot_begin_says_why() -> None:
    fake = FakeLogins()
    site = Site(fake)
    url = await site.open_page()
    fake.fails = "as.example does not answer"
    answer = await site.confirm(url)
    assert answer.status == 502
    assert "as.example does not answer" in text_of(answer)


async def test_router_that_no_browser_reaches_any_more_says_so() -> None:
    site = Site(FakeLogins())
    url = await site.open_page()
    site.logins.public_url = str
    answer = await site.confirm(url)
    assert answer.status == 502
    assert "no listener that a browser reaches" in text_of(answer)


# --- The metadata of this client ---------------------------------------------------------------


async def test_metadata_is_there_where_the_router_has_an_https_url() -> None:
    fake = FakeLogins()
    site = Site(fake)
    with pytest.raises(HttpRefusal, match=r"server\.public_url") as caught:
        await site.ask("GET", "/oauth/client-metadata.json")
    assert caught.value.status == 404
    fake.document = b'{"client_id":"x"}'
    answer = await site.ask("GET", "/oauth/client-metadata.json")
    assert (answer.status, answer.body) == (200, fake.document)
    assert dict(answer.headers)[b"content-type"] == b"application/json"

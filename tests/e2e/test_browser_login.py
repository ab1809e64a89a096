"""People log in with a real browser at a real identity provider, and use the REST API's page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e.browser import chromium
from tests.e2e.identity_provider import CLIENT_ID, identity_provider
from tests.e2e.secured_router import ask, rpc
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.browser import Browser
    from tests.e2e.identity_provider import IdentityProvider
    from tests.e2e.processes import RouterProcess

TOKEN: Final = "a-static-token-0123456789"
CALL: Final = "form[data-path='/api/call']"
LOG: Final = "form[data-path='/ws']"
BODY: Final = {"instance": "example", "tool": "add", "params": {"a": 1, "b": 2}}


@pytest.fixture(scope="module")
def provider() -> Iterator[IdentityProvider]:
    with identity_provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def router(
    provider: IdentityProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RouterProcess]:
    workspace = Workspace(tmp_path_factory.mktemp("login")).add_example()
    issuer = {
        "issuer": provider.issuer,
        "audience": "http://127.0.0.1/mcp",
        "permissions": {"groups:ops": ["call", "read", "admin"]},
        "login": {"client_id": CLIENT_ID},
    }
    security = {"bearer_token": TOKEN, "oauth": {"issuers": [issuer]}}
    api = {"enabled": True, "port": 0, "enable_realtime_logs": True}
    workspace.configure(security=security, api=api)
    with workspace.serve() as router:
        yield router


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def log_in(browser: Browser, page: str, person: str) -> None:
    browser.do("begin")
    browser.do("goto", page)
    browser.do("click", "#log-in")
    browser.do("fill", "[name=login]", person)
    browser.do("fill", "[name=password]", "any")
    browser.do("click", "[type=submit]")
    browser.do("see", "h1", "Authorize")
    browser.do("click", "[type=submit]")
    browser.do("see", "#who", f"Logged in as {person}")


def call(browser: Browser, seen: str) -> None:
    """Try `POST /api/call` on the page; it must show this."""
    browser.do("fill", f"{CALL} [name=body]", json.dumps(BODY))
    browser.do("click", f"{CALL} button")
    browser.do("see", f"{CALL} .got", seen)


def test_a_person_logs_in_calls_a_tool_and_logs_out(
    browser: Browser, router: RouterProcess
) -> None:
    # The issuer is at 127.0.0.1, which is another site than localhost, as it is in life.
    page = f"http://{router.netloc()}/docs".replace("127.0.0.1", "localhost")
    log_in(browser, page, "alice")
    assert browser.do("url") == page
    browser.do("click", f"details:has({CALL}) > summary")
    call(browser, "200")

    browser.do("click", f"details:has({LOG}) > summary")
    browser.do("click", f"{LOG} button")
    browser.do("see", f"{LOG} .got", "Realtime Logs")

    seen = browser.do("run", "[document.cookie, localStorage.length, sessionStorage.length]")
    assert seen == ["", 0, 0]
    cookies: list[dict[str, Any]] = browser.do("cookies")
    (session,) = (one for one in cookies if one["name"] == "mcp_router_session")
    assert (session["httpOnly"], session["sameSite"]) == (True, "Strict")

    cookie = f"mcp_router_session={session['value']}"
    assert ask(router.netloc(), "GET", "/api/instances", None, cookie=cookie)[0] == 200
    for place in ("/mcp", "/sse"):  # where clients of MCP are let in, no cookie counts
        assert ask(router.netloc(place), "POST", "/mcp", None, rpc("ping"), cookie=cookie)[0] == 401
        assert ask(router.netloc(place), "GET", "/login", None)[0] in {401, 404}

    browser.do("click", "#log-out")
    browser.do("see", "#log-in", "Log in")
    browser.do("see", f"{LOG} .got", "closed: 1008")
    call(browser, "401")
    assert ask(router.netloc(), "GET", "/api/instances", None, cookie=cookie)[0] == 401
    assert browser.do("errors") == []


def test_a_page_of_another_port_can_use_no_login(
    browser: Browser, router: RouterProcess, provider: IdentityProvider
) -> None:
    """Cookies know no ports, so the browser sends this one along; what it asks for is refused."""
    site = f"http://{router.netloc()}"
    log_in(browser, f"{site}/docs", "alice")
    browser.do("goto", f"{provider.issuer}/.well-known/openid-configuration")
    for path in ("/api/instances/example/disable", "/logout"):
        how = "{method: 'POST', mode: 'no-cors', credentials: 'include'}"
        browser.do("run", f"fetch('{site}{path}', {how}).then(answer => answer.type)")
    browser.do("goto", f"{site}/docs")
    browser.do("see", "#who", "Logged in as alice")
    _, _, body = ask(router.netloc(), "GET", "/api/instances/example", TOKEN)
    assert json.loads(body)["active"] is True
    refused = r"127\.0\.0\.1.*/api/instances/example/disable.*403"
    router.stderr.wait_for(refused)

"""The commands `login` and `logout`, with a router of fixed answers."""

from __future__ import annotations

import json
import os
import urllib.request
from typing import TYPE_CHECKING, Any, Final

import pytest

from router.cli.logins import login_steps
from router.cli.logins.login_steps import RunningLogin
from router.cli.main import main
from router.cli.rest_api.rest_client import RestApi
from tests.router.cli.rest_api.fake_router import ROW, FakeRouter, fake_router

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("home")

LOGIN: Final = "/api/instances/github/login"
URL: Final = "https://as.example/authorize?state=s"
OWN: Final = "http://127.0.0.1:3000/oauth/callback"
BEFORE: Final[dict[str, Any]] = {
    "instance": "github",
    "logged_in": False,
    "person": None,
    "redirect_uri": OWN,
    "attempt": None,
}
OVER: Final[dict[str, Any]] = BEFORE | {
    "logged_in": True,
    "issuer": "https://as.example",
    "scopes": ["repo"],
    "renewed": True,
    "expires_at_s": 1.0,
    "attempt": {"over": True, "problem": ""},
}
LINE: Final = "github: logged in at https://as.example, scopes repo, renewed by itself\n"
BEGUN: Final = {"url": URL, "state": "s", "redirect_uri": OWN, "expires_in_s": 600}
NOT_OFFERED: Final = {"detail": {"error": "not offered", "code": "TRANSPORT_ERROR"}}


@pytest.fixture
def router() -> Iterator[FakeRouter]:
    with fake_router(ROW | {"name": "github"}) as router:
        router.answer(f"GET {LOGIN}", BEFORE)
        router.answer(f"POST {LOGIN}", BEGUN)
        router.answer(f"GET {LOGIN}?wait=over", OVER)
        router.answer(f"POST {LOGIN}/callback", OVER)
        yield router


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The pages that were opened in the browser, which is there."""
    opened: list[str] = []

    def note(url: str) -> bool:
        opened.append(url)
        return True

    monkeypatch.setattr(login_steps, "own_browser", lambda: True)
    monkeypatch.setattr(login_steps, "open_page", note)
    return opened


def run(router: FakeRouter, *words: str) -> int:
    return main([*words, "--url", router.url])


# --- In a browser ------------------------------------------------------------------------------


def test_browser_is_opened_and_the_end_is_told(
    router: FakeRouter, opened: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(router, "login", "github") == 0
    assert opened == [URL]
    assert router.bodies(f"POST {LOGIN}") == [{}]
    said = capsys.readouterr().out
    assert said == f"Log in to github in your browser, or open\n{URL}\n{LINE}"


def test_browser_comes_back_to_the_command_where_the_router_has_no_listener(
    router: FakeRouter, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    router.answer(f"GET {LOGIN}", BEFORE | {"redirect_uri": None})
    monkeypatch.setattr(login_steps, "own_browser", lambda: True)

    def come_back(_url: str) -> bool:
        (body,) = router.bodies(f"POST {LOGIN}")
        with urllib.request.urlopen(f"{body['redirect_uri']}?code=c&state=s", timeout=30) as page:
            assert b"You are logged in" in page.read()
        return True

    monkeypatch.setattr(login_steps, "open_page", come_back)
    assert run(router, "login", "github") == 0
    assert router.bodies(f"POST {LOGIN}/callback") == [{"url": "code=c&state=s"}]
    assert capsys.readouterr().out.endswith(LINE)


@pytest.mark.parametrize(
    ("api_url", "own", "is_out_of_reach"),
    [
        ("http://127.0.0.1:8001", OWN, False),
        ("http://router.example:8001", OWN, True),
        ("https://router.example", "https://router.example/oauth/callback", False),
    ],
)
def test_router_elsewhere_is_out_of_reach_at_its_own_loopback(
    api_url: str, own: str, *, is_out_of_reach: bool
) -> None:
    login = RunningLogin(RestApi(api_url), "github", "")
    assert login.is_out_of_reach(own) is is_out_of_reach


def test_url_that_is_no_web_page_is_not_opened(
    router: FakeRouter, opened: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    router.answer(f"POST {LOGIN}", BEGUN | {"url": "file:///etc/passwd"})
    assert run(router, "login", "github") == 1
    assert opened == []
    assert "no web page" in capsys.readouterr().err


# --- Elsewhere ---------------------------------------------------------------------------------


def test_without_a_browser_a_code_is_shown_if_that_is_offered(
    router: FakeRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    device = {"url": "https://as.example/device", "user_code": "WDJB-MJHT", "expires_in_s": 600}
    router.answer(f"POST {LOGIN}", device | {"url_with_code": "https://as.example/device?c=1"})
    assert run(router, "login", "github") == 0
    assert router.bodies(f"POST {LOGIN}") == [{"device": True}]
    said = capsys.readouterr().out
    assert "Open https://as.example/device on any device, and type in the code WDJB-MJHT" in said
    assert "https://as.example/device?c=1" in said


def test_device_that_is_not_offered_is_an_error_for_who_asked_for_it(
    router: FakeRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    router.answer(f"POST {LOGIN}", NOT_OFFERED, 502)
    assert run(router, "login", "github", "--device") == 1
    assert "not offered" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("before", "person", "body"),
    [
        ({}, (), {}),
        ({"redirect_uri": None}, (), {"redirect_uri": "http://127.0.0.1:8765/oauth/callback"}),
        ({"person": "ana"}, ("--person", "ana"), {"redirect_uri": OWN, "person": "ana"}),
        ({"person": "ana", "redirect_uri": "https://r.example/oauth/callback"},
         ("--person", "ana"), {"person": "ana"}),
    ],
)  # fmt: skip
def test_url_is_printed_and_the_browser_may_be_anywhere(
    router: FakeRouter,
    capsys: pytest.CaptureFixture[str],
    before: dict[str, Any],
    person: tuple[str, ...],
    body: dict[str, Any],
) -> None:
    query = "?person=ana" if person else ""
    router.answer(f"GET {LOGIN}{query}", BEFORE | before)
    router.answer(f"GET {LOGIN}?person=ana&wait=over", OVER)
    assert run(router, "login", "github", "--no-browser", *person) == 0
    assert router.bodies(f"POST {LOGIN}") == [body]
    assert f"Open this page to log in to github:\n{URL}\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        (b"\n  http://127.0.0.1:3000/oauth/callback?code=c&state=s\n",
         ["http://127.0.0.1:3000/oauth/callback?code=c&state=s"]),
        (b"c0de/+\n", ["code=c0de%2F%2B&state=s"]),
    ],
)  # fmt: skip
def test_pasted_url_or_code_is_handed_to_the_router(
    router: FakeRouter, monkeypatch: pytest.MonkeyPatch, typed: bytes, sent: list[str]
) -> None:
    lines = iter([*typed.splitlines(keepends=True), b""])
    monkeypatch.setattr(os, "read", lambda _fd, _limit: next(lines))
    login = RunningLogin(RestApi(router.url), "github", "")
    login.take_pasted("s")
    assert router.bodies(f"POST {LOGIN}/callback") == [{"url": url} for url in sent]


def test_pasted_text_that_is_refused_is_asked_for_again(
    router: FakeRouter, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    router.answer(f"POST {LOGIN}/callback", NOT_OFFERED, 502)
    lines = iter([b"https://x.example/\n", b"code\n"])
    monkeypatch.setattr(os, "read", lambda _fd, _limit: next(lines))
    login = RunningLogin(RestApi(router.url), "github", "")
    login.take_pasted("st-1")
    assert capsys.readouterr().err.count("paste the whole URL of the last page") == 1


def test_pasted_refusal_is_not_asked_for_again(
    router: FakeRouter, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    router.answer(f"POST {LOGIN}/callback", NOT_OFFERED, 502)
    lines = iter([b"https://x.example/cb?error=access_denied&state=st-1\n"])
    monkeypatch.setattr(os, "read", lambda _fd, _limit: next(lines))
    RunningLogin(RestApi(router.url), "github", "").take_pasted("st-1")
    assert capsys.readouterr().err == ""


# --- How it ends -------------------------------------------------------------------------------


def test_failed_login_says_why(router: FakeRouter, capsys: pytest.CaptureFixture[str]) -> None:
    failed = {"over": True, "problem": "as.example says: \x1b[2Jno"}
    router.answer(f"GET {LOGIN}?wait=over", OVER | {"logged_in": False, "attempt": failed})
    assert run(router, "login", "github", "--no-browser") == 1
    assert "github: not logged in: as.example says: \\x1b[2Jno" in capsys.readouterr().err


def test_json_is_all_that_is_on_stdout(
    router: FakeRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(router, "login", "github", "--no-browser", "--json") == 0
    said, told = capsys.readouterr()
    assert json.loads(said) == OVER
    assert URL in told


def test_instances_that_need_a_login_are_listed(
    router: FakeRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    needs = ROW | {"name": "github", "state": "needs_login", "last_error": "log in first"}
    router.answer("GET /api/status", [ROW, needs])
    assert run(router, "login") == 0
    assert capsys.readouterr().out == "github: log in first\n"
    assert run(router, "login", "--json") == 0
    assert json.loads(capsys.readouterr().out) == [{"name": "github", "reason": "log in first"}]
    router.answer("GET /api/status", [ROW])
    assert run(router, "login") == 0
    assert capsys.readouterr().out == "No server needs a login.\n"


def test_unknown_instance_is_answered_with_the_nearest_name(
    router: FakeRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(router, "login", "gihtub") == 1
    assert "Did you mean github?" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["github", "--device", "--no-browser"], ["--device"]])
def test_options_that_make_no_sense_are_refused(router: FakeRouter, words: list[str]) -> None:
    assert run(router, "login", *words) == 2
    assert router.asked == []


def test_without_a_router_the_way_out_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["login", "github"]) == 1
    assert "start one with `mcp-router serve" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("was_there", "line"),
    [(True, "github: logged out\n"), (False, "github: was not logged in\n")],
)
def test_logout_says_what_became_of_the_login(
    router: FakeRouter, capsys: pytest.CaptureFixture[str], line: str, *, was_there: bool
) -> None:
    answer = {"status": "success", "instance": "github", "was_logged_in": was_there}
    router.answer(f"DELETE {LOGIN}", answer).answer(f"DELETE {LOGIN}?person=ana", answer)
    assert run(router, "logout", "github") == 0
    assert capsys.readouterr().out == line
    assert run(router, "logout", "github", "--person", "ana", "--json") == 0
    assert json.loads(capsys.readouterr().out) == answer

"""The logins of browsers are made once an issuer has one, for the REST listener alone."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from router.access.live_admission import LiveAdmission
from router.app.listening.browser_login import BrowserLogin, values_at_api_start
from router.config.options import Options
from router.config.security.oauth import OAuth
from router.config.security.security import Security
from router.config.settings import Settings
from router.reload.live_settings import LiveSettings
from tests.router.oauth.browser.fake_issuer import FakeIssuer


def with_issuer(login: bool) -> Settings:
    entry = FakeIssuer.configured() if login else FakeIssuer.configured(login=None)
    return Settings(security=Security(oauth=OAuth((entry,))))


WITH: Final = with_issuer(login=True)
WITHOUT: Final = with_issuer(login=False)


def login_of(settings: Settings) -> BrowserLogin:
    live = LiveSettings(Path("config.json"), Options(), settings)
    return BrowserLogin(live, LiveAdmission(settings), is_served=True)


def test_without_a_login_there_is_nothing_to_load() -> None:
    assert login_of(WITHOUT).load() is None
    assert login_of(Settings()).load() is None


def test_a_restart_of_the_listener_finds_the_same_logins() -> None:
    login = login_of(WITH)
    first = login.load()
    assert first is not None
    assert login.load() is first


def test_the_listener_restarts_when_a_first_login_comes_or_the_last_one_goes() -> None:
    assert values_at_api_start(WITH) != values_at_api_start(WITHOUT)
    assert values_at_api_start(WITH) == values_at_api_start(with_issuer(login=True))


def test_people_of_an_issuer_with_a_login_can_sign_in_with_a_browser() -> None:
    login = login_of(WITH)
    issuer = WITH.security.oauth.issuers[0].issuer
    assert login.sign_in_of(f"{issuer} alice") is not None
    assert login.sign_in_of("ci") is None
    assert login.sign_in_of("https://other.example.com alice") is None
    assert login_of(WITHOUT).sign_in_of(f"{issuer} alice") is None


def test_nobody_signs_in_where_the_api_is_not_served() -> None:
    live = LiveSettings(Path("config.json"), Options(), WITH)
    login = BrowserLogin(live, LiveAdmission(WITH), is_served=False)
    assert login.sign_in_of(f"{WITH.security.oauth.issuers[0].issuer} alice") is None

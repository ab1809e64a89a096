"""A browser is opened for a person who sees it, and for web pages only."""

from __future__ import annotations

import sys
import webbrowser
from typing import Any

import pytest

from router.cli.logins import browsers
from router.cli.logins.browsers import has_browser, is_web_page, open_page, own_browser


class Stream:
    def __init__(self, *, is_terminal: bool) -> None:
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


@pytest.mark.parametrize(
    ("environ", "platform", "is_terminal", "has"),
    [
        ({"DISPLAY": ":0"}, "linux", True, True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True, True),
        ({"BROWSER": "/usr/bin/wslview"}, "linux", True, True),
        ({}, "linux", True, False),
        ({"DISPLAY": ""}, "linux", True, False),
        ({"DISPLAY": ":0"}, "linux", False, False),
        ({}, "darwin", True, True),
        ({"SSH_CONNECTION": "192.0.2.1 1 192.0.2.2 22"}, "darwin", True, False),
        ({}, "win32", False, False),
    ],
)
def test_browser_is_there_for_a_person_with_a_display(
    monkeypatch: pytest.MonkeyPatch,
    environ: dict[str, str],
    platform: str,
    *,
    is_terminal: bool,
    has: bool,
) -> None:
    monkeypatch.setattr(sys, "stdout", Stream(is_terminal=is_terminal))
    monkeypatch.setattr(sys, "stderr", Stream(is_terminal=is_terminal))
    assert has_browser(environ, platform) is has
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(browsers.os, "environ", environ)
    assert own_browser() is has


@pytest.mark.parametrize(
    ("url", "is_page"),
    [
        ("https://as.example/authorize?a=b#c", True),
        ("http://127.0.0.1:3000/oauth/login/x", True),
        ("file:///etc/passwd", False),
        ("javascript:alert(1)", False),
        ("https://", False),
        ("https://[x", False),
        ("https://as.example/a b", False),
        ("https://as.example/\x1b[2J", False),
        ("https://as.example/é", False),
        ("-https://as.example", False),
    ],
)
def test_only_web_pages_are_opened(
    monkeypatch: pytest.MonkeyPatch, url: str, *, is_page: bool
) -> None:
    opened: list[str] = []

    def note(url: str) -> bool:
        opened.append(url)
        return True

    monkeypatch.setattr(webbrowser, "open", note)
    assert is_web_page(url) is open_page(url) is is_page
    assert opened == ([url] if is_page else [])


def test_browser_that_does_not_start_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_url: str) -> Any:
        raise webbrowser.Error("no")

    monkeypatch.setattr(webbrowser, "open", fail)
    assert open_page("https://as.example/") is False

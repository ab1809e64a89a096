"""Whether code can be run, and who wants it."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

import pytest

from router.config import code_extra
from router.config.code_extra import can_run_code, find_missing_extra, how_to_install
from router.messages.instances.exposure import Profile

PROFILES = {"work": Profile("code"), "home": Profile("search"), "play": Profile("code")}


@pytest.fixture
def without_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_extra, "PACKAGE", "no_such_package")


def test_with_the_extra_code_can_be_run_and_nothing_is_missing() -> None:
    assert can_run_code(PROFILES)
    assert find_missing_extra(PROFILES) == []


@pytest.mark.usefixtures("without_extra")
def test_without_it_the_profiles_that_want_code_are_named() -> None:
    assert not can_run_code(PROFILES)
    assert find_missing_extra(PROFILES) == ["work", "play"]


def test_nothing_is_looked_for_unless_a_profile_wants_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_look(name: str) -> Any:
        raise AssertionError(name)

    monkeypatch.setattr(importlib.util, "find_spec", no_look)
    assert not can_run_code({"home": Profile("search")})
    assert find_missing_extra({}) == []


def test_the_command_is_for_this_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/a b/python")
    with_pip = "'/a b/python' -m pip install 'mcp-router[code]', and restart the router"
    assert how_to_install() == with_pip
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    without = "uv tool install --reinstall '.[code]', in a checkout of mcp-router"
    assert how_to_install() == f"{without}, and restart the router"

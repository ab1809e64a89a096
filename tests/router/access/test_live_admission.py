"""The gates, and what ends when their rules change."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import pytest

from router.access.admission import ANONYMOUS, BEARER
from router.access.live_admission import LiveAdmission
from router.config.settings import Api, Security, Server, Settings
from router.config.tokens import NamedToken
from router.messages.commands import Principal
from router.messages.errors import HttpRefusal

if TYPE_CHECKING:
    from collections.abc import Callable

FOREIGN = "https://ui.example.org"
HOST = {"host": "127.0.0.1"}
A = Principal("a", frozenset({"call", "read"}))


def _settings(token: str = "", cors_origin: str = "*", **tokens: NamedToken) -> Settings:
    return Settings(
        server=Server(),
        security=Security(bearer_token=token, tokens=tokens),
        api=Api(enabled=True, cors_origin=cors_origin),
    )


class Table:
    """An endpoint with something open for each of these; it keeps what is not to end."""

    def __init__(self, *principals: Principal) -> None:
        self.open = list(principals)
        self.told = 0

    def end_revoked(self, knows: Callable[[Principal], bool]) -> None:
        self.told += 1
        self.open = [one for one in self.open if knows(one)]


def test_origin_that_may_read_the_api_may_ask_it_and_nobody_else() -> None:
    gates = LiveAdmission(_settings(cors_origin=FOREIGN))
    asked = {**HOST, "origin": FOREIGN}
    gates.api.admit(asked)
    with pytest.raises(HttpRefusal):
        gates.server.admit(asked)


def test_other_settings_take_effect_on_listeners_that_are_there() -> None:
    gates = LiveAdmission(_settings())
    admit = gates.api.admit
    assert admit(HOST).permissions == {"call", "read"}
    assert not gates.needs_token()
    gates.update(_settings(token="secret"))
    with pytest.raises(HttpRefusal):
        admit(HOST)
    assert gates.needs_token()


@pytest.mark.parametrize(
    ("before", "after", "left"),
    [
        ({"a": NamedToken("t1")}, {}, [BEARER]),
        ({"a": NamedToken("t1")}, {"a": NamedToken("t1", ("call",))}, [BEARER]),
        ({"a": NamedToken("t1")}, {"a": NamedToken("t2")}, [BEARER]),
        ({"a": NamedToken("t1")}, {"b": NamedToken("t2"), "a": NamedToken("t1")}, [BEARER, A]),
    ],
    ids=["gone", "may do less", "another token", "stays"],
)
def test_what_is_open_ends_with_the_token_it_was_opened_with(
    before: dict[str, Any], after: dict[str, Any], left: list[Principal]
) -> None:
    gates = LiveAdmission(_settings("secret", **before))
    table = gates.register(Table(BEARER, A))
    gates.update(_settings("secret", **after))
    assert table.open == left


def test_what_is_open_to_everybody_ends_with_the_first_token_and_that_with_the_last() -> None:
    gates = LiveAdmission(_settings())
    table = gates.register(Table(ANONYMOUS))
    gates.update(_settings("secret"))
    assert table.open == []
    table.open = [BEARER]
    gates.update(_settings())
    assert table.open == []


def test_other_changes_end_nothing() -> None:
    gates = LiveAdmission(_settings("secret"))
    table = gates.register(Table(ANONYMOUS, BEARER))
    gates.update(_settings("secret", cors_origin=FOREIGN))
    assert table.told == 0


def test_endpoint_that_is_over_is_forgotten() -> None:
    gates = LiveAdmission(_settings("secret"))
    gates.register(Table())
    gc.collect()
    last = gates.register(Table(BEARER))
    gates.update(_settings("other"))
    assert (last.told, last.open) == (1, [])

"""Other settings put other rules in force, and end what belongs to revoked tokens."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from router.access.admission import ANONYMOUS, BEARER
from router.access.live_admission import LiveAdmission
from router.access.wrong_tokens import FREE_TRIES, WINDOW_S
from router.config.security.security import Security
from router.config.security.tokens import NamedToken, Rate
from router.config.settings import Api, Server, Settings
from router.messages.commands import Principal
from router.messages.errors import HttpRefusal

if TYPE_CHECKING:
    from collections.abc import Callable

FOREIGN = "https://ui.example.org"
HOST = {"host": "127.0.0.1"}
OF_A = Principal("a", frozenset({"call", "read"}))


def _settings(token: str = "", cors_origin: str = "*", **tokens: NamedToken) -> Settings:
    return Settings(
        server=Server(),
        security=Security(bearer_token=token, tokens=tokens),
        api=Api(enabled=True, cors_origin=cors_origin),
    )


class FakeEndpoint:
    """An endpoint with a session open for each of these principals."""

    def __init__(self, *principals: Principal) -> None:
        self.open = list(principals)
        self.calls = 0

    def end_revoked(self, is_known: Callable[[Principal], bool]) -> None:
        self.calls += 1
        self.open = [one for one in self.open if is_known(one)]


def test_origin_that_may_read_the_api_may_ask_it_and_nobody_else() -> None:
    live = LiveAdmission(_settings(cors_origin=FOREIGN))
    asked = {**HOST, "origin": FOREIGN}
    live.api.admit(asked)
    with pytest.raises(HttpRefusal):
        live.server.admit(asked)


def test_other_settings_take_effect_on_running_listeners() -> None:
    live = LiveAdmission(_settings())
    admit = live.api.admit
    assert admit(HOST).permissions == {"call", "read"}
    assert not live.needs_token()
    live.apply(_settings(token="secret"))
    with pytest.raises(HttpRefusal):
        admit(HOST)
    assert live.needs_token()


@pytest.mark.parametrize(
    ("before", "after", "left"),
    [
        ({"a": NamedToken("t1")}, {}, [BEARER]),
        ({"a": NamedToken("t1")}, {"a": NamedToken("t1", ("call",))}, [BEARER]),
        ({"a": NamedToken("t1")}, {"a": NamedToken("t2")}, [BEARER]),
        ({"a": NamedToken("t1")}, {"b": NamedToken("t2"), "a": NamedToken("t1")}, [BEARER, OF_A]),
    ],
    ids=["gone", "may do less", "another token", "stays"],
)
def test_sessions_end_with_the_token_that_opened_them(
    before: dict[str, Any], after: dict[str, Any], left: list[Principal]
) -> None:
    live = LiveAdmission(_settings("secret", **before))
    endpoint = live.register(FakeEndpoint(BEARER, OF_A))
    live.apply(_settings("secret", **after))
    assert endpoint.open == left


def test_sessions_end_when_the_first_token_is_set_and_when_the_last_is_removed() -> None:
    live = LiveAdmission(_settings())
    endpoint = live.register(FakeEndpoint(ANONYMOUS))
    live.apply(_settings("secret"))
    assert endpoint.open == []
    endpoint.open = [BEARER]
    live.apply(_settings())
    assert endpoint.open == []


def test_heads_that_are_forgotten_are_admitted_by_the_same_rules() -> None:
    live = LiveAdmission(_settings("secret"))
    endpoint, before = live.register(FakeEndpoint(BEARER)), live.server.rules
    live.forget_heads()
    assert live.server.rules == before
    assert live.server.rules is not before
    assert endpoint.calls == 0


def test_other_changes_end_nothing() -> None:
    live = LiveAdmission(_settings("secret"))
    endpoint = live.register(FakeEndpoint(ANONYMOUS, BEARER))
    live.apply(_settings("secret", cors_origin=FOREIGN))
    assert endpoint.calls == 0


def test_other_rate_of_a_token_ends_nothing() -> None:
    live = LiveAdmission(_settings("secret", a=NamedToken("t1", rate=Rate(1))))
    endpoint = live.register(FakeEndpoint(BEARER, OF_A))
    live.apply(_settings("secret", a=NamedToken("t1", rate=Rate(600))))
    assert endpoint.calls == 0


def test_wrong_tokens_at_all_listeners_count_together_and_the_right_one_is_let_in() -> None:
    live = LiveAdmission(_settings("secret"))
    wrong, right = HOST | {"authorization": "Bearer no"}, HOST | {"authorization": "Bearer secret"}
    refusals: list[HttpRefusal] = []
    for _ in range(FREE_TRIES):
        for admission in (live.server, live.api):
            with pytest.raises(HttpRefusal) as caught:
                admission.admit(wrong, "10.0.0.5")
            refusals.append(caught.value)
    assert [one.status for one in refusals] == [401] * FREE_TRIES + [429] * FREE_TRIES
    ((name, seconds),) = refusals[-1].headers
    assert name == "Retry-After"
    assert 0 < int(seconds) <= WINDOW_S
    assert live.server.admit(right, "10.0.0.5") == live.api.admit(right, "10.0.0.6") == BEARER


def test_requests_without_a_token_are_no_tries() -> None:
    live = LiveAdmission(_settings("secret"))
    for _ in range(3 * FREE_TRIES):
        with pytest.raises(HttpRefusal) as caught:
            live.server.admit(HOST, "10.0.0.5")
        assert caught.value.status == 401


def test_endpoint_that_is_over_is_forgotten() -> None:
    live = LiveAdmission(_settings("secret"))
    live.register(FakeEndpoint())
    gc.collect()
    last = live.register(FakeEndpoint(BEARER))
    live.apply(_settings("other"))
    assert (last.calls, last.open) == (1, [])


def test_other_trusted_proxies_count_on_running_listeners() -> None:
    live = LiveAdmission(_settings())
    locate, headers = live.locate, [(b"x-forwarded-for", b"203.0.113.7")]
    assert locate("127.0.0.1", headers) == ("127.0.0.1", "")
    live.apply(attrs.evolve(_settings(), server=Server(trusted_proxies=("127.0.0.0/8",))))
    assert locate("127.0.0.1", headers) == ("203.0.113.7", "")


def test_sockets_that_were_handed_over_decide_which_hosts_are_theirs() -> None:
    live = LiveAdmission(_settings(), {"http": "0.0.0.0", "api": "192.0.2.7"})
    for settings in (_settings(), _settings("t")):
        assert live.server.rules.is_host_allowed("203.0.113.9:3000")
        assert not live.server.rules.is_host_allowed("evil.test")
        assert live.api.rules.is_host_allowed("192.0.2.7:8001")
        assert not live.api.rules.is_host_allowed("203.0.113.9:8001")
        for rules in (live.server.rules, live.api.rules):
            assert not rules.is_origin_allowed("http://localhost:5173")
        live.apply(settings)

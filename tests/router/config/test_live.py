"""Keys of `config.json` that take effect while the router runs."""

from __future__ import annotations

import attrs

from router.config.live import changed_keys, live, live_keys, values_at_api_start, values_for_core
from router.config.settings import Api, HttpListener, Server, Settings


@attrs.frozen
class Inner:
    name: str = live("x", core="called")
    fixed: int = 1


@attrs.frozen
class Outer:
    inner: Inner = attrs.field(factory=Inner)
    hosts: list[str] = live(factory=list[str], repr=False)
    origin: str = live("*", restarts_api=True)


def test_keys_that_differ_are_named_as_in_the_file() -> None:
    new = Settings(api=Api(port=1), server=Server(http=HttpListener(port=2), allowed_hosts=("x",)))
    assert changed_keys(Settings(), Settings()) == ()
    assert changed_keys(Settings(), new) == ("api.port", "server.allowed_hosts", "server.http.port")


def test_a_key_is_live_where_its_class_says_so() -> None:
    assert live_keys(Outer()) == {"inner.name", "hosts", "origin"}


def test_the_core_is_told_the_values_that_name_an_attribute_of_its_settings() -> None:
    assert values_for_core(Outer(inner=Inner(name="y"))) == {"called": "y"}


def test_what_the_rest_listener_reads_at_its_start_is_known() -> None:
    assert values_at_api_start(Outer(origin="https://a.test")) == ("https://a.test",)


def test_defaults_are_defaults_and_secrets_stay_out_of_the_repr() -> None:
    assert Outer().hosts == []
    assert Outer().hosts is not Outer().hosts
    assert "hosts" not in repr(Outer())

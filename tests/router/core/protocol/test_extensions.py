"""The table of extensions, what a view passes on of them, and the URIs of MCP Apps."""

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from router.core.names.resource_uris import own_uri, shown_uri
from router.core.protocol import extensions
from router.core.protocol.extensions import APPS, TASKS, with_shown_uris
from router.messages.instances.exposure import Expose
from tests.router.core.fake_peers import raw, value_of

APP = "ui://app/文.html"


def shown(meta: Any) -> Any:
    """Return the `_meta` of a tool of `a` as a direct view shows it."""
    members = {"name": Raw(b'"t"'), "_meta": Raw(msgspec.json.encode(meta))}
    found = with_shown_uris("a", members)
    assert found["name"] is members["name"]
    return msgspec.json.decode(found["_meta"])


def test_nested_and_flat_forms_are_shown_with_their_instance_and_the_rest_stays() -> None:
    named = shown_uri("a", APP)
    assert shown({"ui": {"resourceUri": APP, "csp": [1.5]}, "k": "ui"}) == {
        "ui": {"resourceUri": named, "csp": [1.5]},
        "k": "ui",
    }
    assert shown({"ui/resourceUri": APP, "ui": {}}) == {"ui/resourceUri": named, "ui": {}}
    assert own_uri(named) == ("a", APP)


@pytest.mark.parametrize(
    "meta",
    [
        None,
        b"{}",
        b"5",
        b'["ui"]',
        b'{"ui":5}',
        b'{"ui":["ui://x"]}',
        b'{"ui":{}}',
        b'{"ui":{"resourceUri":5}}',
        b'{"ui":{"resourceUri":"https://a.test"}, "ui/resourceUri":"file:///x"}',
        b'{"UI":{"resourceUri":"ui://x"}}',
        b'{"ui":{"ui":{"resourceUri":"ui://x"}}}',
    ],
)
def test_anything_else_is_the_very_object(meta: bytes | None) -> None:
    members = {"name": Raw(b'"t"')} | ({} if meta is None else {"_meta": Raw(meta)})
    assert with_shown_uris("a", members) is members


ALL = {APPS: {"mimeTypes": []}, TASKS: {}, "org.other/x": {"y": 1}}


def _passed(expose: Expose, *, is_same_era: bool = True) -> Any:
    capabilities = {"extensions": raw(ALL), "sampling": raw({})}
    passed = extensions.declared_by_client(capabilities, expose, is_same_era=is_same_era)
    assert passed["sampling"] == raw({})
    return value_of(passed["extensions"])


def test_a_transparent_view_passes_all_extensions_on() -> None:
    assert _passed("transparent") == ALL


def test_a_direct_view_passes_those_on_that_are_routed() -> None:
    assert _passed("direct") == {name: ALL[name] for name in extensions.ROUTED}


def test_a_router_view_passes_none_on() -> None:
    assert _passed("router") == {}


@pytest.mark.parametrize("expose", ["direct", "transparent"])
def test_tasks_do_not_get_to_the_other_era(expose: Expose) -> None:
    assert TASKS not in _passed(expose, is_same_era=False)
    assert APPS in _passed(expose, is_same_era=False)
    shown = extensions.declared_by_server({"extensions": raw(ALL)}, is_same_era=False)
    assert value_of(shown["extensions"]) == {n: v for n, v in ALL.items() if n != TASKS}


@pytest.mark.parametrize("odd", [[], 1, None, "x"])
def test_extensions_that_are_no_object_stay_as_they_are(odd: Any) -> None:
    capabilities = {"extensions": raw(b"null") if odd is None else raw(odd)}
    declared = extensions.declared_by_client(capabilities, "direct", is_same_era=True)
    assert declared == capabilities
    assert extensions.declared_by_server(capabilities, is_same_era=False) == capabilities
    assert not extensions.has_extension(capabilities, TASKS)


def test_every_routed_extension_names_its_source() -> None:
    assert set(extensions.declared(is_stateless=True)) == set(extensions.ROUTED)
    assert set(extensions.declared(is_stateless=False)) == {APPS}
    assert all(one.source and one.routing for one in extensions.ROUTED.values())

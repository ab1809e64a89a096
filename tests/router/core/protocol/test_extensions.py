"""The table of extensions: which are declared, and which a view passes on."""

from typing import Any

import pytest

from router.core.protocol import extensions
from router.core.protocol.extensions import APPS, TASKS
from router.messages.exposure import Expose
from tests.router.core.fake_peers import raw, value_of

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

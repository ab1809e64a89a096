"""The URIs of MCP Apps in `_meta`."""

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from router.core.protocol.extensions import APPS, DECLARED, ROUTED, with_shown_uris
from router.core.protocol.resource_uris import own_uri, shown_uri

APP = "ui://app/文.html"


def shown(meta: Any) -> Any:
    """Return the `_meta` of a tool of `a` as a direct view shows it."""
    members = {"name": Raw(b'"t"'), "_meta": Raw(msgspec.json.encode(meta))}
    found = with_shown_uris("a", members)
    assert found["name"] is members["name"]
    return msgspec.json.decode(found["_meta"])


def test_only_what_is_routed_is_declared() -> None:
    assert DECLARED.keys() == ROUTED == {APPS}


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

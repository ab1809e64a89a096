"""What `list`, `help`, `use` and the REST API show of an instance."""

from __future__ import annotations

import msgspec

from router.core.state import instance_views
from router.messages.catalog import Catalog, Item
from tests.router.core.conversation import Conversation, raw, ready, spec


def test_a_tool_without_description_or_schema_is_shown_with_empty_ones() -> None:
    talk, _, _ = ready()
    instance = talk.state.instances.by_name["a"]
    assert instance.session is not None
    bare = Catalog(tools=(Item("bare", raw({"name": "bare"})),))
    instance.record_catalog(msgspec.structs.replace(instance.session, catalog=bare))
    assert msgspec.json.decode(raw(instance_views.tools_of(instance))) == [
        {"name": "bare", "description": "", "inputSchema": {}}
    ]


def test_an_instance_that_is_not_connected_shows_no_tools() -> None:
    talk = Conversation()
    talk.configured(spec("a"))
    instance = talk.state.instances.by_name["a"]
    assert instance_views.tools_of(instance) == []
    assert instance_views.selection(instance) == {"instance": "a", "tools": [], "active": False}

"""The values that `list`, `use` and the REST API show of instances."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from router.core.views import instance_views
from router.messages.catalog import Catalog, Item
from router.messages.commands import ShowInstance
from tests.router.core.conversation import Conversation, raw, ready, spec


def test_list_shows_every_instance_with_the_keys_scripts_rely_on() -> None:
    talk, alice, _ = ready()
    talk.configured(spec("a"), spec("b", is_active=False, type="http", metadata={"note": "é"}))
    a, b = alice.calls("mcp.router.list").text
    assert a == {
        "name": "a",
        "provider": "acme",
        "display_name": "a (provider: acme)",
        "active": True,
        "connected": True,
        "transport_type": "stdio",
        "tools_count": 1,
        "stale": False,
        "metadata": {},
        "summary": None,
        "state": "ready",
        "in_state_s": 0.0,
        "restarts": 0,
        "last_error": None,
    }
    assert list(a)[:8] == [
        "name",
        "provider",
        "display_name",
        "active",
        "connected",
        "transport_type",
        "tools_count",
        "metadata",
    ]
    assert (b["active"], b["connected"], b["tools_count"]) == (False, False, 0)
    assert (b["state"], b["transport_type"], b["metadata"]) == ("disabled", "http", {"note": "é"})


@pytest.mark.parametrize(
    ("instructions", "info", "metadata", "summary"),
    [
        ("Reads files. And more.", {"title": "Files"}, {"description": "Mine"}, "Reads files."),
        ("\n# Files\n\nReads files.", {}, {}, "Reads files."),
        (" \n", {"title": " My\x1b\nfiles. 2 "}, {"description": "Mine"}, "My files. 2"),
        (None, {"title": 5}, {"description": "Mine. All\nmine."}, "Mine. All mine."),
        (None, [], {"description": {}}, None),
        (None, {}, {"description": "x" * 1000}, "x" * 199 + "\u2026"),
    ],
)
def test_a_server_is_summed_up_by_its_instructions_else_its_title_else_its_metadata(
    instructions: str | None, info: Any, metadata: dict[str, Any], summary: str | None
) -> None:
    talk, _, _ = ready()
    talk.configured(spec("a", metadata=metadata))
    instance = talk.state.instances.by_name["a"]
    assert instance.session is not None
    instance.record_catalog(
        msgspec.structs.replace(instance.session, instructions=instructions, server_info=raw(info))
    )
    assert talk.list_row("a")["summary"] == summary
    assert talk.admin_asks(ShowInstance("a")).answer["summary"] == summary


def test_a_server_that_is_not_connected_is_summed_up_by_its_metadata() -> None:
    talk = Conversation()
    talk.configured(spec("a", metadata={"description": "Mine"}), spec("b"))
    assert [talk.list_row(name)["summary"] for name in "ab"] == ["Mine", None]


def test_a_tool_without_description_or_schema_is_shown_with_empty_ones() -> None:
    talk, _, _ = ready()
    instance = talk.state.instances.by_name["a"]
    assert instance.session is not None
    bare = Catalog(tools=(Item("bare", raw({"name": "bare"})),))
    instance.record_catalog(msgspec.structs.replace(instance.session, catalog=bare))
    (tool,) = instance.offers.catalog.tools
    shown = msgspec.json.decode(raw(instance_views.tool_view(tool)))
    assert shown == {"name": "bare", "description": "", "inputSchema": {}}


def test_an_instance_that_is_not_connected_shows_no_tools() -> None:
    talk = Conversation()
    talk.configured(spec("a"))
    instance = talk.state.instances.by_name["a"]
    assert instance_views.selection(instance) == {"instance": "a", "tools": [], "active": False}

"""The value of `mcp.router.help`: which tools it shows, and in how much detail."""

from typing import Any

import msgspec
import pytest

from router.core.views.tool_help import NOTE
from router.messages.catalog import Catalog, Item
from router.messages.commands import Principal
from router.messages.core_settings import CoreSettings
from router.messages.events import CatalogChanged, CoreSettingsChanged
from tests.router.core.conversation import Conversation, FakeClient, SentRequest, raw, ready, spec

READ = {
    "name": "read_file",
    "title": "Read",
    "description": "Reads a file. It may be LARGE.",
    "inputSchema": {"type": "object", "properties": {"path": {"type": "string"}}},
    "outputSchema": {"type": "object"},
    "annotations": {"readOnlyHint": True},
}
WRITE = {
    "name": "write_file",
    "description": "Writes a file",
    "inputSchema": {"type": "object"},
    "icons": [],
}


def usual(tool: dict[str, Any]) -> dict[str, Any]:
    """Return the members of a tool that are always shown."""
    return {key: tool[key] for key in ("name", "description", "inputSchema")}


def talking(**settings: Any) -> tuple[Conversation, FakeClient]:
    """Begin a conversation: `files` has two tools, `a` has `echo`, and one is not connected."""
    talk = Conversation(**settings)
    talk.configured(spec("files"), spec("a"), spec("off", is_active=False))
    talk.starting("files")
    files = talk.up("files")
    tools = tuple(Item(one["name"], raw(one)) for one in (READ, WRITE))
    talk.happens(CatalogChanged(files.session, Catalog(tools=tools)))
    talk.starting("a")
    talk.up("a", "echo")
    return talk, talk.client()


def asks(client: FakeClient, **arguments: Any) -> SentRequest:
    return client.calls("mcp.router.help", arguments)


def shown(client: FakeClient, **arguments: Any) -> dict[str, list[str]]:
    """Return the names of the tools that an answer shows, by instance, without the note."""
    rows = asks(client, **arguments).text
    return {
        name: [tool["name"] for tool in row["tools"]] for name, row in rows.items() if name != NOTE
    }


# --- All tools -------------------------------------------------------------------------------


def test_without_arguments_all_tools_of_connected_instances_are_shown_as_ever() -> None:
    _, alice = talking()
    answer = asks(alice).text
    assert answer["files"] == {
        "provider": "acme",
        "display_name": "files (provider: acme)",
        "tools": [usual(READ), usual(WRITE)],
    }
    assert list(answer) == ["files", "a"]
    assert alice.calls("mcp.router.help").text == answer


def test_instances_without_tools_are_left_out() -> None:
    talk = Conversation()
    talk.with_upstreams("a", tools=())
    assert asks(talk.client()).text == {}


def test_the_text_has_no_white_space_even_where_a_server_sent_some() -> None:
    talk, _, upstream = ready()
    alice = talk.client()
    item = Item("t", raw(b'{"name": "t", "inputSchema": {\n  "type": "object"\n}}'))
    talk.happens(CatalogChanged(upstream.session, Catalog(tools=(item,))))
    (content,) = asks(alice).result["content"]
    assert '"inputSchema":{"type":"object"}' in content["text"]
    assert content["text"] == msgspec.json.encode(msgspec.json.decode(content["text"])).decode()


def test_the_structured_value_is_the_same() -> None:
    talk, _ = talking()
    alice = talk.client()
    alice.initializes()
    call = asks(alice, query="file")
    assert call.result["structuredContent"] == call.text


# --- Some tools ------------------------------------------------------------------------------


def test_of_what_is_asked_for_all_is_shown_that_describes_it() -> None:
    _, alice = talking()
    assert asks(alice, instance_name="files").text["files"]["tools"] == [READ, usual(WRITE)]


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"instance_name": "a"}, {"a": ["echo"]}),
        ({"tool_name": "write_file"}, {"files": ["write_file"]}),
        ({"instance_name": "files", "tool_name": "read_file"}, {"files": ["read_file"]}),
        ({"query": "FILE"}, {"files": ["read_file", "write_file"]}),
        ({"query": "Does"}, {"a": ["echo"]}),
        ({"query": "large"}, {"files": ["read_file"]}),
        ({"query": "file", "tool_name": "read_file"}, {"files": ["read_file"]}),
        ({"query": ".*"}, {}),
        ({"query": "file", "instance_name": "a"}, {}),
        ({"query": None, "tool_name": None, "instance_name": "a"}, {"a": ["echo"]}),
        ({"query": "", "tool_name": "", "instance_name": "a"}, {"a": ["echo"]}),
    ],
)
def test_arguments_narrow_the_answer(
    arguments: dict[str, Any], names: dict[str, list[str]]
) -> None:
    _, alice = talking()
    assert shown(alice, **arguments) == names


def test_an_answer_without_tools_says_why() -> None:
    talk, alice = talking()
    found = asks(alice, query="nothing\nlike this").text
    note = "No tool here has 'nothing like this' in its name or description."
    assert found == {NOTE: {"note": note, "tools": []}}
    talk.configured(spec("none"))
    talk.starting("none")
    talk.up("none")
    note = "Instance 'none' has no tools."
    assert asks(alice, instance_name="none").text == {NOTE: {"note": note, "tools": []}}


def test_what_a_client_may_not_see_is_not_found() -> None:
    talk, _ = talking()
    limited = talk.client(principal=Principal("limited", instances=frozenset({"a"})))
    assert shown(limited, query="") == {"a": ["echo"]}
    assert shown(limited, query="file") == {}
    assert asks(limited, instance_name="files").tool_error[0] == "INSTANCE_NOT_FOUND"
    assert "read_file" not in asks(limited, tool_name="read_fil").tool_error[1]


# --- Errors ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            {"instance_name": "file"},
            "INSTANCE_NOT_FOUND",
            "Instance not found: file. Available instances: 'files', 'a', 'off'",
        ),
        ({"instance_name": "off"}, "UNAVAILABLE", "Instance 'off' is not active"),
        (
            {"instance_name": "files", "tool_name": "raed_file"},
            "TOOL_NOT_FOUND",
            "Tool 'raed_file' not found in instance 'files'. "
            "Did you mean 'read_file', 'write_file'?",
        ),
        (
            {"tool_name": "ehco"},
            "TOOL_NOT_FOUND",
            "Tool 'ehco' not found in any connected instance. "
            "Did you mean 'echo', 'read_file', 'write_file'?",
        ),
        ({"query": 5}, "VALIDATION_ERROR", "arguments.query must be a string"),
        (
            {"Query": "x"},
            "VALIDATION_ERROR",
            "arguments: 'Query' differs from a known key in case",
        ),
    ],
)
def test_what_there_is_not_is_an_error(arguments: dict[str, Any], code: str, message: str) -> None:
    _, alice = talking()
    assert asks(alice, **arguments).tool_error == (code, message)


def test_an_instance_that_starts_is_waited_for() -> None:
    talk = Conversation()
    talk.configured(spec("a"))
    talk.starting("a")
    alice = talk.client()
    call = asks(alice, instance_name="a")
    assert call.is_waiting
    talk.up("a", "echo")
    assert [tool["name"] for tool in call.text["a"]["tools"]] == ["echo"]


# --- Beyond the limit ------------------------------------------------------------------------


def size_of(client: FakeClient, **arguments: Any) -> int:
    (content,) = asks(client, **arguments).result["content"]
    return len(content["text"].encode())


def limit(talk: Conversation, limit_bytes: int) -> None:
    talk.happens(CoreSettingsChanged(CoreSettings("1", help_limit_bytes=limit_bytes)))


def many(talk: Conversation, description: str = "Reads. And more. \u00e9") -> FakeClient:
    """Bring up `a` with a hundred tools that have large schemas."""
    (upstream,) = talk.with_upstreams("a")
    schema = {"type": "object", "title": "x" * 1000}
    tools = tuple(
        Item(name, raw({"name": name, "description": description, "inputSchema": schema}))
        for name in (f"tool_{number}" for number in range(100))
    )
    talk.happens(CatalogChanged(upstream.session, Catalog(tools=tools)))
    return talk.client()


def test_up_to_the_limit_all_is_shown_and_beyond_it_names_and_first_sentences() -> None:
    talk = Conversation(help_limit_bytes=10**6)
    alice = many(talk)
    size_bytes = size_of(alice)
    limit(talk, size_bytes)
    assert "inputSchema" in asks(alice).text["a"]["tools"][0]
    limit(talk, size_bytes - 1)
    answer = asks(alice).text
    assert list(answer) == [NOTE, "a"]
    assert answer["a"]["display_name"] == "a (provider: acme)"
    assert answer["a"]["tools"][99] == {"name": "tool_99", "description": "Reads."}
    assert answer[NOTE] == {
        "note": f"Names and first sentences only. In full this answer has {size_bytes:,} bytes, "
        f"more than {size_bytes - 1:,} (server.help_limit_bytes). For descriptions and schemas ask "
        "again with instance_name, with tool_name, or with query, which is a part of a name or "
        "description.",
        "tools": [],
    }


def test_without_a_setting_the_limit_is_64_kib() -> None:
    alice = many(Conversation())
    assert list(asks(alice).text) == [NOTE, "a"]
    assert "inputSchema" in asks(alice, query="tool_1").text["a"]["tools"][0]


@pytest.mark.parametrize("arguments", [{"instance_name": "a"}, {"query": "tool"}])
def test_a_narrowed_answer_beyond_the_limit_is_brief_as_well(arguments: dict[str, str]) -> None:
    answer = asks(many(Conversation()), **arguments).text
    assert answer[NOTE]["note"].startswith("Names and first sentences only. ")
    assert answer["a"]["tools"][0] == {"name": "tool_0", "description": "Reads."}


def test_a_single_tool_beyond_the_limit_is_in_the_list_of_its_instance() -> None:
    talk, alice = talking(help_limit_bytes=400)
    files = talk.state.instances.by_name["files"].session
    assert files is not None
    tool = Item("t", raw({"name": "t", "inputSchema": {"title": "x" * 1000}}))
    talk.happens(CatalogChanged(files.session, Catalog(tools=(tool,))))
    answer = asks(alice, tool_name="t").text
    assert answer["files"]["tools"] == [{"name": "t", "description": ""}]
    assert answer[NOTE]["note"].endswith("mcp.router.use lists the tools of an instance in full.")


def test_the_note_names_tools_as_the_client_is_listed_them() -> None:
    talk = Conversation(help_limit_bytes=400, tool_names="underscored")
    alice = many(talk)
    schema = {"title": "x" * 1000}
    files = talk.state.instances.by_name["a"].session
    assert files is not None
    tools = (Item("t", raw({"name": "t", "inputSchema": schema})),)
    talk.happens(CatalogChanged(files.session, Catalog(tools=tools)))
    note = alice.calls("mcp_router_help", {"tool_name": "t"}).text[NOTE]["note"]
    assert note.endswith("mcp_router_use lists the tools of an instance in full.")


def test_where_even_that_is_too_much_there_are_names_then_numbers() -> None:
    talk = Conversation()
    alice = many(talk, "x" * 300)
    size_bytes = size_of(alice)
    assert 20_000 < size_bytes < 30_000
    limit(talk, 5000)
    answer = asks(alice).text
    assert answer[NOTE]["note"].startswith("Names only. ")
    assert answer["a"]["tools"][0] == {"name": "tool_0"}
    assert size_of(alice) <= 5000
    limit(talk, 500)
    answer = asks(alice).text
    assert answer[NOTE]["note"].startswith("Numbers of tools only. ")
    assert answer["a"] == {"tools_count": 100, "tools": []}
    assert size_of(alice) <= 500

from __future__ import annotations

import pytest

from benchmarks.tokens.conversation import Conversation, FailedCallError
from tests.benchmarks.tokens.fake_client import FakeClient

TOOL = {
    "name": "read",
    "title": "Read",
    "description": "Reads.",
    "inputSchema": {"type": "object"},
    "outputSchema": {"type": "object"},
}


def test_tools_count_as_models_get_them_and_instructions_count_too() -> None:
    conversation = Conversation(FakeClient({}, (TOOL,)))
    conversation.list_tools("Read first.")
    shown = '{"name":"read","description":"Reads.","inputSchema":{"type":"object"}}'
    assert conversation.texts == {"listing": ["Read first.", shown]}


def test_a_call_and_its_result_count_where_they_belong() -> None:
    conversation = Conversation(FakeClient({"search": {"tools": []}, "read": "a line"}))
    assert conversation.find("search", {"query": "读"}) == {"tools": []}
    assert conversation.call("read", {"path": "x"}) == conversation.last == "a line"
    assert conversation.texts == {
        "finding": ['{"name":"search","arguments":{"query":"读"}}', '{"tools": []}'],
        "calling": ['{"name":"read","arguments":{"path":"x"}}', "a line"],
    }


def test_a_result_that_is_an_error_ends_the_task() -> None:
    conversation = Conversation(FakeClient({"read": ValueError("no such file")}))
    with pytest.raises(FailedCallError, match="read failed: no such file"):
        conversation.call("read", {})

"""Results beyond `max_result_bytes`: what is cut, what is said, and how a client reads on."""

import base64
import re
from typing import Any

import msgspec
import pytest

from router.core.bounded import kept_results
from router.core.names.resource_uris import own_result, result_uri
from router.messages.catalog import Item
from router.messages.commands import CallTool, Principal
from router.messages.errors import INVALID_PARAMS, NOT_ALLOWED, RESOURCE_NOT_FOUND
from router.messages.instances.run_policy import RunPolicy
from tests.router.core.conversation import (
    Conversation,
    FakeClient,
    FakeUpstream,
    SentRequest,
    raw,
    spec,
)

LIMIT = 1024
LINES = "".join(f"line {number:04}\n" for number in range(500))  # 5,000 bytes


def limited(name: str = "a", limit: int | None = LIMIT, **more: Any) -> Any:
    return spec(name, run_policy=RunPolicy(max_result_bytes=limit), **more)


def ready_for_large(
    *tools: str | Item, limit: int | None = LIMIT, revision: str = "2025-11-25", **settings: Any
) -> tuple[Conversation, FakeClient, FakeUpstream]:
    talk = Conversation(**settings)
    talk.configured(limited(limit=limit))
    talk.starting("a")
    upstream = talk.up("a", *(tools or ("echo",)))
    alice = talk.client()
    alice.initializes(revision)
    return talk, alice, upstream


def texts(*parts: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": part} for part in parts]


def answered(client: FakeClient, upstream: FakeUpstream, result: Any) -> Any:
    """Call the tool, have it answer like this, and return what the client gets."""
    call = client.routes("echo")
    upstream.answers(upstream.sees()[-1], result)
    return call.result


def next_uri(text: str) -> str:
    found = re.search(r"mcp-router://\S+\?page=\d+", text)
    assert found is not None, text
    return found[0].rstrip("]")


def contents(read: SentRequest) -> tuple[str, str]:
    """Return the page, and the sentence after it."""
    page, said = read.result["contents"]
    return page["text"], said["text"]


# --- Cutting ---------------------------------------------------------------------------------


def test_a_long_text_is_cut_at_a_line_and_says_how_to_read_on() -> None:
    _, alice, upstream = ready_for_large()
    begin, said, link = answered(alice, upstream, {"content": texts(LINES)})["content"]
    assert begin == {"type": "text", "text": LINES[:1020]}
    assert said["text"] == (
        "[Cut after 1,020 of 5,000 bytes. Read on in the resource "
        "mcp-router://a/results/sealed-0?page=2 of 5 pages, kept for 10 minutes.]"
    )
    assert link == {
        "type": "resource_link",
        "uri": "mcp-router://a/results/sealed-0?page=2",
        "name": "Page 2 of 5",
        "mimeType": "text/plain",
    }


def test_a_result_within_the_limit_is_the_very_bytes_of_the_server() -> None:
    _, alice, upstream = ready_for_large()
    call = alice.routes("echo")
    result = b'{ "content" : [{"type":"text","text":"short"}] }'
    upstream.answers(upstream.sees_one(), result)
    assert call.result_bytes == result


@pytest.mark.parametrize(
    "result",
    [
        {"content": texts("short"), "_meta": {"long": "x" * 2000}},
        {"content": [{"type": "image", "data": "A" * 5000, "mimeType": "image/png"}]},
        {"content": [{"type": "resource", "resource": {"uri": "x:y", "text": LINES}}]},
        {"content": [{"type": "text", "text": 5}, 5], "x": LINES},
        {"content": {"type": "text", "text": LINES}},
        {"structuredContent": {"lines": LINES}},
        {"contents": LINES},
        [LINES],
        LINES,
    ],
)
def test_anything_but_text_stays_as_it_is(result: Any) -> None:
    _, alice, upstream = ready_for_large()
    assert answered(alice, upstream, result) == result


def test_without_a_limit_nothing_is_cut() -> None:
    _, alice, upstream = ready_for_large(limit=None)
    assert answered(alice, upstream, {"content": texts(LINES)}) == {"content": texts(LINES)}


def test_several_texts_count_together_and_other_items_stay_in_their_places() -> None:
    _, alice, upstream = ready_for_large()
    image = {"type": "image", "data": "A" * 5000, "mimeType": "image/png"}
    annotated = {"type": "text", "text": "two\n" + LINES, "annotations": {"priority": 1}}
    result = {"content": [*texts("one"), image, annotated, *texts("three"), image]}
    shown = answered(alice, upstream, result)["content"]
    assert [item["type"] for item in shown] == [
        *("text", "image", "text", "text", "resource_link", "image"),
    ]
    assert shown[0]["text"] == "one"
    assert shown[2]["text"].startswith("two\nline 0000\n")
    assert shown[2]["annotations"] == {"priority": 1}
    rest, said = contents(alice.reads(next_uri(shown[3]["text"])))
    while "Read on" in said:
        page, said = contents(alice.reads(next_uri(said)))
        rest += page
    assert "one\n" + shown[2]["text"] + rest == "one\ntwo\n" + LINES + "\nthree"


def test_a_text_that_ends_where_a_page_ends_is_shown_whole() -> None:
    _, alice, upstream = ready_for_large()
    for first in ("x" * LIMIT, "x" * (LIMIT - 1)):
        shown = answered(alice, upstream, {"content": texts(first, "rest")})["content"]
        assert [item["type"] for item in shown] == ["text", "text", "resource_link"]
        assert shown[0]["text"] == first
        page, _ = contents(alice.reads(shown[2]["uri"]))
        assert page.lstrip() == "rest"


def test_no_character_is_taken_apart() -> None:
    _, alice, upstream = ready_for_large()
    shown = answered(alice, upstream, {"content": texts("é" * 1000)})["content"]
    assert shown[0]["text"] == "é" * 512
    shown = answered(alice, upstream, {"content": texts("x" + "é" * 1000)})["content"]
    assert shown[0]["text"] == "x" + "é" * 511


def test_errors_of_tools_are_cut_as_well() -> None:
    _, alice, upstream = ready_for_large()
    result = answered(alice, upstream, {"content": texts(LINES), "isError": True})
    assert result["isError"] is True
    assert result["content"][0]["text"] == LINES[:1020]


def test_a_client_of_an_older_revision_gets_no_link() -> None:
    _, alice, upstream = ready_for_large(revision="2025-03-26")
    shown = answered(alice, upstream, {"content": texts(LINES)})["content"]
    assert [item["type"] for item in shown] == ["text", "text"]


def test_a_call_over_rest_is_not_cut() -> None:
    talk, _, upstream = ready_for_large()
    command = talk.admin_asks(CallTool("a", "echo", raw({})))
    upstream.answers(upstream.sees_one(), {"content": texts(LINES)})
    assert msgspec.json.decode(command.answer) == {"content": texts(LINES)}


def test_a_result_that_is_too_large_to_keep_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_results, "MAX_OF_PRINCIPAL_BYTES", 4999)
    _, alice, upstream = ready_for_large()
    shown = answered(alice, upstream, {"content": texts(LINES)})["content"]
    assert [item["text"] for item in shown] == [
        LINES[:1020],
        "[Cut after 1,020 of 5,000 bytes. The rest is too large to be kept: ask for less at a "
        "time.]",
    ]


# --- Structured content ----------------------------------------------------------------------

STRUCTURE = {"lines": ["a line of a report"] * 100}
WITH_SCHEMA = Item("echo", raw({"name": "echo", "outputSchema": {"type": "object"}}))


def test_structure_of_a_tool_with_a_schema_stays_whole() -> None:
    _, alice, upstream = ready_for_large(WITH_SCHEMA)
    result = answered(alice, upstream, {"content": texts(LINES), "structuredContent": STRUCTURE})
    assert result["structuredContent"] == STRUCTURE
    assert "structuredContent" not in result["content"][1]["text"]


def test_large_structure_without_a_schema_is_left_out_and_can_be_read() -> None:
    _, alice, upstream = ready_for_large()
    result = answered(alice, upstream, {"content": texts(LINES), "structuredContent": STRUCTURE})
    assert "structuredContent" not in result
    said = result["content"][1]["text"]
    assert said.startswith("[Cut after 1,020 of 7,1")
    assert "bytes, and its structuredContent left out. Read on" in said
    whole, said = contents(alice.reads(next_uri(said).partition("?")[0]))
    while "Read on" in said:
        page, said = contents(alice.reads(next_uri(said)))
        whole += page
    assert msgspec.json.decode(whole.removeprefix(LINES)) == STRUCTURE


def test_structure_that_the_text_repeats_is_kept_once() -> None:
    _, alice, upstream = ready_for_large()
    text = msgspec.json.format(msgspec.json.encode(STRUCTURE)).decode()
    result = answered(alice, upstream, {"content": texts(text), "structuredContent": STRUCTURE})
    assert "structuredContent" not in result
    assert f"of {len(text):,} bytes" in result["content"][1]["text"]


def test_structure_beside_several_texts_follows_them() -> None:
    _, alice, upstream = ready_for_large()
    text = msgspec.json.encode(STRUCTURE).decode()
    content = texts(text, "and a word")
    result = answered(alice, upstream, {"content": content, "structuredContent": STRUCTURE})
    size = 2 * len(text) + len("\nand a word\n")
    assert f"of {size:,} bytes" in result["content"][1]["text"]


def test_small_structure_stays() -> None:
    _, alice, upstream = ready_for_large()
    result = {"content": texts(LINES), "structuredContent": {"ok": True}}
    assert answered(alice, upstream, result)["structuredContent"] == {"ok": True}


# --- Reading on ------------------------------------------------------------------------------


@pytest.mark.parametrize("view", ["router", "direct", "a"])
def test_the_pages_make_up_the_whole_text(view: str) -> None:
    _, alice, upstream = ready_for_large(view=view)
    call = alice.calls("a__echo" if view != "a" else "echo")
    upstream.answers(upstream.sees()[-1], {"content": texts(LINES)})
    text, said = call.result["content"][0]["text"], call.result["content"][1]["text"]
    for page in (2, 3, 4, 5):
        read = alice.reads(next_uri(said))
        assert read.result["contents"][0]["uri"] == f"mcp-router://a/results/sealed-0?page={page}"
        shown, said = contents(read)
        text += shown
        assert len(shown.encode()) <= LIMIT
    assert text == LINES
    assert said == "[Page 5 of 5: bytes 4,081 to 5,000 of 5,000. This is the end.]"
    assert upstream.sees() == []


def test_the_first_page_is_what_the_result_shows() -> None:
    _, alice, upstream = ready_for_large()
    answered(alice, upstream, {"content": texts(LINES)})
    for uri in ("mcp-router://a/results/sealed-0", "mcp-router://a/results/sealed-0?page=1"):
        assert contents(alice.reads(uri)) == (
            LINES[:1020],
            "[Page 1 of 5: bytes 1 to 1,020 of 5,000. "
            "Read on at mcp-router://a/results/sealed-0?page=2]",
        )


@pytest.mark.parametrize("query", ["?page=0", "?page=6", "?page=x", "?page=", "?x", "?page=2&a=b"])
def test_there_are_no_other_pages(query: str) -> None:
    _, alice, upstream = ready_for_large()
    answered(alice, upstream, {"content": texts(LINES)})
    error = alice.reads("mcp-router://a/results/sealed-0" + query).error
    assert error["code"] == INVALID_PARAMS
    assert error["message"] == "params.uri: ?page= must be 1 to 5"


def test_a_client_of_2026_reads_on_with_a_request_of_its_own() -> None:
    talk, _, upstream = ready_for_large()
    http = talk.stateless_client(principal=Principal("me"))
    call = http.routes("echo")
    upstream.answers(upstream.sees_one(), {"content": texts(LINES)})
    assert call.result["resultType"] == "complete"
    uri = call.result["content"][2]["uri"]
    read = http.reads(uri).result
    assert read["contents"][0]["text"] == LINES[1020:2040]
    assert (read["resultType"], read["ttlMs"], read["cacheScope"]) == ("complete", 0, "private")


def test_a_server_of_2026_is_cut_as_well() -> None:
    talk = Conversation()
    talk.configured(limited())
    talk.starting("a")
    upstream = talk.up("a", "echo", revision="2026-07-28")
    alice = talk.client()
    alice.initializes()
    result = {"content": texts(LINES), "resultType": "complete"}
    shown = answered(alice, upstream, result)
    assert shown["content"][0]["text"] == LINES[:1020]
    assert "resultType" not in shown


def test_a_result_is_gone_after_ten_minutes() -> None:
    talk, alice, upstream = ready_for_large()
    answered(alice, upstream, {"content": texts(LINES)})
    talk.time_passes(599)
    assert alice.reads("mcp-router://a/results/sealed-0").result
    talk.time_passes(2)
    error = alice.reads("mcp-router://a/results/sealed-0").error
    assert error["code"] == RESOURCE_NOT_FOUND
    assert error["message"] == (
        "Results are kept for 10 minutes, and this one is gone; call the tool again"
    )
    assert talk.core.next_deadline_s() is None


def test_other_clients_cannot_read_a_result() -> None:
    talk = Conversation()
    talk.configured(limited())
    talk.starting("a")
    upstream = talk.up("a", "echo")
    nobody = Principal("")
    alice, mallory = talk.client(principal=nobody), talk.client(principal=nobody)
    bob = talk.client(principal=Principal("bob"))
    answered(alice, upstream, {"content": texts(LINES)})
    uri = "mcp-router://a/results/sealed-0"
    assert alice.reads(uri).result
    for client in (mallory, bob):
        assert client.reads(uri).error["code"] == RESOURCE_NOT_FOUND
    assert upstream.sees() == []
    elsewhere = talk.client(principal=nobody, view="a").reads(uri)
    assert upstream.sees_one()["params"] == {"uri": uri}  # Nothing of ours: it may be the server's.
    assert elsewhere.is_waiting


def test_each_session_of_a_principal_with_a_name_reads_its_results() -> None:
    talk, alice, upstream = ready_for_large()
    answered(alice, upstream, {"content": texts(LINES)})
    assert talk.client().reads("mcp-router://a/results/sealed-0").result


def test_who_may_not_call_may_not_read_results() -> None:
    talk, alice, upstream = ready_for_large()
    answered(alice, upstream, {"content": texts(LINES)})
    reader = talk.client(principal=Principal("all", frozenset({"read"})))
    assert reader.reads("mcp-router://a/results/sealed-0").error["code"] == NOT_ALLOWED


def test_the_results_of_an_instance_that_was_removed_cannot_be_read() -> None:
    talk, alice, upstream = ready_for_large()
    answered(alice, upstream, {"content": texts(LINES)})
    talk.configured()
    error = alice.reads("mcp-router://a/results/sealed-0").error
    assert error["code"] == RESOURCE_NOT_FOUND


def test_a_result_that_nobody_knows_is_not_asked_of_the_server() -> None:
    _, alice, upstream = ready_for_large()
    error = alice.reads("mcp-router://a/results/unknown").error
    assert error["code"] == RESOURCE_NOT_FOUND
    assert error["message"].endswith("call the tool again")
    assert upstream.sees() == []


def test_in_a_transparent_view_the_results_of_a_router_behind_are_asked_of_it() -> None:
    _, alice, upstream = ready_for_large(view="a")
    read = alice.reads("mcp-router://inner/results/abc?page=2")
    request = upstream.sees_one()
    assert request["params"]["uri"] == "mcp-router://inner/results/abc?page=2"
    upstream.answers(request, {"contents": []})
    assert read.result == {"contents": []}


def test_a_uri_with_its_key_in_another_case_is_refused() -> None:
    _, alice, upstream = ready_for_large()
    answered(alice, upstream, {"content": texts(LINES)})
    read = alice.reads("mcp-router://a/results/sealed-0", URI="file:///x")
    assert read.error["code"] == INVALID_PARAMS


# --- URIs ------------------------------------------------------------------------------------


def test_uris_of_results_are_told_from_all_others() -> None:
    sealed = base64.urlsafe_b64encode(b"1234").decode()
    uri = result_uri("my/instance", sealed)
    assert uri == "mcp-router://my%2Finstance/results/MTIzNA=="
    assert own_result(uri) == ("my/instance", sealed, 1)
    assert own_result(uri + "?page=12") == ("my/instance", sealed, 12)
    assert own_result(uri + "?page=-1") == ("my/instance", sealed, None)
    for other in ("file:///results/x", "mcp-router://a/file%3A%2F%2F", "mcp-router://a/results"):
        assert own_result(other) is None
    assert own_result("mcp-router://a/results/" + "x" * 5000) is None

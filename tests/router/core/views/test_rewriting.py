"""The URIs in the results of servers, as clients of each view get them."""

from typing import Any

import msgspec
import pytest

from router.core.names.resource_uris import shown_uri
from router.core.views.rewriting import MAX_COMPARISONS
from router.messages.instances.exposure import Profile
from tests.router.core.conversation import Conversation, FakeClient, FakeUpstream

APP = "ui://app/main.html"
NAMED_APP = shown_uri("a", APP)
OTHERS = shown_uri("a", "x:shared")


def servers(view: str = "direct") -> tuple[Conversation, FakeUpstream]:
    """Two servers that both have `x:shared`, and the first of them."""
    talk = Conversation(view=view)
    upstream = talk.with_instance("a", "echo", prompts=["ask"], resources=["x:mine", "x:shared"])
    talk.with_instance("b", "echo", resources=["x:shared", "x:theirs"])
    return talk, upstream


def called(alice: FakeClient, upstream: FakeUpstream, result: Any) -> Any:
    """Call `echo` of `a`, and return what comes of this result."""
    sent = alice.calls("a__echo", {})
    upstream.answers(upstream.sees_one(), result)
    return sent.result


def link(uri: str, **more: Any) -> dict[str, Any]:
    return {"type": "resource_link", "uri": uri, "name": "n", **more}


def embedded(uri: str, **more: Any) -> dict[str, Any]:
    return {"type": "resource", "resource": {"uri": uri, "text": "t", **more}, "odd": 1}


@pytest.mark.parametrize(
    ("own", "shown"),
    [
        ("x:mine", "x:mine"),
        ("x:shared", OTHERS),
        ("x:theirs", shown_uri("a", "x:theirs")),
        ("never:listed", shown_uri("a", "never:listed")),
        (APP, NAMED_APP),
        ("x:文件 😀%\x00", shown_uri("a", "x:文件 😀%\x00")),
    ],
)
@pytest.mark.parametrize("item", [link, embedded])
def test_links_and_resources_in_the_result_of_a_tool_lead_back(
    item: Any, own: str, shown: str
) -> None:
    talk, upstream = servers()
    alice = talk.client()
    result = called(alice, upstream, {"content": [{"type": "text", "text": own}, item(own)]})
    assert result == {"content": [{"type": "text", "text": own}, item(shown)]}
    alice.reads(shown)
    assert upstream.sees_one()["params"] == {"uri": own}


def test_prompts_have_links_and_resources_as_well() -> None:
    talk, upstream = servers()
    sent = talk.client().asks("prompts/get", {"name": "a__ask"})
    messages = [
        {"role": "user", "content": embedded("x:shared")},
        {"role": "user", "content": [link("x:shared"), {"type": "text", "text": "x:shared"}]},
        {"role": "user"},
        5,
    ]
    upstream.answers(upstream.sees_one(), {"messages": messages, "description": "d"})
    assert sent.result["description"] == "d"
    assert sent.result["messages"] == [
        {"role": "user", "content": embedded(OTHERS)},
        {"role": "user", "content": [link(OTHERS), {"type": "text", "text": "x:shared"}]},
        {"role": "user"},
        5,
    ]


@pytest.mark.parametrize(
    "meta",
    [
        {"ui": {"resourceUri": APP, "visibility": ["model"]}, "k": 1},
        {"ui/resourceUri": APP},
        {"ui": {"resourceUri": APP}, "ui/resourceUri": APP},
    ],
)
def test_the_interface_in_a_meta_is_the_one_that_its_instance_serves(meta: Any) -> None:
    talk, upstream = servers()
    expected = msgspec.json.decode(
        msgspec.json.encode(meta).replace(APP.encode(), NAMED_APP.encode())
    )
    alice = talk.client()
    assert called(alice, upstream, {"content": [], "_meta": meta})["_meta"] == expected
    (item,) = called(alice, upstream, {"content": [link("x:mine", _meta=meta)]})["content"]
    assert item == link("x:mine", _meta=expected)
    inner = called(alice, upstream, {"content": [embedded("x:mine", _meta=meta)]})["content"]
    assert inner == [embedded("x:mine", _meta=expected)]


def test_a_resource_without_a_uri_gets_none() -> None:
    talk, upstream = servers()
    content = [{"type": "resource_link", "_meta": {"ui/resourceUri": APP}, "title": "uri"}]
    result = called(talk.client(), upstream, {"content": content})
    assert result["content"] == [
        {"type": "resource_link", "_meta": {"ui/resourceUri": NAMED_APP}, "title": "uri"}
    ]


@pytest.mark.parametrize(
    "result",
    [
        b'{"content" : [ ],  "x":1.50}',
        b'{"content":[{"type":"resource_link", "uri":"x:mine"}]}',
        b'{"content":[{"type":"text","text":"\\"uri\\": ui://app"}] }',
        b'{"content":[{"type":"resource", "uri":"x:shared"}]}',
        b'{"content":{"uri":"x:shared"}}',
        b'{"content":null, "uri":"x:shared"}',
        b'{"content":[5, null, "uri", {"type":5,"uri":"x:shared"}]}',
        b'{"content":[{"type":"resource_link", "uri":5}]}',
        b'{"content":[{"type":"resource", "resource":[{"uri":"x:shared"}]}]}',
        b'{"structuredContent":{"uri":"x:shared"}, "messages":7}',
        b'{"_meta":{"ui":{"resourceUri":5}}, "content":[]}',
        b'{"_meta":{"ui":{"resourceUri":"https://a.test"}} }',
        b'{"_meta":["ui"] }',
        b'["uri"]',
        b'"uri"',
        b"5",
    ],
)
def test_a_result_with_nothing_to_rewrite_is_the_very_bytes_of_the_server(result: bytes) -> None:
    talk, upstream = servers()
    sent = talk.client().calls("a__echo", {})
    upstream.answers(upstream.sees_one(), result)
    assert sent.result_bytes == result


@pytest.mark.parametrize("view", [None, "a"])
def test_other_views_have_results_as_they_are(view: str | None) -> None:
    talk, upstream = servers("router")
    alice = talk.client(view=view)
    if view is None:
        alice.uses()
    sent = alice.calls("echo", {})
    result = b'{"content":[{"type":"resource_link","uri":"x:shared"}],  "_meta":{"ui/resourceUri":"ui://a"}}'
    upstream.answers(upstream.sees_one(), result)
    assert sent.result_bytes == result


def test_errors_and_every_way_of_calling_are_rewritten_alike() -> None:
    talk, upstream = servers()
    alice, lone = talk.client(), talk.stateless_client()
    alice.uses()
    sent = [alice.routes("echo"), alice.calls("echo"), lone.calls("a__echo", {})]
    for request in upstream.sees():
        upstream.answers(request, {"content": [link("x:shared")], "isError": True})
    assert [one.result["content"] for one in sent] == [[link(OTHERS)]] * 3
    assert [one.result["isError"] for one in sent] == [True] * 3


# --- Reading -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form", ["x:mine", shown_uri("a", "x:mine"), shown_uri("a", "never:listed")]
)
@pytest.mark.parametrize("view", ["direct", "router"])
def test_what_is_read_has_the_uri_that_was_asked_for(view: str, form: str) -> None:
    talk, upstream = servers(view)
    for alice in (talk.client(), talk.stateless_client(), talk.stateless_connection()):
        sent = alice.reads(form, odd=1, _meta={"k": 1})
        seen = upstream.sees_one()
        own = seen["params"]["uri"]
        assert (seen["params"]["odd"], seen["params"]["_meta"]) == (1, {"k": 1})
        contents = [
            {"uri": own, "text": "t", "_meta": {"k": 1}},
            {"uri": f"{own}/part", "blob": ""},
        ]
        upstream.answers(seen, {"contents": contents, "more": [1.5]})
        assert sent.result["contents"][0] == contents[0] | {"uri": form}
        assert sent.result["more"] == [1.5]


def test_parts_of_what_is_read_lead_back_as_well() -> None:
    talk, upstream = servers()
    sent = talk.client().reads(OTHERS)
    contents = [{"uri": uri, "text": "t"} for uri in ("x:shared", "x:mine", "x:shared/part")]
    upstream.answers(upstream.sees_one(), {"contents": contents})
    shown = [one["uri"] for one in sent.result["contents"]]
    assert shown == [OTHERS, "x:mine", shown_uri("a", "x:shared/part")]


def test_in_a_router_view_only_the_uri_that_was_asked_for_is_another() -> None:
    talk, upstream = servers("router")
    sent = talk.client().reads(OTHERS)
    contents = [
        {"uri": "x:shared", "_meta": {"ui": {"resourceUri": APP}}, "text": "t"},
        {"uri": "x:theirs", "text": "t"},
    ]
    upstream.answers(upstream.sees_one(), {"contents": contents})
    assert sent.result == {"contents": [contents[0] | {"uri": OTHERS}, contents[1]]}


def test_a_result_that_comes_after_the_profile_was_removed_is_delivered() -> None:
    talk = Conversation(profiles={"work": Profile()})
    upstream = talk.with_instance("a", "echo")
    sent = talk.client(view="work").calls("a__echo", {})
    talk.settings_change(profiles={})
    upstream.answers(upstream.sees_one(), {"content": [link("x:1")]})
    assert sent.result == {"content": [link("x:1")]}


def test_a_long_result_names_the_instance_where_a_search_would_take_too_long() -> None:
    talk = Conversation(view="direct")
    templates = [f"x{number}://{{id}}" for number in range(1000)]
    upstream = talk.with_instance("a", "echo", templates=templates)
    talk.with_instance("b", "echo", resources=["x:theirs"])
    uris = [f"x1://{number}" for number in range(MAX_COMPARISONS // 1000 + 1)]
    result = called(talk.client(), upstream, {"content": [link(uri) for uri in uris]})
    *searched, last = [item["uri"] for item in result["content"]]
    assert searched == uris[:-1]
    assert last == shown_uri("a", uris[-1])

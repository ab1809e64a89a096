"""A transparent view changes nothing in a message, whatever it holds, in both eras.

Messages are compared as JSON text that was taken apart without turning numbers into floats. Objects
are compared without order, and have no key twice.
"""

import json
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from msgspec import Raw

from router.messages.frames import ErrorResponse, Frame, Notification, Request, Response
from tests.router.core.conversation import Conversation, FakeClient, FakeUpstream, spec
from tests.router.core.fake_peers import SentRequest, value_of
from transports import json_rpc

Era = Literal["2025-11-25", "2026-07-28"]
ERAS = st.sampled_from(["2025-11-25", "2026-07-28"])

FEWER = settings(max_examples=settings().max_examples // 3)
"""Each example is a whole conversation."""

# --- JSON of every kind ----------------------------------------------------------------------

NUMBERS = (
    st.integers().map(str)
    | st.floats(allow_nan=False, allow_infinity=False).map(repr)
    | st.sampled_from(["-0", "1E400", "1e-999", "0.1000000000000000055511151231257827", "9" * 400])
)
STRINGS = st.builds(
    lambda text, is_escaped: json.dumps(text, ensure_ascii=is_escaped), st.text(), st.booleans()
) | st.sampled_from([r'"\/\u0041\ud83e\udd80"', '"\u2028\x7f"', r'"\u0000"'])
SCALARS = st.sampled_from(["null", "true", "false", "{}", "[]", " [ 1 , 2 ] "]) | NUMBERS | STRINGS


def array_of(items: list[str]) -> str:
    return f"[{', '.join(items)}]"


def object_of(members: dict[str, str]) -> str:
    inner = ",".join(f"{json.dumps(key)}: {value}" for key, value in members.items())
    return f"{{{inner}}}"


VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3).map(array_of)
        | st.dictionaries(st.text(max_size=8), inner, max_size=3).map(object_of)
    ),
    max_leaves=8,
)
"""The text of any JSON value."""

READ_BY_THE_ROUTER = {
    *("_meta", "name", "uri", "arguments", "ref", "task", "inputresponses", "requeststate"),
    *("progresstoken", "requestid", "level", "mode", "tools", "toolchoice", "elicitationid"),
    *("notifications", "resulttype", "cursor", "taskid", "content", "messages", "contents"),
}


def unknown(keys: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, str]]:
    known = READ_BY_THE_ROUTER
    return st.dictionaries(keys.filter(lambda key: key.casefold() not in known), VALUES, max_size=4)


UNKNOWN = unknown(st.text(max_size=12) | st.sampled_from(["x", "icons", "structuredContent"]))
META = unknown(st.text(max_size=12) | st.sampled_from(["example.com/trace", "x"]))
"""Members that no revision has."""

UNKNOWN_METHODS = st.text(max_size=20).map("x/{}".format)
METHODS = UNKNOWN_METHODS | st.sampled_from(
    ["tools/call", "prompts/get", "resources/read", "completion/complete", "prompts/list"]
)
KNOWN: dict[str, dict[str, str]] = {
    "tools/call": {"name": '"not listed"', "arguments": '{"n": 1E400}'},
    "prompts/get": {"name": '"文件 🦀"'},
    "resources/read": {"uri": '"file:///a%20b?\\u0000"'},
    "completion/complete": {"ref": '{"type":"ref/prompt","name":"p","x":-0}'},
}
"""Method -> the members that the router looks at, as text."""


def exact(data: Raw | bytes | str) -> Any:
    """Take JSON apart; numbers stay text, objects have each key once."""

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs), pairs
        return dict(pairs)

    text = data if isinstance(data, str) else bytes(data).decode()
    number = ("number {}".format,) * 2
    return json.loads(text, parse_int=number[0], parse_float=number[1], object_pairs_hook=members)


def wire(text: str) -> Raw:
    """Return raw JSON as it comes off a wire."""
    frame = json_rpc.decode(f'{{"jsonrpc":"2.0","method":"m","params":{text}}}'.encode())
    assert isinstance(frame, Notification)
    return frame.params


# --- A transparent view ----------------------------------------------------------------------


class Through:
    """A client and a server of the same era, with the router in between."""

    def __init__(self, era: Era, capabilities: Mapping[str, Any] | None = None) -> None:
        self.talk = Conversation()
        self.talk.configured(spec("a"), spec("b"))
        self.talk.starting("a")
        self.upstream: FakeUpstream = self.talk.up("a", "echo", revision=era)
        self.is_stateless = era == "2026-07-28"
        declared = dict(capabilities or {})
        self.client: FakeClient
        if self.is_stateless:
            self.client = client = self.talk.stateless_client(view="a")
            client.declares = declared
        else:
            self.client = self.talk.client(view="a")
            self.client.asks("initialize", {"protocolVersion": era, "capabilities": declared})

    def asks(self, method: str, members: dict[str, str]) -> tuple[SentRequest, Request]:
        """Send a request of these members; return it with what came to the server."""
        if self.is_stateless:
            envelope = {key: Raw(text.encode()) for key, text in members.items() if key != "_meta"}
            meta = msgspec.json.decode(members.get("_meta", "{}"), type=dict[str, Raw])
            asked = self.client.asks(method, envelope | {"_meta": meta})
        else:
            asked = self.client.asks(method, bytes(wire(object_of(members))))
        (seen,) = take(self.upstream.inbox.waiting)
        assert isinstance(seen, Request)
        return asked, seen


def take(frames: list[Frame]) -> list[Frame]:
    taken = list(frames)
    frames.clear()
    return taken


def without_envelope(params: Any) -> Any:
    """Return `params` without what a client of 2026-07-28 says of itself in each request."""
    meta = {
        key: value
        for key, value in params.get("_meta", {}).items()
        if not key.startswith("io.modelcontextprotocol/")
    }
    return params | {"_meta": meta}


# --- Requests and their answers --------------------------------------------------------------


@FEWER
@given(ERAS, METHODS, UNKNOWN, META)
def test_a_request_comes_to_the_server_as_it_was_sent(
    era: Era, method: str, members: dict[str, str], meta: dict[str, str]
) -> None:
    through = Through(era)
    sent = KNOWN.get(method, {}) | members | {"_meta": object_of(meta)}
    _, seen = through.asks(method, sent)
    assert seen.method == method
    assert without_envelope(exact(seen.params)) == exact(object_of(sent))


def test_a_request_without_params_has_none_at_the_server() -> None:
    through = Through("2025-11-25")
    through.client.asks("x/y")
    (seen,) = take(through.upstream.inbox.waiting)
    assert isinstance(seen, Request)
    assert not seen.params


@FEWER
@given(ERAS, METHODS, VALUES)
@example("2025-11-25", "tools/call", '{"resultType": "input_required", "x": 1E400}')
def test_a_result_comes_to_the_client_as_it_was_sent(era: Era, method: str, result: str) -> None:
    through = Through(era)
    assume(result != "null")
    asked, seen = through.asks(method, KNOWN.get(method, {}))
    through.upstream.sends(Response(seen.id, wire(f'{{"x":{result}}}')))
    (answer,) = asked.finals
    assert isinstance(answer, Response)
    assert answer.id == asked.id
    assert exact(answer.result) == exact(f'{{"x":{result}}}')


@FEWER
@given(ERAS, METHODS, st.integers(-(2**31), 2**31), STRINGS, UNKNOWN, VALUES)
def test_an_error_comes_to_the_client_as_it_was_sent(
    era: Era, method: str, code: int, message: str, more: dict[str, str], data: str
) -> None:
    through = Through(era)
    asked, seen = through.asks(method, KNOWN.get(method, {}))
    error = object_of({"code": str(code), "message": message, "data": data} | more)
    through.upstream.sends(ErrorResponse(seen.id, wire(error)))
    (answer,) = asked.finals
    assert isinstance(answer, ErrorResponse)
    assert answer.id == asked.id
    assert exact(answer.error) == exact(error)


@FEWER
@given(ERAS, UNKNOWN, META, st.integers() | st.text())
def test_progress_comes_under_the_clients_own_token(
    era: Era, members: dict[str, str], meta: dict[str, str], token: int | str
) -> None:
    through = Through(era)
    own = {"_meta": object_of({"progressToken": json.dumps(token)})}
    asked, seen = through.asks("x/slow", own)
    theirs = json.dumps(value_of(seen.params)["_meta"]["progressToken"])
    said = members | {"progress": "1E400", "_meta": object_of(meta)}
    through.upstream.sends(
        Notification("notifications/progress", wire(object_of(said | {"progressToken": theirs})))
    )
    (frame,) = asked.mailbox.waiting
    assert exact(frame.params) == exact(object_of(said | {"progressToken": json.dumps(token)}))


def test_a_key_that_comes_twice_goes_on_once() -> None:
    """A server that reads the first of two keys and a router that reads the last would disagree."""
    through = Through("2025-11-25")
    through.client.asks("prompts/get", b'{"name":"one","name":"two","_meta":{"x":1,"x":2}}')
    (seen,) = take(through.upstream.inbox.waiting)
    assert isinstance(seen, Request)
    assert exact(seen.params) == {"name": "two", "_meta": {"x": "number 2"}}


@FEWER
@given(st.dictionaries(st.text(max_size=8).filter(lambda name: name != "tasks"), UNKNOWN))
@example({"era": {}, "view": {}, "self": {}})
def test_capabilities_come_to_a_server_without_sessions_as_they_were_declared(
    capabilities: dict[str, dict[str, str]],
) -> None:
    text = object_of({name: object_of(members) for name, members in capabilities.items()})
    declared = msgspec.json.decode(wire(text), type=dict[str, Raw])
    through = Through("2026-07-28", declared)
    _, seen = through.asks("x/y", {})
    meta = exact(seen.params)["_meta"]
    assert meta["io.modelcontextprotocol/clientCapabilities"] == exact(text)


# --- Notifications, and requests of the server -----------------------------------------------


@FEWER
@given(UNKNOWN_METHODS, UNKNOWN, META)
def test_notifications_pass_in_both_directions(
    method: str, members: dict[str, str], meta: dict[str, str]
) -> None:
    through = Through("2025-11-25")
    frame = Notification(method, wire(object_of(members | {"_meta": object_of(meta)})))
    through.client.says(method, bytes(frame.params))
    assert take(through.upstream.inbox.waiting) == [frame]
    through.upstream.sends(frame)
    assert take(through.client.outbox.waiting) == [frame]


def test_notifications_without_params_pass_without_params() -> None:
    through = Through("2025-11-25")
    through.client.says("x/y")
    assert take(through.upstream.inbox.waiting) == [Notification("x/y")]
    through.upstream.says("x/y")
    assert take(through.client.outbox.waiting) == [Notification("x/y")]


@FEWER
@given(METHODS, UNKNOWN)
def test_a_notification_of_a_call_comes_with_it(method: str, members: dict[str, str]) -> None:
    through = Through("2026-07-28")
    asked, seen = through.asks("x/slow", {})
    frame = Notification(method, wire(object_of(members)))
    through.upstream.sends(frame, related=seen.id)
    assert asked.mailbox.waiting == [frame]


@FEWER
@given(UNKNOWN, META, st.sampled_from(["warning", "error"]))
def test_logs_and_updates_keep_what_nobody_knows(
    members: dict[str, str], meta: dict[str, str], level: str
) -> None:
    through = Through("2025-11-25")
    (subscribed, asked) = through.asks("resources/subscribe", {"uri": '"x:y"'})
    through.upstream.sends(Response(asked.id, Raw(b"{}")))
    assert subscribed.result == {}
    for method, known in (
        ("notifications/message", {"level": f'"{level}"', "data": "1E400"}),
        ("notifications/resources/updated", {"uri": '"x:y"'}),
    ):
        text = object_of(known | members | {"_meta": object_of(meta)})
        through.upstream.sends(Notification(method, wire(text)))
        (frame,) = take(through.client.outbox.waiting)
        assert isinstance(frame, Notification)
        assert exact(frame.params) == exact(text)


QUESTIONS = st.sampled_from(["sampling/createMessage", "elicitation/create", "roots/list"])


@FEWER
@given(QUESTIONS, UNKNOWN, META, VALUES, st.booleans())
def test_a_question_and_its_answer_pass_as_they_were_sent(
    method: str, members: dict[str, str], meta: dict[str, str], value: str, is_refused: bool
) -> None:
    through = Through("2025-11-25", {"sampling": {}, "elicitation": {}, "roots": {}})
    asked, seen = through.asks("tools/call", KNOWN["tools/call"])
    text = object_of(members | {"_meta": object_of(meta)})
    through.upstream.sends(Request("own id", method, wire(text)), related=seen.id)
    (question,) = asked.mailbox.waiting
    assert isinstance(question, Request)
    assert question.method == method
    assert exact(question.params) == exact(text)
    raw = wire(f'{{"x":{value}}}')
    if is_refused:
        through.client.refuses({"id": question.id}, bytes(raw))
        assert take(through.upstream.inbox.waiting) == [ErrorResponse("own id", raw)]
    else:
        through.client.answers({"id": question.id}, bytes(raw))
        assert take(through.upstream.inbox.waiting) == [Response("own id", raw)]

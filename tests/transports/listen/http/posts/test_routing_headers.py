"""Messages of 2026-07-28 are told apart, and compared with their headers."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from msgspec import Raw

from router.messages.frames import ErrorResponse, Frame, Notification, Request, Response
from router.messages.revisions import HANDSHAKE_REVISIONS, REVISIONS, STATELESS_REVISION
from transports.json_rpc import encode
from transports.listen.http.posts.routing_headers import (
    REVISION_KEY,
    check_headers,
    check_revision,
    decode_header_value,
    has_envelope,
    is_stateless_message,
    params_of,
)
from transports.listen.serving.exchange import Rejected, headers_of

LATER = "2027-01-01"


def params(revision: Any = STATELESS_REVISION, **members: Any) -> Raw:
    return Raw(json.dumps({"_meta": {REVISION_KEY: revision}, **members}).encode())


def call(name: Any = "echo") -> Request:
    return Request(7, "tools/call", params(name=name))


def headers(
    revision: str = STATELESS_REVISION, method: str = "tools/call", name: str = "echo"
) -> dict[str, str]:
    return {"mcp-protocol-version": revision, "mcp-method": method, "mcp-name": name}


def rejection_of(request: Request, sent: dict[str, str]) -> dict[str, Any]:
    """Return the rejection of a request with its status; empty if the request passes."""
    assert has_envelope(params_of(request))
    try:
        check_headers(request, params_of(request), sent)
    except Rejected as rejected:
        return {"status": rejected.status, **json.loads(encode(rejected.error))}
    return {}


# --- Which revision --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frame",
    [
        Request(1, "ping"),
        Request(1, "ping", Raw(b"{}")),
        Request(1, "ping", Raw(b'{"_meta":null}')),
        Request(1, "ping", Raw(b'{"_meta":5}')),
        Request(1, "ping", Raw(b'{"_meta":{"progressToken":1}}')),
        Request(1, "ping", Raw(b'{"arguments":{"_meta":{"%b":"x"}}}' % REVISION_KEY.encode())),
        Response(1, params()),
        ErrorResponse(1, params()),
    ],
)
def test_message_without_envelope_has_none(frame: Frame) -> None:
    assert not has_envelope(params_of(frame))
    assert not is_stateless_message(frame, params_of(frame), None)
    assert is_stateless_message(frame, params_of(frame), STATELESS_REVISION)


@pytest.mark.parametrize("frame", [Request(1, "x", params()), Notification("x", params())])
@pytest.mark.parametrize("requested", [None, STATELESS_REVISION, "2025-11-25", LATER])
def test_envelope_decides_whatever_the_header_says(frame: Frame, requested: str | None) -> None:
    assert is_stateless_message(frame, params_of(frame), requested)


@pytest.mark.parametrize("revision", [LATER, "", None, 5, {}])
def test_envelope_of_no_handshake_revision_is_stateless(revision: Any) -> None:
    frame = Request(1, "x", params(revision))
    assert is_stateless_message(frame, params_of(frame), None)


@pytest.mark.parametrize("revision", HANDSHAKE_REVISIONS)
def test_envelope_of_a_handshake_revision_does_not_make_a_request_stateless(revision: str) -> None:
    frame = Request(1, "x", params(revision))
    assert not is_stateless_message(frame, params_of(frame), revision)


def test_last_of_two_envelopes_counts_as_it_does_to_the_core() -> None:
    raw = b'{"_meta":{"%b":"a"},"_meta":{"%b":"b"}}' % ((REVISION_KEY.encode(),) * 2)
    frame = Request(7, "x", Raw(raw))
    assert rejection_of(frame, headers("a", "x"))["error"]["code"] == -32020
    assert rejection_of(frame, headers("b", "x"))["error"]["code"] == -32022


def test_escaped_envelope_is_found_where_it_is_looked_for() -> None:
    raw = b'{"_meta":{"io.modelcontextprotocol\\/protocolVersion":"2026\\u002d07-28"}}'
    assert rejection_of(Request(7, "x", Raw(raw)), headers(method="x")) == {}


def test_initialize_is_of_the_handshake_unless_header_and_envelope_say_otherwise() -> None:
    bare, enveloped = Request(1, "initialize"), Request(1, "initialize", params())
    assert not is_stateless_message(bare, params_of(bare), STATELESS_REVISION)
    assert not is_stateless_message(enveloped, params_of(enveloped), None)
    assert is_stateless_message(enveloped, params_of(enveloped), STATELESS_REVISION)


# --- Headers that repeat ---------------------------------------------------------------------


def test_rejection_has_a_status_a_code_and_the_id_of_its_request() -> None:
    rejection = rejection_of(call(), headers(name="other"))
    assert rejection == {
        "jsonrpc": "2.0",
        "id": 7,
        "status": 400,
        "error": {
            "code": -32020,
            "message": "Mcp-Name must be sent once and repeat params.name of the request",
        },
    }


@pytest.mark.parametrize(
    ("method", "member", "other"),
    [
        ("tools/call", "name", "uri"),
        ("prompts/get", "name", "uri"),
        ("resources/read", "uri", "name"),
        ("tasks/get", "taskId", "name"),
        ("tasks/update", "taskId", "name"),
        ("tasks/cancel", "taskId", "name"),
    ],
)
def test_headers_that_repeat_the_request_pass(method: str, member: str, other: str) -> None:
    request = Request(7, method, params(**{member: "x:y", other: "x:z"}))
    assert not rejection_of(request, headers(method=method, name="x:y"))
    assert rejection_of(request, headers(method=method, name="x:z"))


def test_other_methods_need_no_name() -> None:
    request = Request(7, "tools/list", params(name="x", uri="y"))
    sent = headers(method="tools/list")
    assert not rejection_of(request, sent)
    del sent["mcp-name"]
    assert not rejection_of(request, sent)


@pytest.mark.parametrize("header", ["MCP-Protocol-Version", "Mcp-Method", "Mcp-Name"])
@pytest.mark.parametrize("sent", [None, "", "other", "Echo", "TOOLS/CALL"])
def test_header_that_is_missing_or_another_is_a_mismatch_and_named(
    header: str, sent: str | None
) -> None:
    named = headers()
    del named[header.lower()]
    rejection = rejection_of(call(), named if sent is None else named | {header.lower(): sent})
    assert rejection["error"]["code"] == -32020
    assert rejection["error"]["message"].startswith(f"{header} must be sent once and repeat ")


@pytest.mark.parametrize("header", ["mcp-protocol-version", "mcp-method", "mcp-name"])
def test_header_that_was_sent_twice_is_a_mismatch_even_with_the_same_value(header: str) -> None:
    sent = headers()
    twice = headers_of((key.encode(), sent[key].encode()) for key in [*sent, header])
    assert rejection_of(call(), twice)["error"]["code"] == -32020


@pytest.mark.parametrize("name", ["echo, other", "echo\nother"])
def test_two_names_do_not_add_up_to_the_one_in_the_request(name: str) -> None:
    once = base64.b64encode(name.encode()).decode()
    assert not rejection_of(call(name), headers(name=f"=?base64?{once}?="))
    twice = headers_of([(b"mcp-name", b"echo"), (b"mcp-name", b"other")])
    assert rejection_of(call(name), headers() | twice)["error"]["code"] == -32020


@pytest.mark.parametrize("name", [None, 5, ["echo"]])
def test_name_that_is_no_string_is_left_to_the_core(name: Any) -> None:
    assert not rejection_of(call(name), headers())
    assert not rejection_of(Request(7, "tools/call", params()), headers())


@pytest.mark.parametrize("revision", [None, 5, []])
def test_revision_that_is_no_string_matches_no_header(revision: Any) -> None:
    request = Request(7, "tools/list", params(revision))
    for sent in ({"mcp-method": "tools/list"}, headers(json.dumps(revision), "tools/list")):
        assert rejection_of(request, sent)["error"]["code"] == -32020


# --- Revisions -------------------------------------------------------------------------------


def test_revision_that_is_not_spoken_is_told_after_headers_that_do_not_match() -> None:
    request = Request(7, "tools/list", params(LATER))
    assert rejection_of(request, headers(LATER, "tools/call"))["error"]["code"] == -32020
    error = rejection_of(request, headers(LATER, "tools/list"))["error"]
    assert error["code"] == -32022
    assert error["data"] == {"supported": list(REVISIONS), "requested": LATER}


@pytest.mark.parametrize("requested", [None, *REVISIONS])
def test_spoken_revisions_and_none_pass(requested: str | None) -> None:
    check_revision(requested, 1)


# --- Values ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "decoded"),
    [
        (None, None),
        ("", ""),
        ("a b", "a b"),
        ("=?base64??=", ""),
        ("=?base64?w6k=?=", "é"),
        ("=?base64?PT9iYXNlNjQ/eD89?=", "=?base64?x?="),
        ("=?base64?", "=?base64?"),
        ("=?base64?=", "=?base64?="),
        ("=?BASE64?YQ==?=", "=?BASE64?YQ==?="),
        ("x=?base64?YQ==?=", "x=?base64?YQ==?="),
        ("=?base64?YQ?=", None),  # no padding
        ("=?base64?YR==?=", None),  # bits behind the end
        ("=?base64?YQ==YQ==?=", None),
        ("=?base64?Y Q==?=", None),
        ("=?base64?-_-_?=", None),  # the other alphabet
        ("=?base64?/w==?=", None),  # no UTF-8
        ("=?base64?7aCA?=", None),  # a surrogate
        ("é", None),
        ("a\tb", None),
        ("a\nb", None),
    ],
)
def test_value_is_read_as_an_encoder_writes_it_or_not_at_all(
    value: str | None, decoded: str | None
) -> None:
    assert decode_header_value(value) == decoded

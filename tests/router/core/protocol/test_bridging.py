"""The conversions between protocol revisions."""

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from router.core.protocol import bridging
from router.core.text.raw_json import raw_of
from router.messages.errors import RpcError
from router.messages.frames import ErrorResponse, Response
from router.messages.revisions import HANDSHAKE_REVISIONS, REVISION_KEY, REVISIONS


@pytest.mark.parametrize("revision", HANDSHAKE_REVISIONS)
def test_a_supported_handshake_revision_is_agreed_to(revision: str) -> None:
    assert bridging.negotiate(revision) == revision


@pytest.mark.parametrize("revision", ["", "2024-10-07", "2026-07-28", "9999-01-01"])
def test_for_any_other_the_latest_is_offered(revision: str) -> None:
    assert bridging.negotiate(revision) == "2025-11-25"


@pytest.mark.parametrize(
    ("revision", "an_object", "a_list"),
    [
        ("2024-11-05", {}, {}),
        ("2025-03-26", {}, {}),
        ("2025-06-18", {"structuredContent": {"x": 1}}, {"structuredContent": {"result": [1]}}),
        ("2025-11-25", {"structuredContent": {"x": 1}}, {"structuredContent": {"result": [1]}}),
        ("2026-07-28", {"structuredContent": {"x": 1}}, {"structuredContent": [1]}),
    ],
)
def test_a_value_is_structured_as_the_revision_allows(
    revision: str, an_object: Any, a_list: Any
) -> None:
    assert bridging.structured_content({"x": 1}, revision) == an_object
    assert bridging.structured_content([1], revision) == a_list


@pytest.mark.parametrize(
    ("value", "answer"),
    [(b"5", True), (b"null", True), (b'"2099-01-01"', True), (b'"2025-06-18"', False)],
)
def test_any_revision_but_a_handshake_one_makes_an_envelope(value: bytes, answer: bool) -> None:
    assert bridging.is_enveloped({REVISION_KEY: Raw(value)}) is answer
    assert bridging.is_enveloped({}) is False


@pytest.mark.parametrize(
    ("meta", "code", "said"),
    [
        ({}, -32602, "protocolVersion and io.modelcontextprotocol/clientCapabilities"),
        ({REVISION_KEY: b'"2026-07-28"'}, -32602, "clientCapabilities"),
        ({REVISION_KEY: b"5", bridging.CAPABILITIES_KEY: b"{}"}, -32602, "string"),
    ],
)
def test_an_envelope_that_lacks_something_is_refused(
    meta: dict[str, bytes], code: int, said: str
) -> None:
    with pytest.raises(RpcError, match=said) as caught:
        bridging.check_envelope({key: Raw(value) for key, value in meta.items()})
    assert caught.value.code == code


def test_an_unknown_revision_is_refused_with_all_supported_ones() -> None:
    meta = {REVISION_KEY: Raw(b'"2099-01-01"'), bridging.CAPABILITIES_KEY: Raw(b"{}")}
    with pytest.raises(RpcError) as caught:
        bridging.check_envelope(meta)
    assert caught.value.code == -32022
    assert caught.value.data == {"supported": list(REVISIONS), "requested": "2099-01-01"}


INFO = {"name": "mcp_router", "version": "9.9"}


def stateless(answer: Any, capabilities: Any = None) -> Any:
    """Convert a result, or an error in an `ErrorResponse`, to 2026-07-28 and decode it."""
    frame = answer if isinstance(answer, ErrorResponse) else Response(1, Raw(answer))
    declared = {key: raw_of(value) for key, value in (capabilities or {}).items()}
    converted = bridging.answer_as_stateless(frame, "complete", declared, INFO)
    return msgspec.json.decode(
        converted.error if isinstance(converted, ErrorResponse) else converted.result
    )


def test_a_stateless_result_has_its_type_and_the_server_info() -> None:
    result = b'{"content":[],"_meta":{"mine":1},"odd":2}'
    assert stateless(result) == {
        "content": [],
        "odd": 2,
        "resultType": "complete",
        "_meta": {"mine": 1, bridging.SERVER_INFO_KEY: INFO},
    }


def test_a_server_with_sessions_cannot_ask_by_its_result() -> None:
    assert stateless(b'{"resultType":"input_required"}')["resultType"] == "complete"


@pytest.mark.parametrize("result", [b"5", b"[]", b"null", b'{"_meta":5}'])
def test_a_result_that_is_no_object_is_an_error(result: bytes) -> None:
    assert stateless(result)["code"] == -32603


def failed(code: int, **more: Any) -> ErrorResponse:
    return ErrorResponse(1, raw_of({"code": code, "message": "no"} | more))


def test_a_resource_that_is_missing_has_another_code() -> None:
    converted = stateless(failed(-32002, data={"uri": "x:"}))
    assert converted == {"code": -32602, "message": "no", "data": {"uri": "x:"}}


@pytest.mark.parametrize("error", [b'{"code":"5"}', b'{"code":-32050,"message":"x","more":[1]}'])
def test_other_errors_stay_as_they_are(error: bytes) -> None:
    assert stateless(ErrorResponse(1, Raw(error))) == msgspec.json.decode(error)


URLS = {"elicitations": [{"mode": "url", "url": "https://a.test", "elicitationId": "e"}]}


def test_a_url_to_visit_first_is_asked_for_as_input() -> None:
    converted = stateless(failed(-32042, data=URLS), {"elicitation": {"url": {}}})
    assert converted["resultType"] == "input_required"
    asked = {"method": "elicitation/create", "params": {"mode": "url", "url": "https://a.test"}}
    assert converted["inputRequests"] == {"1": asked}


@pytest.mark.parametrize(
    ("data", "capabilities"),
    [
        (URLS, {}),
        (URLS, {"elicitation": {}}),
        (URLS, {"elicitation": True}),
        (URLS, {"elicitation": ["url"]}),
        (5, {"elicitation": {"url": {}}}),
        (None, {}),
    ],
)
def test_a_url_that_cannot_be_asked_for_names_the_missing_capability(
    data: Any, capabilities: Any
) -> None:
    converted = stateless(failed(-32042, data=data), capabilities)
    needed = {"elicitation": {"url": {}}}
    assert converted == {"code": -32021, "message": "no", "data": {"requiredCapabilities": needed}}


@pytest.mark.parametrize("schema", [b"5", b'{"x-mcp-header":1e999}'])
def test_a_malformed_schema_is_listed_as_it_is(schema: bytes) -> None:
    tool = Raw(b'{"name":"x-mcp-header","inputSchema":%b}' % schema)
    assert bytes(bridging.tool_as_stateless(tool)) == bytes(tool)


def test_a_schema_that_nests_too_deeply_is_listed_as_it_is() -> None:
    schema = b'{"x-mcp-header":"A","p":' * 700 + b"1" + b"}" * 700
    tool = Raw(b'{"name":"deep","inputSchema":%b}' % schema)
    assert bytes(bridging.tool_as_stateless(tool)) == bytes(tool)


# --- Capabilities of one server ----------------------------------------------------------------

NEW = "2026-07-28"


# --- Answers across eras -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "code", "expected"),
    [
        ("resources/read", -32602, -32002),
        ("resources/read", -32601, -32601),
        ("prompts/get", -32602, -32602),
        ("tools/call", -32002, -32002),
    ],
)
def test_a_handshake_client_is_told_of_a_missing_resource_with_its_own_code(
    method: str, code: int, expected: int
) -> None:
    answer = failed(code, data={"uri": "x:"}, odd=[1.5])
    converted = bridging.error_as_handshake(answer, method)
    error = msgspec.json.decode(converted.error)
    assert error == {"code": expected, "message": "no", "data": {"uri": "x:"}, "odd": [1.5]}
    assert (converted is answer) is (code == expected)


@pytest.mark.parametrize("error", [b"5", b"[]", b'{"code":"-32602"}', b"{}"])
def test_an_error_that_makes_no_sense_stays_as_it_is(error: bytes) -> None:
    answer = ErrorResponse(1, Raw(error))
    assert bridging.error_as_handshake(answer, "resources/read") is answer


@pytest.mark.parametrize("method", sorted(bridging.CACHEABLE))
def test_what_may_be_kept_is_said_to_be_private_and_stale_at_once(method: str) -> None:
    answer = Response(1, Raw(b'{"contents":[]}'))
    converted = bridging.answer_as_stateless(answer, "complete", {}, INFO, method)
    assert isinstance(converted, Response)
    result = msgspec.json.decode(converted.result)
    assert (result["ttlMs"], result["cacheScope"]) == (0, "private")


@pytest.mark.parametrize(
    ("method", "result_type"),
    [("resources/read", "input_required"), ("tools/call", "complete"), ("x/odd", "complete")],
)
def test_other_results_do_not_say_how_long_they_may_be_kept(method: str, result_type: str) -> None:
    answer = Response(1, Raw(b"{}"))
    converted = bridging.answer_as_stateless(answer, result_type, {}, INFO, method)
    assert isinstance(converted, Response)
    assert msgspec.json.decode(converted.result).keys() == {"resultType", "_meta"}

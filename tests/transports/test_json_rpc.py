"""Bytes in, frames out, and the same the other way round."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from router.messages.frames import NO_RAW, ErrorResponse, Frame, Notification, Request, Response
from transports.json_rpc import (
    FrameError,
    decode,
    decode_from_client,
    depth_of,
    encode,
    encode_line,
    encode_lines,
    is_batch,
    payload_bytes,
    split_batch,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
IDS = st.integers() | TEXT
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)
OBJECTS = st.dictionaries(TEXT, JSON, max_size=4)


def raw(value: Any, *, indent: int | None = None, ascii_only: bool = False) -> Raw:
    return Raw(json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode())


RAW_OBJECTS = st.builds(raw, OBJECTS, indent=st.none() | st.just(2), ascii_only=st.booleans())
RAW_VALUES = st.builds(raw, JSON, indent=st.none() | st.just(2), ascii_only=st.booleans())
FRAMES = (
    st.builds(Request, IDS, TEXT, RAW_OBJECTS | st.just(NO_RAW))
    | st.builds(Notification, TEXT, RAW_OBJECTS | st.just(NO_RAW))
    | st.builds(Response, IDS, RAW_VALUES)
    | st.builds(ErrorResponse, IDS | st.none(), RAW_OBJECTS)
)


def parsed(frame: Frame) -> dict[str, Any]:
    return json.loads(encode(frame))


def refused(data: bytes) -> FrameError:
    with pytest.raises(FrameError) as caught:
        decode(data)
    return caught.value


# --- There and back --------------------------------------------------------------------------


@given(FRAMES)
def test_what_is_encoded_is_decoded_to_the_same_bytes(frame: Frame) -> None:
    back = decode(encode(frame))
    assert type(back) is type(frame)
    assert encode(back) == encode(frame)
    assert parsed(frame)["jsonrpc"] == "2.0"


@given(FRAMES)
def test_a_line_is_one_line_and_says_the_same(frame: Frame) -> None:
    line = encode_line(frame)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert b"\r" not in line
    assert json.loads(line) == parsed(frame)


@given(st.lists(FRAMES, max_size=4))
def test_several_frames_are_several_lines(frames: list[Frame]) -> None:
    assert encode_lines(frames) == b"".join(encode_line(frame) for frame in frames)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_comes_is_a_frame_or_a_frame_error(data: bytes) -> None:
    refusal: FrameError | None = None
    try:
        decode(data)
    except FrameError as error:
        refusal = error
    if refusal is not None:
        assert refusal.code in (-32700, -32600)
        assert parsed(refusal.to_frame())["error"]["code"] == refusal.code


@given(FRAMES, st.data())
def test_a_message_cut_short_is_a_parse_error(frame: Frame, data: st.DataObject) -> None:
    whole = encode(frame)
    cut = data.draw(st.integers(0, len(whole) - 1))
    assert refused(whole[:cut]).code == -32700


def test_every_buffer_is_taken() -> None:
    whole = b'{"jsonrpc":"2.0","id":1,"method":"m","params":{"k":"\xc3\xa9"}}'
    for data in (whole, bytearray(whole), memoryview(whole), Raw(whole)):
        assert encode(decode(data)) == whole


# --- The envelope ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ('"id":1,"method":"m"', Request(1, "m")),
        ('"id":"1","method":"m"', Request("1", "m")),
        ('"id":0,"method":""', Request(0, "")),
        (
            '"id":123456789012345678901234567890,"method":"m"',
            Request(123456789012345678901234567890, "m"),
        ),
        ('"method":"m"', Notification("m")),
        ('"method":"m","params":null', Notification("m")),
        ('"id":1,"result":null', Response(1, Raw(b"null"))),
        ('"id":1,"result":1,"error":null', Response(1, Raw(b"1"))),
        ('"id":1,"result":null,"error":{}', ErrorResponse(1, Raw(b"{}"))),
        ('"error":{}', ErrorResponse(None, Raw(b"{}"))),
        ('"id":null,"error":{}', ErrorResponse(None, Raw(b"{}"))),
        ('"id":1,"method":"m","result":1,"x":{"y":[]}', Request(1, "m")),
        ('"id":1,"\\u006dethod":"m"', Request(1, "m")),
        ('"id":1,"id":2,"method":"a","method":"b"', Request(2, "b")),
    ],
)
def test_a_message_is_read(members: str, expected: Frame) -> None:
    assert encode(decode(b'{"jsonrpc":"2.0",' + members.encode() + b"}")) == encode(expected)


@pytest.mark.parametrize(
    ("members", "problem", "request_id"),
    [
        ("", 'it needs "method", or either "result" or "error"', None),
        ('"id":1', 'it needs "method", or either "result" or "error"', 1),
        ('"id":1,"result":1,"error":{}', 'it needs "method", or either "result" or "error"', 1),
        ('"result":1', "a response needs an id", None),
        ('"id":null,"result":1', "a response needs an id", None),
        ('"id":null,"method":"m"', '"id" must be a string or an integer', None),
        ('"id":1,"method":"m","params":[1]', '"params" must be an object', 1),
        ('"id":"a","method":"m","params":"x"', '"params" must be an object', "a"),
        ('"id":1,"error":"text"', '"error" must be an object', 1),
        ('"id":1,"method":5', "Expected `str`, got `int` - at `$.method`", 1),
        ('"id":1,"method":"m","Method":"n"', "'Method' differs from a known key in case", 1),
        ('"id":1,"METHOD":"m"', "'METHOD' differs from a known key in case", 1),
        ('"id":1,"method":"m","Params":{}', "'Params' differs from a known key in case", 1),
        ('"id":1,"re\u017fult":1', "'re\u017fult' differs from a known key in case", 1),
    ],
)
def test_a_malformed_message_is_refused_to_its_sender(
    members: str, problem: str, request_id: Any
) -> None:
    error = refused(('{"jsonrpc":"2.0"' + (members and "," + members) + "}").encode())
    assert (error.code, str(error)) == (-32600, f"Invalid request: {problem}")
    assert error.id == request_id
    assert parsed(error.to_frame()) == {
        "jsonrpc": "2.0",
        "id": request_id,
        "error": {"code": -32600, "message": str(error)},
    }


@pytest.mark.parametrize("wrong_id", ["true", "1.0", "1.5", "1e3", "[]", "{}", "9" * 5000])
def test_an_id_is_a_string_or_an_integer(wrong_id: str) -> None:
    error = refused(f'{{"jsonrpc":"2.0","id":{wrong_id},"method":"m"}}'.encode())
    assert (error.code, error.id) == (-32600, None)


@pytest.mark.parametrize("version", ["", '"jsonrpc":"1.0",', '"jsonrpc":2.0,'])
def test_the_version_is_2(version: str) -> None:
    error = refused(f'{{{version}"id":7,"method":"m"}}'.encode())
    assert (error.code, error.id) == (-32600, 7)


@pytest.mark.parametrize("data", [b"[]", b'"x"', b"5", b"null"])
def test_json_that_is_no_object_is_no_request(data: bytes) -> None:
    assert refused(data).code == -32600


# --- Hostile JSON ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"01",
        b"1.",
        b"'x'",
        b"[1,]",
        b'"\x01"',
        b'"\n"',
        b'"\\q"',
        b'"\\uZZZZ"',
        b'"\\ud800 lone"',
        b'"\\udfff lone"',
        b'"\xff"',
        b'"\xc3"',
        b'"\xed\xa0\x80"',
        b'"\xc0\xaf"',
    ],
)
def test_what_is_no_json_deep_inside_is_a_parse_error(value: bytes) -> None:
    data = b'{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":[{"b":' + value + b"}]}}"
    assert refused(data).code == -32700
    assert refused(b'{"jsonrpc":"2.0","id":1,"x":1,"result":' + value + b"}").code == -32700


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"  ",
        b"nonsense",
        b'\xef\xbb\xbf{"jsonrpc":"2.0","method":"m"}',
        b'{"jsonrpc":"2.0","method":"m"} x',
        b'{"jsonrpc":"2.0","method":"m"}{}',
        b'{"jsonrpc":"2.0","method":"\xff"}',
        '{"jsonrpc":"2.0","method":"m"}'.encode("utf-16"),
    ],
)
def test_what_is_no_json_is_a_parse_error(data: bytes) -> None:
    error = refused(data)
    assert (error.code, error.id) == (-32700, None)


def test_space_around_a_message_is_nothing() -> None:
    assert decode(b' \r\n\t{ "jsonrpc" : "2.0" , "method" : "m" }\n') == Notification("m")


def test_what_nests_far_too_deeply_is_a_parse_error() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    error = refused(b'{"jsonrpc":"2.0","id":1,"method":"m","params":{"x":' + deep + b"}}")
    assert (error.code, str(error)) == (-32700, "Parse error: nested too deeply")


DEPTH_1 = b'{"jsonrpc":"2.0","id":1,"method":"m","params":%b}'


@pytest.mark.parametrize("pair", ["[]", "{}"])
def test_client_nests_64_levels_and_no_more(pair: str) -> None:
    opening, closing = ("[", "]") if pair == "[]" else ('{"k":', "}")
    fits, deeper = (
        DEPTH_1 % f'{{"x":{opening * levels}1{closing * levels}}}'.encode() for levels in (62, 63)
    )
    assert encode(decode_from_client(fits)) == fits
    with pytest.raises(FrameError) as caught:
        decode_from_client(deeper)
    assert (caught.value.code, caught.value.id) == (-32700, None)
    assert str(caught.value) == "Parse error: nested more than 64 levels deep"
    assert encode(decode(deeper)) == deeper  # from an upstream


def test_brackets_in_strings_are_no_levels() -> None:
    hostile = [
        "[" * 100,
        "{" * 100 + "\\",
        '"[' * 100,
        '\\"[' * 100,
        "]" * 100,
        "\\\\" + "[" * 100 + "\\",
        "\u2028[{" * 50,
        "",
    ]
    whole = DEPTH_1 % json.dumps({"x": hostile, "[[[": [[hostile]]}).encode()
    assert encode(decode_from_client(whole)) == whole


def test_brackets_beside_one_another_are_no_levels() -> None:
    whole = DEPTH_1 % json.dumps({"x": [[], {}, [{}]] * 1000}).encode()
    assert encode(decode_from_client(whole)) == whole


STRINGS_OF_BRACKETS = st.text(st.sampled_from('[]{}"\\ua1 :,'))


def depth(value: Any) -> int:
    """The obvious way to count."""
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@given(
    st.recursive(
        st.integers() | STRINGS_OF_BRACKETS,
        lambda inner: st.lists(inner) | st.dictionaries(STRINGS_OF_BRACKETS, inner),
    ),
    st.none() | st.just(2),
)
def test_levels_are_counted_right(value: Any, indent: int | None) -> None:
    assert depth_of(json.dumps(value, indent=indent).encode()) == depth(value)


def test_numbers_are_kept_as_they_were_written() -> None:
    whole = b'{"jsonrpc":"2.0","id":1,"result":{"n":[1.50,1E+2,123456789012345678901234567890]}}'
    assert encode(decode(whole)) == whole


# --- Batches ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "answer"),
    [(b"[]", True), (b" \r\n\t[1]", True), (b"{}", False), (b"", False), (b'"["', False)],
)
def test_a_batch_is_recognised(data: bytes, answer: bool) -> None:
    assert is_batch(data) is answer


def test_a_batch_is_split_into_its_members() -> None:
    members = split_batch(b'[{"jsonrpc":"2.0","method":"m"}, 5 ,{}]')
    assert [bytes(member) for member in members] == [b'{"jsonrpc":"2.0","method":"m"}', b"5", b"{}"]
    assert decode(members[0]) == Notification("m")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"[]", -32600),
        (b"{}", -32600),
        (b"[1", -32700),
        (b"[1]]", -32700),
        (b"[" * 100_000 + b"]" * 100_000, -32700),
    ],
)
def test_what_is_no_batch_is_refused(data: bytes, code: int) -> None:
    with pytest.raises(FrameError) as caught:
        split_batch(data)
    assert caught.value.code == code


def test_size_of_a_frame_is_that_of_its_payload_and_method() -> None:
    payload = Raw(b'{"a":1}')
    frames = (
        Request(1, "xyz", payload),
        Notification("xyz", payload),
        Response(1, payload),
        ErrorResponse(1, payload),
    )
    assert [payload_bytes(frame) for frame in frames] == [10, 10, 7, 7]
    assert payload_bytes(Notification("x")) == 1


def test_raw_parts_outlive_the_buffer_they_came_in() -> None:
    frame = decode(bytes(bytearray(b'{"jsonrpc":"2.0","id":1,"result":{"k":1}}')))
    assert isinstance(frame, Response)
    assert msgspec.json.decode(frame.result) == {"k": 1}

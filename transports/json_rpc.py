"""Converts JSON-RPC messages between bytes and frames. No I/O.

The envelope, which routing needs, is decoded; the rest stays raw.

Invariants:

- An envelope is written anew from its fields. So the router and its peers cannot read two different
  things into one message (duplicate keys, unknown members).
- `params`, `result` and `error` are forwarded as the bytes they came in.
- Those bytes are checked to be JSON and UTF-8: no NaN, no lone surrogates, nothing behind the end.
- They nest at most `MAX_DEPTH` levels if they come from a client. From upstreams they nest as far
  as the interpreter's recursion limit lets msgspec go, about 900.
"""

from __future__ import annotations

import re
from itertools import accumulate
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from router.messages.errors import INVALID_REQUEST, PARSE_ERROR
from router.messages.frames import (
    NO_RAW,
    ErrorResponse,
    Frame,
    Notification,
    Request,
    RequestId,
    Response,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


class FrameError(Exception):
    """Bytes that are no JSON-RPC message.

    Attributes:
        code: -32700 for bytes that are no JSON, -32600 for JSON that is no JSON-RPC message.
        message: the problem, for a person.
        id: the id of the request, None if it could not be read.
    """

    def __init__(self, code: int, message: str, id: RequestId | None = None) -> None:  # noqa: A002 - as JSON-RPC calls it
        super().__init__(code, message, id)
        self.code = code
        self.message = message
        self.id = id

    def __str__(self) -> str:
        return self.message

    def to_frame(self) -> ErrorResponse:
        """Return the answer that JSON-RPC 2.0 section 5.1 asks for."""
        error = {"code": self.code, "message": self.message}
        return ErrorResponse(self.id, Raw(msgspec.json.encode(error)))


class _AnyEnvelope(Struct, gc=False):
    jsonrpc: str = ""
    id: RequestId | UnsetType | None = UNSET
    method: str | UnsetType = UNSET
    params: Raw = NO_RAW
    result: Raw = NO_RAW
    error: Raw = NO_RAW


class _Envelope(_AnyEnvelope, gc=False, forbid_unknown_fields=True):
    """The usual case: no members but those of JSON-RPC."""


_envelope: Final = msgspec.json.Decoder(_Envelope)
_any_envelope: Final = msgspec.json.Decoder(_AnyEnvelope)
_members: Final = msgspec.json.Decoder(dict[str, Raw])
_id: Final = msgspec.json.Decoder(int | str)
_array: Final = msgspec.json.Decoder(list[Raw])
_encode: Final = msgspec.json.encode

MAX_DEPTH: Final = 64
"""The number of levels in a client's message, of which its own braces are the first."""

_KNOWN_MEMBERS: Final = frozenset(_AnyEnvelope.__struct_fields__)
_OBJECT_START: Final = ord("{")


def decode(data: bytes | bytearray | memoryview | Raw) -> Frame:
    """Read one message.

    Args:
        data: UTF-8 JSON of one object. The raw parts of the frame keep it alive.

    Raises:
        FrameError: `data` is no JSON, no UTF-8, nested too deeply, or no JSON-RPC message.
    """
    try:
        try:
            envelope: _AnyEnvelope = _envelope.decode(data)
        except msgspec.ValidationError:
            envelope = _decode_unusual(data)
        # msgspec checks the syntax of raw parts, but not the UTF-8 in their strings.
        whole = data if isinstance(data, (bytes, bytearray)) else bytes(data)
        if not whole.isascii():
            whole.decode("utf-8")
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise FrameError(PARSE_ERROR, f"Parse error: {exc}") from None
    except RecursionError:
        raise FrameError(PARSE_ERROR, "Parse error: nested too deeply") from None
    return _to_frame(envelope)


def decode_from_client(data: bytes | Raw) -> Frame:
    """Read one message of a client, which may be hostile.

    Raises:
        FrameError: as `decode`; also if `data` nests more deeply than `MAX_DEPTH`. The router can
            read that, but it might exhaust the stack of a server that reads it by recursion.
    """
    frame = decode(data)
    whole = bytes(data)  # copies nothing, unless `data` is a member of a batch
    # Most messages have so few brackets that they need not be paired.
    if whole.count(b"{") + whole.count(b"[") > MAX_DEPTH and depth_of(whole) > MAX_DEPTH:
        raise FrameError(PARSE_ERROR, f"Parse error: nested more than {MAX_DEPTH} levels deep")
    return frame


_NO_BRACKETS: Final = bytes(set(range(256)) - set(b'"[]{}'))
_BRACKET_STEPS: Final = bytes.maketrans(b"[]{}", b"\x01\xff\x01\xff")
_STRINGS: Final = re.compile(rb'"[^"]*"')


def depth_of(data: bytes) -> int:
    """Return the number of levels in valid JSON; 0 if it is neither an array nor an object.

    Each pass over the data runs in C, so 10 MB take less than a second at the worst.
    """
    plain = data
    if b"\\" in data:
        plain = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    # With all else removed, a string without brackets is `""`. Those go too, and the quotes that
    # are left still pair up.
    plain = plain.translate(None, _NO_BRACKETS).replace(b'""', b"")
    if b'"' in plain:
        plain = _STRINGS.sub(b"", plain)
    steps = memoryview(plain.translate(_BRACKET_STEPS)).cast("b")  # signed: +1 opens, -1 closes
    return max(accumulate(steps), default=0)


def is_batch(data: bytes) -> bool:
    """Return whether this is a JSON-RPC batch, which is a JSON array."""
    return data.lstrip(b" \t\r\n")[:1] == b"["


def split_batch(data: bytes) -> list[Raw]:
    """Return the members of a batch, to be decoded one by one.

    Raises:
        FrameError: `data` is no JSON array, or an empty one (JSON-RPC 2.0 section 6).
    """
    try:
        members = _array.decode(data)
    except msgspec.ValidationError as exc:
        raise FrameError(INVALID_REQUEST, f"Invalid request: {exc}") from None
    except (msgspec.DecodeError, RecursionError) as exc:
        raise FrameError(PARSE_ERROR, f"Parse error: {exc}") from None
    if not members:
        raise FrameError(INVALID_REQUEST, "Invalid request: an empty batch")
    return members


BATCH_REVISION: Final = "2025-03-26"
"""The only revision that has JSON-RPC batches (MCP 2025-06-18, Changelog)."""

MAX_BATCH_MESSAGES: Final = 1000
"""Messages in one batch. Each is an event for the actor, whose inbox holds as many."""


def batch_from_client(data: bytes, revision: str | None) -> list[Raw]:
    """Return the members of a client's batch, to be decoded one by one.

    Args:
        data: a JSON array.
        revision: the revision of the client's session; None if there is no session.

    Raises:
        FrameError: as `split_batch`; also if there are too many members, or the revision has no
            batches.
    """
    members = split_batch(data)
    if revision != BATCH_REVISION:
        problem = f"only sessions of {BATCH_REVISION} may send batches"
        raise FrameError(INVALID_REQUEST, f"Invalid request: {problem}")
    if len(members) > MAX_BATCH_MESSAGES:
        problem = f"more than {MAX_BATCH_MESSAGES} messages in a batch"
        raise FrameError(INVALID_REQUEST, f"Invalid request: {problem}")
    return members


def encode(frame: Frame) -> bytes:
    """Return the message as JSON, with its raw parts as they are.

    So there may be newlines within it, if a raw part is pretty-printed; see `encode_line`.
    """
    return b"".join(_pieces(frame))


def encode_line(frame: Frame) -> bytes:
    """Return the message as one line, with its newline (MCP 2025-11-25, Transports, stdio)."""
    data = b"".join((*_pieces(frame), b"\n"))
    if data.find(b"\n") == len(data) - 1 and data.find(b"\r") < 0:
        return data
    # These newlines stand between tokens, since JSON forbids them inside strings.
    return data[:-1].replace(b"\r", b" ").replace(b"\n", b" ") + b"\n"


def payload_bytes(frame: Frame) -> int:
    """Return the size of the frame's payload, which is nearly all of the frame.

    A method counts too: a view of one server passes on methods of any name and length.
    """
    if isinstance(frame, Response):
        return len(frame.result)
    if isinstance(frame, ErrorResponse):
        return len(frame.error)
    return len(frame.method) + len(frame.params)


def _pieces(frame: Frame) -> tuple[bytes | Raw, ...]:
    """Return a message in pieces: to join them copies a large raw part once, and `%` three times.

    A list of thousands of tools has 2 MB.
    """
    if isinstance(frame, Response):
        return b'{"jsonrpc":"2.0","id":', _encode(frame.id), b',"result":', frame.result, b"}"
    if isinstance(frame, ErrorResponse):
        return b'{"jsonrpc":"2.0","id":', _encode(frame.id), b',"error":', frame.error, b"}"
    if isinstance(frame, Request):
        head, request_id = b'{"jsonrpc":"2.0","id":', _encode(frame.id)
    else:
        head, request_id = b'{"jsonrpc":"2.0"', b""
    method = _encode(frame.method)
    if not frame.params:
        return head, request_id, b',"method":', method, b"}"
    return head, request_id, b',"method":', method, b',"params":', frame.params, b"}"


def encode_lines(frames: Sequence[Frame]) -> bytes:
    """Return several messages as lines, for one write."""
    return b"".join([encode_line(frame) for frame in frames])


def _decode_unusual(data: bytes | bytearray | memoryview | Raw) -> _AnyEnvelope:
    """Read the envelope of a message that has members unknown to JSON-RPC, or is malformed.

    Unknown members are dropped. `"Method"` and the like are refused, because a peer that ignores
    the case of keys would see another message (CVE-2026-27896).
    """
    try:
        members = _members.decode(data)
    except msgspec.ValidationError as exc:
        raise _invalid(str(exc), None) from None
    request_id = _id_of(members)
    for key in members:
        if key not in _KNOWN_MEMBERS and key.casefold() in _KNOWN_MEMBERS:
            raise _invalid(f"{key!r} differs from a known key in case", request_id)
    try:
        return _any_envelope.decode(data)
    except msgspec.ValidationError as exc:
        raise _invalid(str(exc), request_id) from None


def _id_of(members: dict[str, Raw]) -> RequestId | None:
    try:
        return _id.decode(members.get("id", NO_RAW))
    except msgspec.DecodeError:
        return None


def _to_frame(envelope: _AnyEnvelope) -> Frame:
    request_id = envelope.id
    if envelope.jsonrpc != "2.0":
        raise _invalid('"jsonrpc" must be "2.0"', request_id)
    method = envelope.method
    if method is not UNSET:
        return _to_call(envelope, method)
    result, error = envelope.result, envelope.error
    if result and error:
        result, error = _without_null(result, error)
    if result and not error:
        if request_id is UNSET or request_id is None:
            raise _invalid("a response needs an id", request_id)
        return Response(request_id, result)
    if error and not result:
        if memoryview(error)[0] != _OBJECT_START:
            raise _invalid('"error" must be an object', request_id)
        return ErrorResponse(None if request_id is UNSET else request_id, error)
    raise _invalid('it needs "method", or either "result" or "error"', request_id)


def _without_null(result: Raw, error: Raw) -> tuple[Raw, Raw]:
    """Return both, without the null that JSON-RPC 1.0 wanted in place of the absent member."""
    if bytes(error) == b"null":
        return result, NO_RAW
    if bytes(result) == b"null":
        return NO_RAW, error
    return result, error


def _to_call(envelope: _AnyEnvelope, method: str) -> Request | Notification:
    request_id, params = envelope.id, envelope.params
    if params and memoryview(params)[0] != _OBJECT_START:
        if bytes(params) != b"null":
            raise _invalid('"params" must be an object', request_id)
        params = NO_RAW  # many clients write null if they have none
    if request_id is UNSET:
        return Notification(method, params)
    if request_id is None:
        # MCP, Base Protocol: "Unlike base JSON-RPC, the ID MUST NOT be null".
        raise _invalid('"id" must be a string or an integer', None)
    return Request(request_id, method, params)


def _invalid(problem: str, request_id: RequestId | UnsetType | None) -> FrameError:
    known = None if isinstance(request_id, UnsetType) else request_id
    return FrameError(INVALID_REQUEST, f"Invalid request: {problem}", known)

"""JSON-RPC envelope <-> bytes.

Job: read the few fields routing needs and keep the rest raw. Neighbours: listeners and
connectors above, `router.messages` below. No I/O.

Invariants: an envelope is written anew from its fields, so the router and its peers cannot read
two different things into one message (duplicate keys, unknown members); `params`, `result` and
`error` are forwarded as the bytes they came in. Those bytes are checked to be JSON and UTF-8: no
NaN, no lone surrogates, nothing behind the end. From clients they nest at most `MAX_DEPTH` levels,
from upstreams as far as the interpreter's recursion limit lets msgspec go, about 900.
"""

from __future__ import annotations

import re
from itertools import accumulate
from typing import TYPE_CHECKING, Final

import attrs
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


@attrs.frozen
class FrameError(Exception):
    """Bytes that are no JSON-RPC message.

    Attributes:
        code: -32700 for bytes that are no JSON, -32600 for JSON that is no JSON-RPC message.
        message: what is wrong, for a person.
        id: the id of the request, where it could be read.
    """

    code: int
    message: str
    id: RequestId | None = None

    def __str__(self) -> str:
        return self.message

    def to_frame(self) -> ErrorResponse:
        """The answer JSON-RPC 2.0 section 5.1 asks for."""
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
    """The usual case: nothing but the members JSON-RPC knows."""


_envelope: Final = msgspec.json.Decoder(_Envelope)
_any_envelope: Final = msgspec.json.Decoder(_AnyEnvelope)
_members: Final = msgspec.json.Decoder(dict[str, Raw])
_id: Final = msgspec.json.Decoder(int | str)
_array: Final = msgspec.json.Decoder(list[Raw])
_encode: Final = msgspec.json.encode

MAX_DEPTH: Final = 64
"""How deeply a client's message may nest: its own braces are the first level."""

_KNOWN: Final = frozenset(_AnyEnvelope.__struct_fields__)
_OBJECT_START: Final = ord("{")


def decode(data: bytes | bytearray | memoryview | Raw) -> Frame:
    """Read one message.

    Args:
        data: UTF-8 JSON of one object. The frame keeps it alive while its raw parts are.

    Raises:
        FrameError: it is no JSON, no UTF-8, nested too deeply, or no JSON-RPC message.
    """
    try:
        try:
            envelope: _AnyEnvelope = _envelope.decode(data)
        except msgspec.ValidationError:
            envelope = _unusual(data)
        _check_utf8(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise FrameError(PARSE_ERROR, f"Parse error: {exc}") from None
    except RecursionError:
        raise FrameError(PARSE_ERROR, "Parse error: nested too deeply") from None
    return _frame(envelope)


def decode_from_client(data: bytes | Raw) -> Frame:
    """Read one message, which may come from anybody.

    Raises:
        FrameError: as `decode`; and if it nests more deeply than `MAX_DEPTH`, which is no trouble
            here, but might be to a server that reads it by recursion.
    """
    frame = decode(data)
    whole = bytes(data)  # which is `data` itself, unless it is a part of a batch
    # Most messages have so few brackets that they need not be paired.
    if whole.count(b"{") + whole.count(b"[") > MAX_DEPTH and depth_of(whole) > MAX_DEPTH:
        raise FrameError(PARSE_ERROR, f"Parse error: nested more than {MAX_DEPTH} levels deep")
    return frame


_NO_BRACKETS: Final = bytes(set(range(256)) - set(b'"[]{}'))
_STEPS: Final = bytes.maketrans(b"[]{}", b"\x01\xff\x01\xff")
_STRINGS: Final = re.compile(rb'"[^"]*"')


def depth_of(data: bytes) -> int:
    """How deeply valid JSON nests; 0 for what is neither an array nor an object.

    It passes over the data a few times, none of them a loop of ours: 10 MB take less than a second
    at the worst.
    """
    plain = data
    if b"\\" in data:
        plain = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    # What is left of a string without brackets is `""`; without it, quotes pair as before.
    plain = plain.translate(None, _NO_BRACKETS).replace(b'""', b"")
    if b'"' in plain:
        plain = _STRINGS.sub(b"", plain)
    steps = memoryview(plain.translate(_STEPS)).cast("b")  # signed: +1 opens, -1 closes
    return max(accumulate(steps), default=0)


def is_batch(data: bytes) -> bool:
    """Is this a JSON-RPC batch (a JSON array)?"""
    return data.lstrip(b" \t\r\n")[:1] == b"["


def split_batch(data: bytes) -> list[Raw]:
    """The members of a batch, to be decoded one by one.

    Raises:
        FrameError: it is no JSON array, or an empty one (JSON-RPC 2.0 section 6).
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
"""Messages in one batch. Each is an event of its own for the actor, whose inbox has as many."""


def batch_from_client(data: bytes, revision: str | None) -> list[Raw]:
    """The members of a client's batch, to be decoded one by one.

    Args:
        data: a JSON array.
        revision: what that client's session negotiated; None where there is no session.

    Raises:
        FrameError: as `split_batch`; it has too many members, or its revision has no batches.
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
    """The message as one line of JSON, without a newline at its end.

    Raw parts go out as they are; a raw part that holds newlines (pretty-printed JSON) is
    compacted by `encode_line`.
    """
    if isinstance(frame, Response):
        return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (_encode(frame.id), frame.result)
    if isinstance(frame, Request):
        head = b'{"jsonrpc":"2.0","id":%b,"method":%b' % (_encode(frame.id), _encode(frame.method))
        return head + _params(frame.params)
    if isinstance(frame, Notification):
        return b'{"jsonrpc":"2.0","method":%b' % _encode(frame.method) + _params(frame.params)
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (_encode(frame.id), frame.error)


def encode_line(frame: Frame) -> bytes:
    """The message for a newline-delimited wire, newline included (MCP, Transports, stdio)."""
    data = encode(frame)
    if b"\n" in data or b"\r" in data:
        # Raw newlines can only stand between tokens: JSON forbids them inside strings.
        data = data.replace(b"\r", b" ").replace(b"\n", b" ")
    return data + b"\n"


def encode_lines(frames: Sequence[Frame]) -> bytes:
    """Several messages for one write."""
    return b"".join([encode_line(frame) for frame in frames])


def _params(raw: Raw) -> bytes:
    return b',"params":%b}' % raw if raw else b"}"


def _unusual(data: bytes | bytearray | memoryview | Raw) -> _AnyEnvelope:
    """The envelope of a message that has members unknown to JSON-RPC, or is wrong.

    Unknown members are dropped, but for `"Method"` and the like: a peer that reads keys without
    regard to case would see another message (CVE-2026-27896).
    """
    try:
        members = _members.decode(data)
    except msgspec.ValidationError as exc:
        raise _invalid(str(exc), None) from None
    request_id = _id_of(members)
    for key in members:
        if key not in _KNOWN and key.casefold() in _KNOWN:
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


def _check_utf8(data: bytes | bytearray | memoryview | Raw) -> None:
    # msgspec does not look into the strings of raw parts.
    whole = data if isinstance(data, (bytes, bytearray)) else bytes(data)
    if not whole.isascii():
        whole.decode("utf-8")


def _frame(envelope: _AnyEnvelope) -> Frame:
    request_id = envelope.id
    if envelope.jsonrpc != "2.0":
        raise _invalid('"jsonrpc" must be "2.0"', request_id)
    if envelope.method is not UNSET:
        return _call(envelope, envelope.method)
    result, error = _present(envelope.result, envelope.error)
    if result and not error:
        if request_id is UNSET or request_id is None:
            raise _invalid("a response needs an id", request_id)
        return Response(request_id, result)
    if error and not result:
        if memoryview(error)[0] != _OBJECT_START:
            raise _invalid('"error" must be an object', request_id)
        return ErrorResponse(None if request_id is UNSET else request_id, error)
    raise _invalid('it needs "method", or either "result" or "error"', request_id)


def _present(result: Raw, error: Raw) -> tuple[Raw, Raw]:
    """Both, less the null that JSON-RPC 1.0 wanted in the place of the other one."""
    if result and error:
        if bytes(error) == b"null":
            return result, NO_RAW
        if bytes(result) == b"null":
            return NO_RAW, error
    return result, error


def _call(envelope: _AnyEnvelope, method: str) -> Request | Notification:
    request_id, params = envelope.id, envelope.params
    if params and memoryview(params)[0] != _OBJECT_START:
        if bytes(params) != b"null":
            raise _invalid('"params" must be an object', request_id)
        params = NO_RAW  # What many write who have none.
    if request_id is UNSET:
        return Notification(method, params)
    if request_id is None:
        # MCP, Base Protocol: "Unlike base JSON-RPC, the ID MUST NOT be null".
        raise _invalid('"id" must be a string or an integer', None)
    return Request(request_id, method, params)


def _invalid(problem: str, request_id: RequestId | UnsetType | None) -> FrameError:
    known = None if isinstance(request_id, UnsetType) else request_id
    return FrameError(INVALID_REQUEST, f"Invalid request: {problem}", known)

"""Compares the headers of a message of MCP 2026-07-28 with the message itself.

The headers repeat the revision, the method and the name in a message (Transports, Streamable HTTP).
Messages of the handshake revisions have no envelope; that distinguishes them.

Invariants:

- A message whose headers differ from its content never gets past here: a proxy in front of the
  router may have admitted it for what the headers say.
- A message without an envelope passes; the core reports what it lacks.
"""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw

from router.messages.errors import HEADER_MISMATCH, UNSUPPORTED_REVISION, RpcError
from router.messages.frames import NO_RAW, ErrorResponse, Notification, Request
from router.messages.params import Params
from router.messages.revisions import (
    HANDSHAKE_REVISIONS,
    NAMED_METHODS,
    REVISION_KEY,
    REVISIONS,
    STATELESS_REVISION,
)
from transports import json_rpc
from transports.listen.serving.exchange import Rejected

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.messages.frames import Frame, RequestId

REVISION_HEADER: Final = "mcp-protocol-version"
METHOD_HEADER: Final = "mcp-method"
NAME_HEADER: Final = "mcp-name"
_PARAM_PREFIX: Final = "mcp-param-"

ENVELOPE_MARK: Final = REVISION_KEY.encode()
"""Bodies without these bytes have no envelope, but for those that escape characters in its keys.

It does no harm to overlook an envelope here: without the header of its revision the request is an
error in any case, and the core sees the envelope if this listener does not.
"""


_string: Final = msgspec.json.Decoder(str)


def params_of(frame: Frame) -> Params:
    """Return the `params` of a message, which an answer does not have."""
    is_call = isinstance(frame, (Request, Notification))
    return Params(frame.params) if is_call else Params()


def has_envelope(params: Params) -> bool:
    """Return whether the `_meta` of these `params` names a revision, be it valid or not."""
    return _revision_in(params) is not None


def _revision_in(params: Params) -> Raw | None:
    try:
        return params.meta.get(REVISION_KEY)
    except RpcError:
        return None  # The core refuses `params` like these.


def is_stateless_message(frame: Frame, params: Params, requested: str | None) -> bool:
    """Return whether this is a message of 2026-07-28, or of a later revision not known here.

    Args:
        frame: the message.
        params: its `params`.
        requested: its `MCP-Protocol-Version`.
    """
    if isinstance(frame, Request) and frame.method == "initialize":
        # It belongs to the handshake unless both header and envelope speak against that.
        return requested == STATELESS_REVISION and has_envelope(params)
    if requested == STATELESS_REVISION:
        return True
    revision = _revision_in(params)
    return revision is not None and _text(revision) not in HANDSHAKE_REVISIONS


def check_headers(request: Request, params: Params, headers: Mapping[str, str]) -> None:
    """Check that the headers repeat what a request with an envelope says.

    Raises:
        Rejected: 400, -32020 if they do not, else -32022 if its revision is not spoken here.
    """
    revision = _text(params.meta[REVISION_KEY])
    if revision is None or headers.get(REVISION_HEADER) != revision:
        raise _mismatch("MCP-Protocol-Version", f'params._meta["{REVISION_KEY}"]', request.id)
    if headers.get(METHOD_HEADER) != request.method:
        raise _mismatch("Mcp-Method", "its method", request.id)
    key = NAMED_METHODS.get(request.method)
    if key is not None:
        named = _text(params.members.get(key, NO_RAW))
        if named is not None and decode_header_value(headers.get(NAME_HEADER)) != named:
            raise _mismatch("Mcp-Name", f"params.{key}", request.id)
    check_revision(revision, request.id)


def read_param_headers(headers: Mapping[str, str]) -> dict[str, str | None]:
    """Return the decoded values of the `Mcp-Param-*` headers, as `Params` has them."""
    return {
        name.removeprefix(_PARAM_PREFIX): decode_header_value(value)
        for name, value in headers.items()
        if name.startswith(_PARAM_PREFIX)
    }


def check_revision(requested: str | None, request_id: RequestId | None) -> None:
    """Refuse a protocol revision that is not spoken here; None stands for no header.

    MCP 2025-11-25, Transports, Protocol Version Header, asks for 400. The error is the one of
    2026-07-28, on which clients of both eras try another revision.

    Raises:
        Rejected: 400, -32022.
    """
    if requested is None or requested in REVISIONS:
        return
    error = {
        "code": UNSUPPORTED_REVISION,
        "message": f"Protocol revision {requested} is not spoken here; use one of data.supported",
        "data": {"supported": list(REVISIONS), "requested": requested},
    }
    raise Rejected(400, ErrorResponse(request_id, Raw(msgspec.json.encode(error))))


_ENCODED_START: Final = "=?base64?"
_ENCODED_END: Final = "?="


def decode_header_value(value: str | None) -> str | None:
    """Return the value that a header repeats; None if it cannot be read, or is not there.

    A value that would not survive as a header is `=?base64?...?=`, of its UTF-8. Base64 that is
    not written as an encoder writes it is not read: others may read it differently.
    """
    if value is None or not (value.isascii() and value.isprintable()):
        return None
    payload = value.removeprefix(_ENCODED_START).removesuffix(_ENCODED_END)
    if value != f"{_ENCODED_START}{payload}{_ENCODED_END}":
        return value
    try:
        data = binascii.a2b_base64(payload)
        is_canonical = binascii.b2a_base64(data, newline=False).decode() == payload
        return data.decode() if is_canonical else None
    except ValueError:  # no base64, or no UTF-8
        return None


def _text(raw: Raw) -> str | None:
    try:
        return _string.decode(raw)
    except msgspec.DecodeError:
        return None


def _mismatch(header: str, repeats: str, request_id: RequestId) -> Rejected:
    problem = f"{header} must be sent once and repeat {repeats} of the request"
    return Rejected(400, json_rpc.FrameError(HEADER_MISMATCH, problem, request_id).to_frame())

"""The headers that repeat what a message of MCP 2026-07-28 says (Transports, Streamable HTTP).

Job: tell the messages of that revision from those of the handshake ones, and compare their headers
with them. Neighbours: `http` asks; the dispatch core reads the same params once more. No I/O.

Invariants:

- A message whose headers say something else than itself never gets past here: whoever stands in
  front of the router may have let it through for what the headers say.
- A message without an envelope passes; what it lacks is for the core to say.
"""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw, Struct, field

from router.messages.errors import HEADER_MISMATCH, UNSUPPORTED_REVISION
from router.messages.frames import NO_RAW, ErrorResponse, Notification, Request
from router.messages.revisions import (
    HANDSHAKE_REVISIONS,
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

ENVELOPE_MARK: Final = REVISION_KEY.encode()
"""Bodies without these bytes have no envelope, but for those that escape characters in its keys.

Nothing depends on it that they are found here: without the header of its revision a request with an
envelope is an error in any case, and where this listener does not see it, the core does.
"""

NAMED_METHODS: Final = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
"""Method -> the member of its params that `Mcp-Name` repeats."""


class _Meta(Struct, gc=False):
    revision: Raw = field(default=NO_RAW, name=REVISION_KEY)


class Envelope(Struct, gc=False):
    """The params of a message, as far as headers repeat them.

    Values stay raw, so that one of the wrong type keeps nobody from comparing the others.
    """

    meta: _Meta | None = field(default=None, name="_meta")
    name: Raw = NO_RAW
    uri: Raw = NO_RAW

    @property
    def revision(self) -> str | None:
        """What the message is in; None where that is no string."""
        return None if self.meta is None else _text(self.meta.revision)


_envelope: Final = msgspec.json.Decoder(Envelope)
_string: Final = msgspec.json.Decoder(str)


def envelope_of(frame: Frame) -> Envelope | None:
    """The envelope of a message; None where there is none."""
    if not isinstance(frame, (Request, Notification)):
        return None
    try:
        envelope = _envelope.decode(frame.params)
    except msgspec.DecodeError:
        return None
    return envelope if envelope.meta is not None and envelope.meta.revision else None


def is_stateless(frame: Frame, envelope: Envelope | None, requested: str | None) -> bool:
    """Is this a message of 2026-07-28, or of a later revision that is not known here?

    Args:
        requested: what its `MCP-Protocol-Version` says.
    """
    if isinstance(frame, Request) and frame.method == "initialize":
        # It belongs to the handshake, whatever header comes with it, unless all speaks against.
        return requested == STATELESS_REVISION and envelope is not None
    if requested == STATELESS_REVISION:
        return True
    return envelope is not None and envelope.revision not in HANDSHAKE_REVISIONS


def check_headers(request: Request, envelope: Envelope, headers: Mapping[str, str]) -> None:
    """Make sure that the headers repeat what the request says.

    Raises:
        Rejected: 400, -32020 if they do not, else -32022 if its revision is not spoken here.
    """
    revision = envelope.revision
    if revision is None or headers.get(REVISION_HEADER) != revision:
        raise _mismatch("MCP-Protocol-Version", f'params._meta["{REVISION_KEY}"]', request.id)
    if headers.get(METHOD_HEADER) != request.method:
        raise _mismatch("Mcp-Method", "its method", request.id)
    key = NAMED_METHODS.get(request.method)
    if key is not None:
        named = _text(envelope.name if key == "name" else envelope.uri)
        if named is not None and decode_header_value(headers.get(NAME_HEADER)) != named:
            raise _mismatch("Mcp-Name", f"params.{key}", request.id)
    check_revision(revision, request.id)


def check_revision(requested: str | None, request_id: RequestId | None) -> None:
    """Refuse a protocol revision that is not spoken here; None is none asked for.

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
    """What a header repeats; None where it cannot be read, or is not there.

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

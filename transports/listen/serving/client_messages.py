"""Reads the few parts of messages that a listener needs itself. Pure, no I/O."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from router.messages.errors import INVALID_REQUEST
from router.messages.frames import Request
from transports import json_rpc

if TYPE_CHECKING:
    from msgspec import Raw

    from router.messages.frames import Frame


def decode_batch(body: bytes, revision: str) -> list[Frame]:
    """Return the messages of a batch.

    Args:
        body: a JSON array.
        revision: the revision of the session that sent the batch; empty without a session.

    Raises:
        FrameError: this is no batch of messages, or its revision has no batches.
    """
    messages = [
        json_rpc.decode_from_client(member) for member in json_rpc.batch_from_client(body, revision)
    ]
    if any(isinstance(one, Request) and one.method == "initialize" for one in messages):
        # MCP 2025-03-26, Lifecycle: "The initialize request MUST NOT be part of a JSON-RPC batch".
        raise json_rpc.FrameError(INVALID_REQUEST, "Invalid request: initialize in a batch")
    return messages


class _InitializeResult(Struct):
    protocolVersion: str = ""


class _Error(Struct):
    code: int = 0


class _Retry(Struct):
    retry_in_s: float | None = None


class _ErrorWithRetry(Struct):
    data: _Retry


_initialize_result: Final = msgspec.json.Decoder(_InitializeResult)
_error: Final = msgspec.json.Decoder(_Error)
_error_with_retry: Final = msgspec.json.Decoder(_ErrorWithRetry)


def negotiated_revision(result: Raw) -> str:
    """Return the protocol revision in the result of `initialize`; empty if there is none."""
    try:
        return _initialize_result.decode(result).protocolVersion
    except msgspec.MsgspecError:
        return ""


def error_code(error: Raw) -> int:
    """Return the code of a raw JSON-RPC error; 0 if there is none."""
    try:
        return _error.decode(error).code
    except msgspec.MsgspecError:
        return 0


def retry_after_s(error: Raw) -> int | None:
    """Return `data.retry_in_s` of a raw JSON-RPC error as `Retry-After` has it; None without it.

    That is a whole number of seconds (RFC 9110 section 10.2.3), and here at least 1.
    """
    try:
        retry_in_s = _error_with_retry.decode(error).data.retry_in_s
    except msgspec.MsgspecError:
        return None
    return None if retry_in_s is None else whole_seconds(retry_in_s)


def whole_seconds(seconds: float) -> int:
    """Return seconds as `Retry-After` has them: rounded up, from 1 to a day."""
    return max(1, math.ceil(min(seconds, 86_400)))

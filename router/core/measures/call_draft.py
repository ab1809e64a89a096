"""The parts of a record of a call that only its begin tells. Data only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from router.messages.observability.records import ApprovalRecord, TraceContext


class CallDraft(Struct, eq=False):
    """The begin of a `CallRecord`; a request has one only where records are wanted.

    Attributes:
        request_bytes: the size of its `params`.
        arguments_sha256: the digest of its arguments in hex; empty unless digests are wanted.
        target: the name or URI that was sent to the server; empty while nothing was sent.
        sent_s: the second at which it was sent to a server; None while it was not.
        trace: its place in a trace; None unless calls are traced.
        approval: see `CallRecord`.
    """

    request_bytes: int
    arguments_sha256: str = ""
    target: str = ""
    sent_s: float | None = None
    trace: TraceContext | None = None
    approval: ApprovalRecord | None = None

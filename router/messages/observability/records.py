"""Records of what was done: calls, changes, sessions, refusals and changed tools. Data only.

The core makes them only where somebody keeps them (`CoreSettings.records`), for the audit log and
for traces. The listeners make those of refused requests.

Invariant: a record holds no arguments, no results and no secrets.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

Outcome: TypeAlias = Literal["ok", "tool_error", "error", "cancelled", "gone"]
"""`tool_error`: a result with `isError`; `gone`: the client left before the answer."""


class TraceContext(Struct, frozen=True):
    """The place of a call in a trace (W3C Trace Context, sections 3.2 and 3.3).

    Attributes:
        trace_id: 32 hex digits.
        span_id: 16 hex digits, of the span that is the parent of the next: in a call, of the
            router's own, which is the parent of the server's.
        parent_id: the span of the client, from its `traceparent`; empty without one.
        is_sampled: the flag of that name.
        is_random: the flag of that name (level 2): the trace id is random throughout.
        state: the `tracestate` of the client, as it came.
    """

    trace_id: str
    span_id: str
    parent_id: str = ""
    is_sampled: bool = True
    is_random: bool = True
    state: str = ""


class ApprovalRecord(Struct, frozen=True):
    """A call had to wait for a yes.

    Attributes:
        asked: the "client" that made the call, or an "approver".
        decision: "asked" if the record ends with the question, "approved", "denied", "expired"
            without an answer, or "ended" by something else before there was one.
        by: the name of the principal that decided; empty if none did.
        after_s: the seconds from the question to the decision; 0 if the record ends with the
            question.
    """

    asked: Literal["client", "approver"]
    decision: Literal["asked", "approved", "denied", "expired", "ended"]
    by: str = ""
    after_s: float = 0.0


class CallRecord(Struct, frozen=True):
    """A request of a client that concerns an instance, or one of the router's own tools, has ended.

    Attributes:
        principal: the name of the token; "stdio", or empty for a client without a token.
        address: the IP address of the client; empty if it has none.
        client: the id of its session.
        request_id: the client's own id of the request.
        method: its method, such as `tools/call`.
        instance: the name of the instance; empty if it reached none.
        target: the name of the tool or prompt, or the URI of the resource, as the server has it.
        outcome: how it ended.
        code: the code of the JSON-RPC error; 0 without one.
        began_s: the monotonic second at which the router took it.
        duration_s: the seconds from then to its end.
        request_bytes: the size of its `params`.
        response_bytes: the size of the result or error.
        arguments_sha256: the digest of its arguments in hex; empty unless digests are asked for.
        revision: the protocol revision of the client.
        sent_after_s: the seconds from its begin until it was sent to a server; None if it was sent
            to none.
        trace: its place in a trace; None unless calls are traced.
        approval: what became of the question whether it may be carried out; None if none was asked.
    """

    principal: str
    address: str
    client: str
    request_id: str | int
    method: str
    instance: str
    target: str
    outcome: Outcome
    code: int
    began_s: float
    duration_s: float
    request_bytes: int
    response_bytes: int
    arguments_sha256: str = ""
    revision: str = ""
    sent_after_s: float | None = None
    trace: TraceContext | None = None
    approval: ApprovalRecord | None = None


class ChangeRecord(Struct, frozen=True):
    """Somebody changed, or tried to change, an instance or a profile.

    Attributes:
        principal: the name of the token.
        address: the IP address of the client; empty if it has none.
        action: such as `add_instance`, `disable_instance`, `put_profile`.
        name: the instance or the profile; of an instance to be added, its provider if it has no
            name.
        problem: the reason why it failed; empty if it was done.
    """

    principal: str
    address: str
    action: str
    name: str
    problem: str = ""


class SessionRecord(Struct, frozen=True):
    """A client's session began or ended.

    Attributes:
        principal: the name of the token.
        address: the IP address of the client; empty if it has none.
        client: the id of the session.
        is_open: True at its begin.
        client_info: `name` and `version` of the client, as far as it said them.
        reason: the reason of its end; empty at its begin.
    """

    principal: str
    address: str
    client: str
    is_open: bool
    client_info: str = ""
    reason: str = ""


class RefusalRecord(Struct, frozen=True):
    """A request was refused before it reached the core.

    Attributes:
        address: the IP address of the client.
        status: the HTTP status: 401, 403 or 429.
        path: the path of the URL.
        reason: the text of the answer; it holds no token.
        count: the equal refusals that this record stands for.
    """

    address: str
    status: int
    path: str
    reason: str
    count: int = 1


class ToolRecord(Struct, frozen=True):
    """A tool of an instance is not the one that was approved (`security.pinning`).

    Attributes:
        instance: the name of the instance; of a person's part `name#person:PERSON`.
        tool: the server's name for the tool; "(instructions)" for the server's instructions.
        before_sha256: the digest of what was approved; empty for a new tool.
        after_sha256: the digest of what the server lists now; empty if it lists it no more.
        is_quarantined: True if it can be neither listed nor called until it is approved.
    """

    instance: str
    tool: str
    before_sha256: str
    after_sha256: str
    is_quarantined: bool


Record: TypeAlias = CallRecord | ChangeRecord | SessionRecord | RefusalRecord | ToolRecord

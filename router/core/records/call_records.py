"""Makes the records of requests that concern an instance or call one of the router's own tools.

Invariants:

- Each such request gets exactly one record, when it is answered, cancelled, or its client is gone.
- A request that needs input ends with the answer that says so. Its retry is another request.
- A request whose client was closed before the router took it has none.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from router.core.measures.call_draft import CallDraft
from router.core.measures.trace_context import read_trace_context
from router.core.protocol.own_tools import router_tools
from router.core.state.clients import ClientRequest
from router.core.text.raw_json import optional_text_of
from router.messages.commands import CallTool, ReadResource
from router.messages.effects import WriteRecord
from router.messages.errors import INTERNAL_ERROR, RpcError
from router.messages.frames import NO_RAW, ErrorResponse, Response
from router.messages.observability.records import CallRecord
from router.messages.params import given, object_of

if TYPE_CHECKING:
    from msgspec import Raw

    from router.core.state.clients import Call, Client
    from router.core.state.routing_state import RoutingState
    from router.messages.commands import Forwarded
    from router.messages.events import AdminCommand
    from router.messages.observability.records import Outcome

CALLS: Final = frozenset(
    {
        "tools/call",
        "prompts/get",
        "resources/read",
        "resources/subscribe",
        "resources/unsubscribe",
        "completion/complete",
        "tasks/get",
        "tasks/result",
        "tasks/update",
        "tasks/cancel",
        "tasks/list",
    }
)
"""The methods that concern an instance in any case; others do if they were brought to one."""

NO_CALLS: Final = frozenset({"initialize", "server/discover", "instances/ready"})
"""The methods that may wait for an instance, and ask nothing of it."""


# --- The begin -------------------------------------------------------------------------------


def begin(state: RoutingState, request: ClientRequest) -> None:
    """Note what the record of a request needs and its end does not tell."""
    draft = request.draft = CallDraft(len(request.params.raw))
    reasons = state.settings.records
    try:
        if not draft.request_bytes:  # The router made them itself.
            draft.request_bytes = sum(map(len, request.params.members.values()))
        if "traces" in reasons and request.method not in NO_CALLS:
            draft.trace = state.tracer.begin(read_trace_context(request.params.meta))
        if "digests" in reasons:
            draft.arguments_sha256 = _digest_of_arguments(request)
    except RpcError:
        return  # Whatever is wrong with its `params` is its answer.


def _digest_of_arguments(request: ClientRequest) -> str:
    """Return the SHA-256 of the arguments as they came; those of the tool that is called at last.

    Raises:
        RpcError: -32602, the `params` are malformed.
    """
    members = request.params.members
    arguments = given(members, "arguments")
    called = called_by(own_tool(request), arguments)
    if called is not None:
        arguments = called[1]
    return "" if arguments is None else hashlib.sha256(arguments).hexdigest()


def own_tool(request: ClientRequest) -> str | None:
    """Return the canonical name of the router's own tool that a request calls; None for others.

    Raises:
        RpcError: -32602, its `params` are no object.
    """
    if request.method != "tools/call" or request.client.era == "own":
        return None
    return router_tools.canonical_name(optional_text_of(request.params.members, "name") or "")


def called_by(own: str | None, arguments: Raw | None) -> tuple[str, Raw] | None:
    """Return the tool that one of the router's own tools calls, and the arguments for it.

    Args:
        own: the canonical name of the router's tool; None for another tool.
        arguments: those of the router's tool.

    Returns:
        None if it calls none.

    Raises:
        RpcError: -32602, the arguments are malformed.
    """
    if own == router_tools.CALL:
        called = router_tools.call_arguments_of(arguments)
        return called.tool_name, called.arguments
    if own == router_tools.CALL_TOOL:
        from router.core.protocol.own_tools.search_tools import called_tool_of  # For start-up time.

        by_name = called_tool_of(arguments)
        return by_name.name, by_name.arguments
    return None


def note_sent(draft: CallDraft, members: dict[str, Raw], now_s: float) -> None:
    """Note what a request asks a server for, by the server's own name, and when it did so first.

    Args:
        members: the `params` that are sent.
        now_s: the present second.
    """
    if draft.sent_s is None:
        draft.sent_s = now_s
    try:
        draft.target = _target_in(members)
    except RpcError:
        return


def _target_in(members: dict[str, Raw]) -> str:
    """Return the name, URI or task that `params` are about, or their `ref`; empty if there is none.

    Raises:
        RpcError: -32602, their `ref` is no object.
    """
    for key in ("name", "uri", "taskId"):
        named = optional_text_of(members, key)
        if named:
            return named
    reference = given(members, "ref")
    return "" if reference is None else _target_in(object_of(reference, "params.ref"))


# --- The end ---------------------------------------------------------------------------------


def answered(
    state: RoutingState,
    ended: ClientRequest | Call,
    frame: Response | ErrorResponse,
    outcome: Outcome,
    code: int,
) -> None:
    """Have the record written of a request that is answered, and that has a draft.

    Args:
        ended: the request, or the call that was made of it.
        frame: the answer.
        outcome: "ok" or "error".
        code: the code of the error; 0 without one.
    """
    if isinstance(frame, Response):
        if outcome == "ok" and ended.method == "tools/call" and is_tool_error(frame.result):
            outcome = "tool_error"
        _write(state, ended, outcome, code, len(frame.result))
    else:
        _write(state, ended, outcome, code, len(frame.error))


def unanswered(state: RoutingState, ended: ClientRequest | Call, outcome: Outcome) -> None:
    """Have the record written of a request that gets no answer, and that has a draft.

    Args:
        outcome: "cancelled" by its client, or the client is "gone".
    """
    _write(state, ended, outcome, 0, 0)


def is_call(ended: ClientRequest | Call) -> bool:
    """Return whether a request has to have a record."""
    return ended.method in CALLS or (bool(ended.instance) and ended.method not in NO_CALLS)


class _Error(Struct):
    code: int = INTERNAL_ERROR


def code_of(frame: ErrorResponse) -> int:
    """Return the code of an error; -32603 if it has none, which JSON-RPC forbids."""
    try:
        return msgspec.json.decode(frame.error, type=_Error).code
    except (msgspec.MsgspecError, RecursionError):
        return INTERNAL_ERROR


_TRUE_IS_ERROR: Final = re.compile(rb'"isError"\s*:\s*true')


class _ToolResult(Struct):
    isError: bool = False  # MCP's name


def is_tool_error(result: Raw) -> bool:
    """Return whether the result of a tool says that the tool failed."""
    if _TRUE_IS_ERROR.search(result) is None:
        return False
    try:
        return msgspec.json.decode(result, type=_ToolResult).isError
    except (msgspec.MsgspecError, RecursionError):
        return False


def _write(
    state: RoutingState,
    ended: ClientRequest | Call,
    outcome: Outcome,
    code: int,
    response_bytes: int,
) -> None:
    client, draft = ended.client, ended.draft
    assert draft is not None, "its record is wanted"
    ended.draft = None
    is_request = isinstance(ended, ClientRequest)
    request_id = ended.id if is_request else ended.request_id
    record = CallRecord(
        principal=client.principal.name,
        address=client.address,
        client=session_id_of(client),
        request_id=_cut(request_id) if isinstance(request_id, str) else request_id,
        method=_cut(ended.method),
        instance=ended.instance,
        target=_cut(draft.target or (_target_asked_for(ended) if is_request else "")),
        outcome=outcome,
        code=code,
        began_s=ended.began_s,
        duration_s=state.now_s - ended.began_s,
        request_bytes=draft.request_bytes,
        response_bytes=response_bytes,
        arguments_sha256=draft.arguments_sha256,
        revision="" if client.era == "own" else client.revision,
        sent_after_s=None if draft.sent_s is None else draft.sent_s - ended.began_s,
        trace=draft.trace,
        approval=draft.approval,
    )
    state.effects.append(WriteRecord(record))


MAX_TEXT: Final = 1024
"""Characters of a text that a client chooses: no client fills a disk with one line."""


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"


def session_id_of(client: Client) -> str:
    """Return the id of the session or connection that a request came on."""
    return client.id if client.connection is None else client.connection.id


def _target_asked_for(request: ClientRequest) -> str:
    """Return the name that the client asked for, of a request that was sent to no server."""
    with suppress(RpcError):
        own = own_tool(request)
        called = called_by(own, given(request.params.members, "arguments"))
        if called is not None:
            return called[0]
        return own or _target_in(request.params.members)
    return ""


# --- Commands --------------------------------------------------------------------------------


def command_refused(
    state: RoutingState, event: AdminCommand, what: Forwarded, error: RpcError
) -> None:
    """Have the record written of a call by REST that was refused before it became a request."""
    method, target, arguments = _asked_by(what)
    record = CallRecord(
        principal=event.principal.name,
        address=event.address,
        client="",
        request_id=0,
        method=method,
        instance="",
        target=_cut(target),
        outcome="error",
        code=error.code,
        began_s=state.now_s,
        duration_s=0.0,
        request_bytes=len(arguments),
        response_bytes=0,
    )
    state.effects.append(WriteRecord(record))


def _asked_by(what: Forwarded) -> tuple[str, str, Raw]:
    """Return the method, the target and the raw arguments of a command."""
    if isinstance(what, CallTool):
        return "tools/call", what.tool, what.arguments
    if isinstance(what, ReadResource):
        return "resources/read", what.uri, NO_RAW
    return "prompts/get", what.name, what.arguments

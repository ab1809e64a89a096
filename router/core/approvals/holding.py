"""Holds calls of tools that need a yes, until there is one, or there will be none.

`tools.approve` of an instance or a profile names these tools. The client that made the call is
asked, if it can be; else the call waits for an approver, who uses the REST API or the command line.

Invariants:

- A call that needs a yes is sent to its server only after one, once, with the arguments that were
  shown. Everything but a yes is a no: another answer, no answer in time, a client that is gone, a
  reload that changes the instance or the profile, a router that stops.
- A yes is for one request of one client. The request is checked anew before it goes on, and the
  yes holds only for the same instance, tool and arguments.
- A call that waits is answered in the same words in every way of calling.
"""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Any, Final, Literal

from router.core.approvals import questions
from router.core.calls import forwarding, input_required, server_params
from router.core.protocol.bridging import RETRY_KEYS
from router.core.protocol.own_tools import router_tools
from router.core.records.session_records import name_and_version
from router.core.state.instance_table import whole_of
from router.core.state.waiting.approvals import Approval
from router.core.text.exact_json import visible, written_anew
from router.core.text.raw_json import EMPTY_OBJECT, raw_of
from router.core.text.sentences import cut_to_one_line
from router.messages.effects import LogLine, ToClient
from router.messages.errors import NOT_APPROVED, RpcError
from router.messages.frames import Notification, Request, Response
from router.messages.instances.exposure import matches_any
from router.messages.observability.records import ApprovalRecord

if TYPE_CHECKING:
    from router.core.state.clients import Client, ClientRequest, Members
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState
    from router.core.state.views import View
    from router.messages.frames import RequestId

    Decision = Literal["asked", "approved", "denied", "expired", "ended"]

INPUT_KEY: Final = "mcp-router-approval"
"""The key of the question in `inputRequests`."""

MAX_ARGUMENTS_BYTES: Final = 1024 * 1024
"""Of a call that waits; nobody reads more than that before they say yes."""

TELL_EVERY_S: Final = 10.0
"""Seconds between two notifications to a client that its call still waits: it would take a longer
silence for a hung server."""

_PROGRESS_STEP: Final = 1e-6
"""Progress has to increase (MCP 2025-11-25, Progress), and that of the server follows on this."""


# --- Does a call need a yes? -----------------------------------------------------------------


def passes(
    state: RoutingState,
    request: ClientRequest,
    view: View,
    instance: Instance,
    tool: str,
    members: Members,
) -> bool:
    """Return whether a call may be sent now; else its client was answered, or the call is held.

    Args:
        view: the client's.
        tool: the name under which the instance lists the tool.
        members: the `params` to send; if the call needs a yes, its arguments are written anew here.

    Raises:
        RpcError: -32015, too many calls wait already; -32602, nobody can be shown its arguments.
    """
    own = instance.offers.own_name(tool) if tool in instance.tool_names else tool
    if not _needs_yes(state, view, instance, tool, own):
        return True
    arguments = EMPTY_OBJECT
    if "arguments" in members:
        arguments = members["arguments"] = written_anew(members["arguments"], "The arguments")
    sha256 = hashlib.sha256(arguments).hexdigest()
    if request.approved == (instance.name, own, sha256):
        return True
    if request.draft is not None:
        request.draft.target = own
    if len(arguments) > MAX_ARGUMENTS_BYTES:
        refuse(state, request, f"its arguments are larger than {MAX_ARGUMENTS_BYTES:,} bytes")
        return False
    client = request.client
    state.approvals.check_room(client.principal.name, len(arguments))
    question = questions.question_about(instance.name, own, arguments)
    is_asked = question is not None and questions.may_be_asked(client)
    settings = state.settings
    limit_s = settings.question_timeout_s if is_asked else settings.approval_timeout_s
    row = Approval(
        id=_new_id(state),
        principal=client.principal.name,
        client=name_and_version(client.info),
        instance=instance.name,
        tool=own,
        arguments=arguments,
        sha256=sha256,
        asked="client" if is_asked else "approver",
        since_s=state.now_s,
        expires_at_s=state.now_s + limit_s,
        spec=whole_of(instance).spec,
        profile=view.profile,
        request=request,
        progress_token=server_params.progress_token_of(request.params),
    )
    if question is not None and is_asked and client.is_stateless:
        _answer_with_question(state, request, row, question)
    else:
        _hold(state, request, row, question if is_asked else None)
    return False


def _needs_yes(state: RoutingState, view: View, instance: Instance, tool: str, own: str) -> bool:
    if tool not in instance.tool_names:
        return True  # Its server knows it though it does not list it, maybe by a second name.
    return matches_any(own, instance.spec.exposure.tools.approve) or (
        bool(view.approve) and view.wants_approval(instance.name, tool, state.settings.name_limit)
    )


def _new_id(state: RoutingState) -> str:
    approvals = state.approvals
    while True:
        # Sealed text is the one thing here that the next process does not make as well.
        sealed = state.seal.seal(b"approval", b"%d" % state.next_key())
        new = hashlib.sha256(sealed.encode()).hexdigest()[:8]
        if new not in approvals.by_id and new not in approvals.decided:
            return new


# --- A call waits ----------------------------------------------------------------------------


def _hold(
    state: RoutingState, request: ClientRequest, row: Approval, question: dict[str, Any] | None
) -> None:
    """Keep a request, and ask its client or have the log call for an approver."""
    client = request.client
    client.held[request.id] = row.id
    state.approvals.by_id[row.id] = row
    request.waits_since_s = None  # The time for the call itself begins with the yes.
    if request.usage is not None:
        request.usage.in_flight += 1
    if question is not None:
        row.question = client.next_server_request_id()
        # On the stream of this request: not every client listens to one of its own.
        frame = Request(row.question, questions.METHOD, raw_of(question))
        state.effects.append(ToClient(client.id, request.reply_to, frame))
        _arm(state, row)
    else:
        _log(state, row, f" waits for approval: mcp-router approve {row.id}")
        _tell(state, row)


def _answer_with_question(
    state: RoutingState, request: ClientRequest, row: Approval, question: dict[str, Any]
) -> None:
    """Answer a request without a session with the question; the client comes again with a yes."""
    row.request, members = None, request.params.members
    row.for_server = {key: members[key] for key in RETRY_KEYS if key in members}
    state.approvals.by_id[row.id] = row
    state.approvals.due.arm(row.id, row.expires_at_s)
    _note(state, request, row, "asked")
    result = {
        "inputRequests": {INPUT_KEY: {"method": questions.METHOD, "params": question}},
        "requestState": state.seal.seal(row.id.encode(), sealing_context(request)),
    }
    frame = Response(request.id, raw_of(result))
    forwarding.send_answer(state, request, frame, result_type="input_required")


def sealing_context(request: ClientRequest) -> bytes:
    """Return what the `requestState` of a question is bound to; no other has the same context."""
    return b"approval " + input_required.sealing_context(request)


def _tell(state: RoutingState, row: Approval) -> None:
    """Tell the client that its call waits, if it wants to hear of progress."""
    request = row.request
    if request is not None and row.progress_token is not None:
        row.told += 1
        members = {
            "progressToken": row.progress_token,
            "progress": row.told * _PROGRESS_STEP,
            "message": "Waiting for approval",
        }
        frame = Notification("notifications/progress", raw_of(members))
        state.effects.append(ToClient(request.client.id, request.reply_to, frame))
    _arm(state, row)


def _arm(state: RoutingState, row: Approval) -> None:
    at_s = row.expires_at_s
    if row.progress_token is not None:
        at_s = min(at_s, state.now_s + TELL_EVERY_S)
    state.approvals.due.arm(row.id, at_s)


# --- A call goes on, or ends -----------------------------------------------------------------


def approve(state: RoutingState, row: Approval, by: str) -> ClientRequest | None:
    """Return the request of a call that got a yes; the caller carries it out, from its beginning.

    Args:
        by: the name of the principal that gave it.

    Returns:
        None if the client makes the call again itself.
    """
    _take(state, row, "approved", by)
    if row.request is not None:
        row.request.approved = row.subject
    return row.request


def end(state: RoutingState, row: Approval, decision: Decision, why: str, by: str = "") -> None:
    """Refuse a call that gets no yes.

    Args:
        why: the end of the sentence that its client reads.
        by: the name of the principal that said no; empty if none did.
    """
    _take(state, row, decision, by)
    request = row.request
    if request is None:
        return
    if row.question is not None and decision != "denied":
        _withdraw_question(state, request, row.question, why)
    refuse(state, request, why)


def refuse(state: RoutingState, request: ClientRequest, why: str) -> None:
    """Answer a call with a tool result, so that the model reads it; by REST, with an error."""
    error = RpcError(NOT_APPROVED, f"not approved: {why}")
    if request.client.era == "own":
        forwarding.refuse(state, request, error)
        return
    frame = Response(request.id, router_tools.error_result_of(error))
    forwarding.send_answer(state, request, frame, error=error)


def _take(state: RoutingState, row: Approval, decision: Decision, by: str = "") -> None:
    """Have a row wait no more."""
    by_whom = f" by '{by}'" if by else ""
    outcome = f"{decision}{by_whom} after {state.now_s - row.since_s:.1f} s"
    state.approvals.take(row, outcome)
    _log(state, row, f": {outcome}")
    request = row.request
    if request is not None:
        del request.client.held[request.id]
        if request.usage is not None:
            request.usage.in_flight -= 1
        _note(state, request, row, decision, by)


def note_decision(
    state: RoutingState, request: ClientRequest, row: Approval, decision: Decision
) -> None:
    """Note what became of a question, in the record of the request that brought the answer."""
    _note(state, request, row, decision, row.principal)


def _note(
    state: RoutingState, request: ClientRequest, row: Approval, decision: Decision, by: str = ""
) -> None:
    if request.draft is not None:
        request.draft.target = row.tool
        after_s = state.now_s - row.since_s
        request.draft.approval = ApprovalRecord(row.asked, decision, by, after_s)


def _log(state: RoutingState, row: Approval, text: str) -> None:
    call = f"A call of {cut_to_one_line(visible(row.tool))} by '{row.principal}'"
    state.effects.append(LogLine(logging.INFO, f"{row.instance}: {call}{text}", row.instance))


def _withdraw_question(
    state: RoutingState, request: ClientRequest, question: RequestId, why: str
) -> None:
    members = raw_of({"requestId": question, "reason": why})
    frame = Notification("notifications/cancelled", members)
    state.effects.append(ToClient(request.client.id, request.reply_to, frame))


# --- Nobody decides --------------------------------------------------------------------------


def cancel(state: RoutingState, client: Client, request_id: RequestId) -> None:
    """End a call that its client cancelled, if it waits for a yes."""
    held = client.held.get(request_id)
    if held is not None:
        row = state.approvals.by_id[held]
        assert row.request is not None, "it waits"
        _take(state, row, "ended")
        if row.question is not None:
            _withdraw_question(state, row.request, row.question, "The call was cancelled")
        forwarding.end_reply(state, row.request, "cancelled")


def forget_client(state: RoutingState, client: Client) -> None:
    """End the calls of a client that is gone."""
    for held in list(client.held.values()):
        row = state.approvals.by_id[held]
        assert row.request is not None, "it waits"
        _take(state, row, "ended")
        forwarding.end_reply(state, row.request, "gone")


def expire(state: RoutingState) -> None:
    """Refuse the calls about which nobody decided in time; tell the clients of others."""
    for each in state.approvals.due.due(state.now_s):
        row = state.approvals.by_id[each]
        if state.now_s < row.expires_at_s:
            _tell(state, row)
        else:
            limit_s = row.expires_at_s - row.since_s
            end(state, row, "expired", f"nobody answered within {limit_s:g} s")


def end_all(state: RoutingState) -> None:
    """Refuse all calls that wait: the router stops."""
    for row in list(state.approvals.by_id.values()):
        end(state, row, "ended", "the router is stopping")


def end_changed(state: RoutingState) -> None:
    """Refuse the calls whose instance or profile is another one now, or gone."""
    for row in list(state.approvals.by_id.values()):
        instance = state.instances.by_name.get(row.instance)
        if instance is None or instance.spec != row.spec or not _has_profile(state, row):
            why = f"the configuration of '{row.instance}' or of its profile changed meanwhile"
            end(state, row, "ended", why)


def _has_profile(state: RoutingState, row: Approval) -> bool:
    if row.request is None:
        return True  # The client comes again, and is checked then.
    view = state.find_view(row.request.client)
    return view is not None and view.profile == row.profile

"""Answers the commands of the REST API and the command line.

Some are answered from the state. For a call or a change, a client of one request stands in for the
asker, so that the request has the same ends as any other.

Invariant: every command gets exactly one reply, unless it is abandoned before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from router.core.calls import forwarding
from router.core.management import reconfigure, saving
from router.core.peers import client_requests
from router.core.protocol.permissions import check_may
from router.core.records import call_records, change_records
from router.core.records.metrics_snapshot import metrics_for
from router.core.state.clients import Client, ClientRequest
from router.core.state.instances import InstanceState
from router.core.state.session_rows import rows_of
from router.core.text.raw_json import EMPTY_OBJECT, raw_of
from router.core.views import instance_views, listings
from router.messages.commands import (
    COST_COMMANDS,
    ApproveTools,
    CallTool,
    DecideApproval,
    Forwarded,
    GetPrompt,
    ListApprovals,
    ListInstances,
    ListPrompts,
    ListResources,
    ListTools,
    MakeChange,
    ReadResource,
    RestartInstance,
    ShowDetails,
    ShowInstance,
    ShowMetrics,
    ShowPins,
    ShowProfileTools,
    ShowPrompts,
    ShowReadiness,
    ShowResources,
    ShowStatus,
    ShowTools,
)
from router.messages.effects import Reply, ToClient
from router.messages.errors import INTERNAL_ERROR, RpcError
from router.messages.frames import ErrorResponse, Notification, Response
from router.messages.params import Params

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.core.costs.tool_costs import ToolCosts
    from router.core.state.clients import Members
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState
    from router.messages.commands import Permission, RouterCommand
    from router.messages.events import AdminCommand
    from router.messages.frames import ClientId, Outbox


def handle(state: RoutingState, event: AdminCommand) -> None:
    """Answer a command, or begin what will answer it."""
    needed, method = _COMMANDS[type(event.what)]
    try:
        check_may(event.principal, needed)
        method(state, event, event.what)
    except RpcError as error:
        _record_refusal(state, event, error)
        _reply(state, event, error)


def _record_refusal(state: RoutingState, event: AdminCommand, error: RpcError) -> None:
    what = event.what
    if isinstance(what, MakeChange):
        change_records.refused(state, event, what.change, error)
    elif isinstance(what, RestartInstance):
        change_records.restarted(state, event, what.name, error.message)
    elif isinstance(what, Forwarded) and state.settings.records:
        call_records.command_refused(state, event, what, error)


def _reply(state: RoutingState, event: AdminCommand, value: Any) -> None:
    state.effects.append(Reply(event.reply_to, value))


# --- Answers from the state ------------------------------------------------------------------


def _tools_of(state: RoutingState, event: AdminCommand, instance: Instance) -> list[dict[str, Any]]:
    view = state.view_of_sender(event.principal)
    tools = () if view is None else listings.admitted_tools(state, view, instance)
    return [instance_views.tool_view(item) for item in tools]


def _list_instances(state: RoutingState, event: AdminCommand, _: ListInstances) -> None:
    _reply(state, event, [_row(state, instance) for instance in state.overseen_by(event.principal)])


def _row(state: RoutingState, instance: Instance) -> dict[str, Any]:
    """Return a row of `mcp.router.list` with more for those who look after the router."""
    row = instance_views.summary(instance, state.now_s)
    cut = () if instance.known is None else instance.known.catalog.problems
    warnings = [*instance.spec.warnings, *cut, *instance.offers.unknown]
    if instance.pins is not None:
        # For start-up time: few routers pin tools.
        from router.core.management.tool_pins import unapproved, warnings_of

        warnings += warnings_of(instance)
        row["unapproved"] = unapproved(instance)
    return row | {"warnings": warnings}


def _show_instance(state: RoutingState, event: AdminCommand, what: ShowInstance) -> None:
    instance = state.overseen_by(event.principal).find(what.name)
    _reply(state, event, _row(state, instance))


def _show_status(state: RoutingState, event: AdminCommand, _: ShowStatus) -> None:
    _reply(
        state, event, [_status(state, instance) for instance in state.overseen_by(event.principal)]
    )


def _status(state: RoutingState, instance: Instance) -> dict[str, Any]:
    rows = list(rows_of(instance))
    sessions = [row.session.session for row in rows if row.session is not None]
    # What waits for any replica waits at the instance.
    waiting = sum(len(row.waiting) for row in {id(one): one for one in (instance, *rows)}.values())
    # As `tool_costs.costs_of` keeps them; that is not imported before somebody counts.
    counted: ToolCosts | None = instance.encoded.get("costs")
    return _row(state, instance) | {
        "tokens": counted.total if counted is not None and counted.is_whole else None,
        "since_s": round(state.now_s - instance.since_s, 1),
        "calls": sum(one.call_count for one in (instance, *instance.persons.values())),
        "in_flight": sum(len(state.calls.of_session(session)) for session in sessions),
        "waiting": waiting,
        "retry_in_s": instance.retry_in_s(state.now_s),
    }


def _show_metrics(state: RoutingState, event: AdminCommand, _: ShowMetrics) -> None:
    _reply(state, event, metrics_for(state, event.principal))


_READY_STATES: Final = frozenset({InstanceState.READY, InstanceState.IDLE})


def _show_readiness(state: RoutingState, event: AdminCommand, _: ShowReadiness) -> None:
    enabled = [
        instance
        for instance in state.overseen_by(event.principal)
        if instance.state is not InstanceState.DISABLED
    ]
    not_ready = {one.name: one.state.value for one in enabled if one.state not in _READY_STATES}
    answer = {
        "ready": len(enabled) - len(not_ready),
        "total": len(enabled),
        "not_ready": not_ready,
        "in_flight": len(state.calls.by_id),
    }
    _reply(state, event, answer)


def _list_tools(state: RoutingState, event: AdminCommand, _: ListTools) -> None:
    connected = [
        instance for instance in state.shown_to(event.principal) if not instance.is_awaited
    ]
    _reply(state, event, {one.name: _tools_of(state, event, one) for one in connected})


def _show_tools(state: RoutingState, event: AdminCommand, what: ShowTools) -> None:
    instance = state.shown_to(event.principal).find(what.name)
    _reply(state, event, _tools_of(state, event, instance))


def _show_details(state: RoutingState, event: AdminCommand, what: ShowDetails) -> None:
    instance = state.overseen_by(event.principal).find(what.name)
    described = state.shown_to(event.principal).find(what.name)
    _reply(state, event, _status(state, instance) | instance_views.details(described))


def _list_resources(state: RoutingState, event: AdminCommand, _: ListResources) -> None:
    listed = [one for one in state.shown_to(event.principal) if not one.is_awaited]
    _reply(state, event, {one.name: instance_views.resources(one) for one in listed})


def _show_resources(state: RoutingState, event: AdminCommand, what: ShowResources) -> None:
    instance = state.shown_to(event.principal).find(what.name)
    _reply(state, event, instance_views.resources(instance))


def _list_prompts(state: RoutingState, event: AdminCommand, _: ListPrompts) -> None:
    listed = [one for one in state.shown_to(event.principal) if not one.is_awaited]
    _reply(state, event, {one.name: instance_views.prompts(one) for one in listed})


def _show_prompts(state: RoutingState, event: AdminCommand, what: ShowPrompts) -> None:
    instance = state.shown_to(event.principal).find(what.name)
    _reply(state, event, instance_views.prompts(instance))


def _list_approvals(state: RoutingState, event: AdminCommand, _: ListApprovals) -> None:
    from router.core.approvals import decisions  # For start-up time: few routers have approvers.

    _reply(state, event, decisions.shown_to(state, event.principal))


def _decide_approval(state: RoutingState, event: AdminCommand, what: DecideApproval) -> None:
    from router.core.approvals import decisions  # For start-up time, as above.

    answer, approved = decisions.decide(state, event.principal, what)
    _reply(state, event, answer)
    if approved is not None:
        client_requests.carry_out(state, approved)


def _show_costs(state: RoutingState, event: AdminCommand, _: RouterCommand) -> None:
    from router.core.views import profile_tools  # For start-up time, as above.

    _reply(state, event, profile_tools.answer(state, event))


# --- Pinned tools ----------------------------------------------------------------------------


def _show_pins(state: RoutingState, event: AdminCommand, what: ShowPins) -> None:
    # For start-up time, as above.
    from router.core.management.tool_pins import show_pins

    show_pins(state, event, what)


def _approve_tools(state: RoutingState, event: AdminCommand, what: ApproveTools) -> None:
    from router.core.management.tool_pins import approve

    approve(state, event, what)


# --- Requests on behalf of the asker ---------------------------------------------------------


PROGRESS_TOKEN: Final = 1
"""Of a call that wants news; its command has an outbox of its own, so none other is needed."""


def _call_tool(state: RoutingState, event: AdminCommand, what: CallTool) -> None:
    members = {"name": raw_of(what.tool), "arguments": what.arguments or EMPTY_OBJECT}
    if what.wants_news:
        members["_meta"] = raw_of({"progressToken": PROGRESS_TOKEN})
    _ask_instance(state, event, what, "tools/call", members)


def _read_resource(state: RoutingState, event: AdminCommand, what: ReadResource) -> None:
    _ask_instance(state, event, what, "resources/read", {"uri": raw_of(what.uri)})


def _get_prompt(state: RoutingState, event: AdminCommand, what: GetPrompt) -> None:
    members = {"name": raw_of(what.name), "arguments": what.arguments or EMPTY_OBJECT}
    _ask_instance(state, event, what, "prompts/get", members)


def _ask_instance(
    state: RoutingState, event: AdminCommand, what: Forwarded, method: str, members: Members
) -> None:
    """Make the request of a command, and carry it out."""
    instance = state.shown_to(event.principal).find(what.instance)
    request = _stand_in_request(state, event, method, Params.from_members(members))
    if state.settings.records:
        call_records.begin(state, request)
    request.client.selection.instance = instance.name
    client_requests.carry_out(state, request)


def _make_change(state: RoutingState, event: AdminCommand, what: MakeChange) -> None:
    request = _stand_in_request(state, event, saving.READY_METHOD, Params())
    try:
        saving.begin(state, request, what.change, wait_ready=what.wait_ready)
    except RpcError as error:
        _record_refusal(state, event, error)
        forwarding.refuse(state, request, error)


def _restart(state: RoutingState, event: AdminCommand, what: RestartInstance) -> None:
    instance = state.overseen_by(event.principal).find(what.name)
    forwarding.check_not_draining(state)
    waiting = reconfigure.restart(state, instance)
    change_records.restarted(state, event, instance.name)
    request = _stand_in_request(state, event, saving.READY_METHOD, Params())
    request.client.selection.instance = instance.name
    if what.wait_ready:
        client_requests.carry_out(state, request)
    else:
        forwarding.answer(state, request, raw_of(instance.name))
    for waited in waiting:
        client_requests.carry_out(state, waited)


def _stand_in_request(
    state: RoutingState, event: AdminCommand, method: str, params: Params
) -> ClientRequest:
    """Return the one request of a client that stands in for the asker.

    `reply_to_askers` and `take_abandoned` let the client go.
    """
    client_id = f"command-{state.next_key()}"
    client = Client(
        client_id,
        event.reply_to,
        event.principal,
        one_shot=True,
        era="own",
        address=event.address,
    )
    state.clients[client_id], state.asking[client_id] = client, event
    return ClientRequest(client, 1, method, params, event.reply_to, state.now_s)


def reply_to_askers(state: RoutingState) -> None:
    """Turn the answers for stand-ins into the replies to their askers' commands."""
    decided, state.effects = state.effects, []
    for effect in decided:
        command = state.asking.get(effect.client) if isinstance(effect, ToClient) else None
        if command is None or not isinstance(effect, ToClient):
            state.effects.append(effect)
        elif isinstance(effect.frame, (Response, ErrorResponse)):
            del state.asking[effect.client], state.clients[effect.client]
            _reply(state, command, _value_of(effect.frame, command))
        elif isinstance(effect.frame, Notification) and _wants_news(command):
            _reply(state, command, effect.frame)
        # Anything else is of no use to a command, which has one reply and no more.


def _wants_news(command: AdminCommand) -> bool:
    return isinstance(command.what, CallTool) and command.what.wants_news


class _Error(msgspec.Struct):
    code: int
    message: str = ""
    data: Any = None


def _value_of(frame: Response | ErrorResponse, command: AdminCommand) -> Any:
    """Return the reply in an answer: the raw result of a call, any other result decoded."""
    if isinstance(frame, Response):
        is_forwarded = isinstance(command.what, Forwarded)
        return frame.result if is_forwarded else msgspec.json.decode(frame.result)
    try:
        error = msgspec.json.decode(frame.error, type=_Error)
    except (msgspec.MsgspecError, RecursionError):
        return RpcError(INTERNAL_ERROR, "The upstream failed with an error that makes no sense")
    return RpcError(error.code, error.message, error.data)


def take_abandoned(state: RoutingState, reply_to: Outbox) -> ClientId | None:
    """Return the stand-in of an asker that waits no more; the caller closes it like any client."""
    for client_id, command in state.asking.items():
        if command.reply_to is reply_to:
            del state.asking[client_id]
            return client_id
    return None


_COMMANDS: Final[
    dict[type[Any], tuple[Permission, Callable[[RoutingState, AdminCommand, Any], None]]]
] = {
    ListInstances: ("read", _list_instances),
    ShowInstance: ("read", _show_instance),
    ShowStatus: ("read", _show_status),
    ShowMetrics: ("read", _show_metrics),
    ShowReadiness: ("read", _show_readiness),
    ListTools: ("read", _list_tools),
    ShowTools: ("read", _show_tools),
    ShowProfileTools: ("admin", _show_costs),
    ShowDetails: ("read", _show_details),
    ListResources: ("read", _list_resources),
    ShowResources: ("read", _show_resources),
    ListPrompts: ("read", _list_prompts),
    ShowPrompts: ("read", _show_prompts),
    ListApprovals: ("approve", _list_approvals),
    DecideApproval: ("approve", _decide_approval),
    ShowPins: ("read", _show_pins),
    ApproveTools: ("approve", _approve_tools),
    CallTool: ("call", _call_tool),
    ReadResource: ("call", _read_resource),
    GetPrompt: ("call", _get_prompt),
    MakeChange: ("admin", _make_change),
    RestartInstance: ("admin", _restart),
    **dict.fromkeys(COST_COMMANDS, ("read", _show_costs)),
}
"""Command -> the permission it needs, and the function that answers it."""

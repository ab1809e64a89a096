"""Carries out `tools/call`: one of the router's own tools, or one of an instance.

The router's own tools win a name, then the tools of the instance that the client selected, then
direct names (`{instance}__{tool}`), which call a tool of any instance, as `mcp.router.call` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.core.calls import forwarding
from router.core.limits import large_results, turns
from router.core.names.direct_names import direct_name
from router.core.names.exposed_catalog import with_fixed
from router.core.peers.feature_requests import selected_instance
from router.core.peers.own_tools import methods
from router.core.protocol import param_headers
from router.core.protocol.bridging import RETRY_KEYS
from router.core.protocol.own_tools import router_tools
from router.core.protocol.permissions import check_may
from router.core.records import change_records
from router.core.tasks import results
from router.core.text.raw_json import check_key_case, is_object, text_of
from router.core.views.rewriting import rewrite_for
from router.core.views.unknown_tools import check_is_approved, not_found_in, unknown_tool
from router.messages.errors import INVALID_PARAMS, RpcError
from router.messages.params import given

if TYPE_CHECKING:
    from msgspec import Raw

    from router.core.protocol.own_tools.search_tools import CalledTool
    from router.core.state.clients import Client, ClientRequest, Members
    from router.core.state.instance_table import Instances
    from router.core.state.instances import Instance
    from router.core.state.routing_state import Method, RoutingState
    from router.core.state.views import View
    from router.messages.commands import Permission
    from router.messages.events import SessionUp
    from router.messages.params import Params

_CALL_KEYS: Final = frozenset({"name", "arguments", "_meta", "task", *RETRY_KEYS})


# --- The router's tool, or an instance's -----------------------------------------------------


def call(state: RoutingState, request: ClientRequest) -> None:
    """Call one of the router's own tools, or one of an instance."""
    name = text_of(check_key_case(request.params.members, _CALL_KEYS), "name")
    own = router_tools.canonical_name(name)
    if own is not None:
        _call_own_tool(state, request, own, name)
        return
    client = request.client
    check_may(client.principal, "call")
    sight = state.sight_of(client)
    found = _find_tool(state, client, sight.seen, name)
    if found is None:
        raise unknown_tool(state, client, name)
    _call_instance_tool(state, request, sight.view, *found)


def _find_tool(
    state: RoutingState, client: Client, seen: Instances, name: str
) -> tuple[Instance, str] | None:
    """Return the instance that this name calls, and the tool's name there; None if there is none.

    While an instance is not ready, the name is as it came: the request waits and is looked up anew.
    A ready instance that lists no such tool may know it still, unless its filter hides tools.
    """
    selected = None
    if client.selection.instance is not None:
        selected = seen.by_name.get(client.selection.instance)
        if selected is not None and name in selected.tool_names:
            return selected, name
    limit = state.settings.name_limit
    found = seen.find_direct(name, limit)
    if found is not None:
        return found
    awaited = seen.find_awaited_owner(name, limit)
    if awaited is not None:
        return awaited, name
    unlisted = seen.find_ready_owner(name, limit)
    if unlisted is not None and not unlisted[0].offers.hides_tools:
        return unlisted
    return None if selected is None else (selected, name)


def call_transparent(state: RoutingState, request: ClientRequest) -> None:
    """Call a tool of the only instance of the view, by the name that it is listed under."""
    client = request.client
    name = text_of(check_key_case(request.params.members, _CALL_KEYS), "name")
    check_may(client.principal, "call")
    sight = state.sight_of(client)
    instance = sight.view.the_instance(sight.instances, client.principal)
    if request.params.param_headers is not None:
        _check_param_headers(request.params, request.params.param_headers, instance, name)
    _call_instance_tool(state, request, sight.view, instance, name)


_PARAM_HEADERS: Final = "param headers"


def _check_param_headers(
    params: Params, sent: dict[str, str | None], instance: Instance, tool: str
) -> None:
    """Check the headers that the schema of a tool asks for, which transparent views show as it is.

    Raises:
        RpcError: -32020, a header differs from its argument.
    """
    declared = instance.encoded.get(_PARAM_HEADERS)
    if declared is None:
        declared = param_headers.headers_of_tools(instance.offers.catalog.tools)
        instance.encoded[_PARAM_HEADERS] = declared
    if tool in declared:
        param_headers.check(declared[tool], params.members.get("arguments"), sent)


def call_selected(state: RoutingState, request: ClientRequest) -> None:
    """Call a tool of the selected instance, even one that is named like one of the router's.

    Raises:
        RpcError: see `selected_instance` and `_call_instance_tool`.
    """
    instance = selected_instance(state, request)
    name = text_of(request.params.members, "name")
    _call_instance_tool(state, request, state.view_of(request.client), instance, name)


def instance_of(state: RoutingState, request: ClientRequest) -> Instance | None:
    """Return the instance that a `tools/call` would be forwarded to; None if there is none.

    Raises:
        RpcError: it names no tool, or an unknown instance.
    """
    members = request.params.members
    name = text_of(members, "name")
    own = router_tools.canonical_name(name)
    if own is None:
        found = _find_tool(state, request.client, state.seen_by(request.client), name)
        return None if found is None else found[0]
    if own == router_tools.CALL:
        called = router_tools.call_arguments_of(members.get("arguments"))
        return state.seen_by(request.client).find(called.instance_name)
    if own == router_tools.CALL_TOOL:
        called = _read_call_tool(state, request)
        found = _find_tool(state, request.client, state.seen_by(request.client), called.name)
        return None if found is None else found[0]
    return None


# --- The router's own tools ------------------------------------------------------------------


def _call_own_tool(state: RoutingState, request: ClientRequest, own: str, spelling: str) -> None:
    """Run one of the router's tools; its errors are tool results, so that the model reads them."""
    request.is_own_tool = True
    needed, method = _OWN_TOOLS[own]
    try:
        if method is methods.change:
            router_tools.check_management(state.settings, spelling)
        check_may(request.client.principal, *needed)
        method(state, request)
    except RpcError as error:
        if method is methods.change:
            change_records.tool_refused(state, request, own, error)
        raise


_REPLACED_KEYS: Final = frozenset({"name", "arguments"})
_KEPT_KEYS: Final = frozenset({"_meta", *RETRY_KEYS})
"""Members of a call of `mcp.router.call` that are meant for the tool it calls."""


def _call(state: RoutingState, request: ClientRequest) -> None:
    members = request.params.members
    called = router_tools.call_arguments_of(members.get("arguments"))
    sight = state.sight_of(request.client)
    instance = sight.seen.find(called.instance_name)
    session = turns.session_for_call(state, request, instance)
    if session is None:
        return
    sent = _kept_members(members)
    tool = called.tool_name
    if tool not in instance.tool_names or not _is_admitted(state, sight.view, instance, tool):
        raise not_found_in(state, request.client, instance, tool)
    sent["arguments"] = called.arguments
    _check_and_forward(state, request, sight.view, instance, session, tool, sent)


def _kept_members(members: Members) -> Members:
    if members.keys() <= _REPLACED_KEYS:
        return {}
    return {key: raw for key, raw in members.items() if key in _KEPT_KEYS}


def _call_tool(state: RoutingState, request: ClientRequest) -> None:
    """Call a tool by its direct name, as a `tools/call` of that name does.

    Only errors differ: a refusal is a result for the model, as of all of the router's own tools.
    """
    called = _read_call_tool(state, request)
    client = request.client
    sight = state.sight_of(client)
    found = _find_tool(state, client, sight.seen, called.name)
    if found is None:
        raise unknown_tool(state, client, called.name)
    sent = _kept_members(request.params.members) | {"arguments": called.arguments}
    _call_instance_tool(state, request, sight.view, *found, sent)


def _read_call_tool(state: RoutingState, request: ClientRequest) -> CalledTool:
    """Return the arguments of `call_tool`.

    Raises:
        RpcError: -32602, one is wrong, or the tool is one of the router's own.
    """
    # For start-up time: few clients search.
    from router.core.protocol.own_tools import search_tools

    called = search_tools.called_tool_of(given(request.params.members, "arguments"))
    if router_tools.canonical_name(called.name) is not None:
        message = f"{called.name} is a tool of the router itself; call it directly, by this name"
        raise RpcError(INVALID_PARAMS, message)
    return called


_OWN_TOOLS: Final[dict[str, tuple[tuple[Permission, ...], Method]]] = {
    **methods.METHODS,
    router_tools.CALL: (("call",), _call),
    router_tools.CALL_TOOL: (("call",), _call_tool),
}
"""Tool -> the permissions, of which any one suffices, and the function that runs the tool."""


# --- Tools of instances ----------------------------------------------------------------------


def _call_instance_tool(
    state: RoutingState,
    request: ClientRequest,
    view: View,
    instance: Instance,
    tool: str,
    asked: Members | None = None,
) -> None:
    """Forward a `tools/call`, or park it.

    Args:
        view: the client's.
        tool: the name under which the instance lists the tool.
        asked: the `params` for the tool, if not those of the request.

    Raises:
        RpcError: -32013, the instance is not there; -32014, it has no such tool, and its server is
            not to be asked; -32602, the arguments are no object, or REST asks and they do not fit.
    """
    session = turns.session_for_call(state, request, instance)
    if session is None:
        return
    client, members = request.client, request.params.members if asked is None else asked
    if tool not in instance.tool_names and (
        _is_asked_as_listed(client, instance) or instance.own_tool(tool) is None
    ):
        raise not_found_in(state, client, instance, tool)
    if not _is_admitted(state, view, instance, tool):
        if view.is_transparent or _is_asked_as_listed(client, instance):
            raise not_found_in(state, client, instance, tool)
        name = direct_name(instance.name, tool, state.settings.name_limit)
        raise unknown_tool(state, client, name)
    keeps_task = "task" in members and results.takes_task(state, request, instance, session)
    sent = _as_plain_call(members, keeps_task=keeps_task)
    _check_and_forward(state, request, view, instance, session, tool, sent)


def _is_asked_as_listed(client: Client, instance: Instance) -> bool:
    """Return whether a client names the tools of an instance as their list does."""
    return client.era == "own" or client.selection.instance == instance.name


def _is_admitted(state: RoutingState, view: View, instance: Instance, tool: str) -> bool:
    """Return whether the profile of a view shows this tool."""
    return view.shows_all_tools or view.admits_tool(instance.name, tool, state.settings.name_limit)


def _as_plain_call(members: Members, *, keeps_task: bool) -> Members:
    """Return a copy of the call: arguments checked, without null ones, maybe without `task`.

    A server that did not declare tasks ignores that (MCP 2025-11-25, Tasks, Capabilities), and
    so does the router where a client could not ask for the task.
    """
    arguments = given(members, "arguments")
    if arguments is not None and not is_object(arguments):
        raise RpcError(INVALID_PARAMS, "params.arguments must be an object")
    plain = members.copy()
    if arguments is None:
        plain.pop("arguments", None)
    if not keeps_task:
        plain.pop("task", None)
    return plain


# --- Checks ----------------------------------------------------------------------------------


def _check_and_forward(
    state: RoutingState,
    request: ClientRequest,
    view: View,
    instance: Instance,
    session: SessionUp,
    tool: str,
    members: Members,
) -> None:
    """Forward a call if, where that is checked, its arguments fit.

    Arguments that do not fit are answered with a tool result, so that the model reads it and
    corrects them (MCP 2025-11-25, Tools, Error Handling). REST has a status for them.

    Args:
        tool: the name under which the instance lists the tool.
        view: the client's.
        members: the `params` to send, but for what the instance's filter changes in them: that is
            done in place.

    Raises:
        RpcError: -32602, REST asks and the arguments do not fit.
    """
    spec, offers, is_listed = instance.spec, instance.offers, tool in instance.tool_names
    if instance.pins is not None:
        check_is_approved(state, instance, session, tool)
    is_checked = spec.check_arguments
    if is_listed and (state.settings.check_arguments if is_checked is None else is_checked):
        problem = _problem_in_arguments(instance, tool, members.get("arguments"))
        if problem is not None:
            _refuse(state, request, RpcError(INVALID_PARAMS, problem))
            return
    called = offers.called_tool(tool) if is_listed else offers.unlisted_tool(tool)
    members["name"] = called.raw_name
    if called.fixed:
        members["arguments"] = with_fixed(members.get("arguments"), called.fixed)
    if spec.exposure.tools.approve or view.approve:
        from router.core.approvals import holding  # For start-up time: few routers have rules.

        if not holding.passes(state, request, view, instance, tool, members):
            return
    # Only these show other URIs than the server's own.
    rewrite = rewrite_for(state, request.client, instance) if view.is_direct else None
    if spec.run_policy.max_result_bytes is not None:
        rewrite = large_results.limited(state, request.client, instance, tool, rewrite)
    shown_alone = view.is_transparent
    call = forwarding.forward_call(
        state, request, instance, session, members, rewrite=rewrite, is_transparent=shown_alone
    )
    if request.client.is_stateless or "task" in members:
        results.expect_task(state, call, members)


def _refuse(state: RoutingState, request: ClientRequest, error: RpcError) -> None:
    if request.client.era == "own":
        raise error
    forwarding.answer(state, request, router_tools.error_result_of(error))


def _problem_in_arguments(instance: Instance, tool: str, arguments: Raw | None) -> str | None:
    """Return what does not fit in the arguments by a listed tool's schema; None if all does."""
    if instance.schemas is None:
        # Not needed before the first call. Not in a worker thread: this library aborts the process
        # when the interpreter ends while a thread imports it.
        from router.core.protocol.tool_schemas import Schemas

        instance.schemas = Schemas.of(instance.offers.catalog.tools)
    return instance.schemas.problem_in(tool, arguments)

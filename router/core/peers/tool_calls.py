"""`tools/call`: the router's own tools, and those of the selected instance.

Job: whose tool is it, may this client call it, and what our own tools do. Neighbours: `from_client`
and `stateless` have it among their methods; `toolbox` knows our tools, `instance_tools` calls those
of others. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.core.calls import forwarding, tool_lists
from router.core.management import saving
from router.core.protocol import router_tools
from router.core.protocol.bridging import RETRY_KEYS
from router.core.protocol.raw_json import check_key_case, given, is_object, raw_of, text_of
from router.core.state import instance_views
from router.core.state.permissions import check_may
from router.messages.errors import INVALID_PARAMS, TOOL_NOT_FOUND, RpcError

if TYPE_CHECKING:
    from msgspec import Raw

    from router.core.state.clients import Client, Members
    from router.core.state.instances import Instance
    from router.core.state.routing_state import Method, RoutingState
    from router.messages.commands import Permission
    from router.messages.events import FromClient, SessionUp
    from router.messages.frames import Request

_CALL_KEYS: Final = frozenset({"name", "arguments", "_meta", "task", *RETRY_KEYS})


def call(
    state: RoutingState, client: Client, event: FromClient, frame: Request, members: Members
) -> None:
    """Call one of our tools, or one of the selected instance."""
    name = text_of(check_key_case(members, _CALL_KEYS), "name")
    own = router_tools.canonical_name(name)
    if own is not None:
        _call_own(state, client, event, frame, own, members)
        return
    check_may(client.principal, "call")
    instance = tool_lists.selected_by(state, client)
    if instance is None:
        raise RpcError(TOOL_NOT_FOUND, f"Unknown tool: {name}")
    call_instance_tool(state, event, frame, instance, members)


def call_selected(
    state: RoutingState, client: Client, event: FromClient, frame: Request, members: Members
) -> None:
    """Call a tool of the selected instance, even one that is named like a tool of ours."""
    instance = state.instances.by_name[client.selection.instance or ""]
    call_instance_tool(state, event, frame, instance, members)


def instance_of(state: RoutingState, client: Client, members: Members) -> Instance | None:
    """Whose tool a `tools/call` is for; None for our own, and where there is no telling.

    Raises:
        RpcError: it names no tool, or no instance that there is.
    """
    own = router_tools.canonical_name(text_of(members, "name"))
    if own is None:
        return tool_lists.selected_by(state, client)
    if own != router_tools.CALL:
        return None
    called = router_tools.call_arguments_of(given(members, "arguments"))
    return state.instances.seen_by(client.principal).find(called.instance_name)


def _call_own(
    state: RoutingState,
    client: Client,
    event: FromClient,
    frame: Request,
    own: str,
    members: Members,
) -> None:
    """Run one of our tools; what goes wrong is a tool result, so that the model can read it."""
    needed, method = _OWN_TOOLS[own]
    try:
        if own in router_tools.MANAGEMENT:
            router_tools.check_management(state.settings, text_of(members, "name"))
        check_may(client.principal, *needed)
        method(state, client, event, frame, members)
    except RpcError as error:
        forwarding.answer(state, event, frame, router_tools.error_result_of(error))


def _list(
    state: RoutingState, client: Client, event: FromClient, frame: Request, _: Members
) -> None:
    value = instance_views.summaries(state.instances.seen_by(client.principal), state.now_s)
    forwarding.answer(state, event, frame, router_tools.result_of(value, client.revision))


def _help(
    state: RoutingState, client: Client, event: FromClient, frame: Request, _: Members
) -> None:
    value = instance_views.tools_by_instance(state.instances.seen_by(client.principal))
    forwarding.answer(state, event, frame, router_tools.result_of(value, client.revision))


def _use(
    state: RoutingState, client: Client, event: FromClient, frame: Request, members: Members
) -> None:
    name = router_tools.instance_name_of(given(members, "arguments"))
    instance = state.instances.seen_by(client.principal).find(name)
    if forwarding.session_or_park(state, event, frame, instance, is_tool=True) is None:
        return
    client.selection.instance = instance.name
    value = instance_views.selection(instance)
    forwarding.answer(state, event, frame, router_tools.result_of(value, client.revision))
    tool_lists.tell_selected(state, client)


_KEPT: Final = frozenset({"_meta", *RETRY_KEYS})


def _call(
    state: RoutingState, client: Client, event: FromClient, frame: Request, members: Members
) -> None:
    called = router_tools.call_arguments_of(given(members, "arguments"))
    instance = state.instances.seen_by(client.principal).find(called.instance_name)
    session = forwarding.session_or_park(state, event, frame, instance, is_tool=True)
    if session is None:
        return
    check_call(state, instance, session, called.tool_name, called.arguments)
    kept = {key: raw for key, raw in members.items() if key in _KEPT}
    forwarded = kept | {"name": raw_of(called.tool_name), "arguments": called.arguments}
    forwarding.forward(state, event, frame, instance, session, forwarded, is_tool=True)


def _change(
    state: RoutingState, client: Client, event: FromClient, frame: Request, members: Members
) -> None:
    own = router_tools.canonical_name(text_of(members, "name")) or ""
    change = router_tools.change_of(own, given(members, "arguments"))
    saving.begin(state, client, event, frame, change, is_tool=True)


_OWN_TOOLS: Final[dict[str, tuple[tuple[Permission, ...], Method]]] = {
    # Who may call must be able to find out what there is to call.
    router_tools.USE: (("read", "call"), _use),
    router_tools.LIST: (("read", "call"), _list),
    router_tools.HELP: (("read", "call"), _help),
    router_tools.CALL: (("call",), _call),
    **dict.fromkeys(router_tools.MANAGEMENT, (("admin",), _change)),
}
"""Our tools -> the permissions of which one is needed, and what is done."""


def call_instance_tool(
    state: RoutingState, event: FromClient, frame: Request, instance: Instance, members: Members
) -> None:
    """Forward a `tools/call` by the instance's own name of the tool, or park it.

    Raises:
        RpcError: -32013, the instance is not there; -32014, it has no such tool; -32602, the
            arguments are not what the tool takes.
    """
    session = forwarding.session_or_park(state, event, frame, instance, is_tool=False)
    if session is not None:
        plain = _as_plain_call(members)
        check_call(state, instance, session, text_of(members, "name"), plain.get("arguments"))
        forwarding.forward(state, event, frame, instance, session, plain, is_tool=False)


def _as_plain_call(members: Members) -> Members:
    """The call with its arguments checked, without null ones, and without `task`.

    A server that did not declare tasks ignores that (MCP 2025-11-25, Tasks, Capabilities), and
    the answer would be an upstream's task that nobody here could ask for.
    """
    arguments = given(members, "arguments")
    if arguments is not None and not is_object(arguments):
        raise RpcError(INVALID_PARAMS, "params.arguments must be an object")
    dropped = {"task"} if arguments is not None else {"task", "arguments"}
    if members.keys().isdisjoint(dropped):
        return members
    return {key: raw for key, raw in members.items() if key not in dropped}


def check_call(
    state: RoutingState, instance: Instance, session: SessionUp, tool: str, arguments: Raw | None
) -> None:
    """Check that there is such a tool, and its arguments unless that is switched off.

    Raises:
        RpcError: -32014, there is none; -32602, its schema asks for other arguments.
    """
    if tool not in instance.tool_names:
        message = f"Tool '{tool}' not found in instance '{instance.name}'"
        raise RpcError(TOOL_NOT_FOUND, message)
    if not state.settings.enable_validation:
        return
    if instance.schemas is None:
        # Not needed before the first call. Not in a worker thread: this library aborts the process
        # when the interpreter ends while a thread imports it.
        from router.core.protocol.tool_schemas import Schemas

        instance.schemas = Schemas.of(session.catalog.tools)
    instance.schemas.check(tool, arguments)

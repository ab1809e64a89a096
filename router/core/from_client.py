"""What a client sends: each method and notification, and what is decided about it.

Job: answer what the router answers itself, forward the rest. Neighbours: `forward` does the
bookkeeping of calls, `toolbox` knows our tools. Pure.

Another revision of the protocol adds rows to the tables at the end; another way to be seen by a
client (every tool of every instance, one instance alone) adds a view beside `_listed_tools`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from router.core import forward, saving, toolbox
from router.core.clients import LOG_LEVELS
from router.core.params import (
    EMPTY_OBJECT,
    given,
    is_object,
    known,
    object_of,
    optional_text_of,
    raw_of,
    request_id_of,
    text_of,
)
from router.core.permissions import check_may
from router.core.revisions import negotiate, refuse_stateless
from router.errors import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    TOOL_NOT_FOUND,
    RpcError,
)
from router.messages import CloseReply, ErrorResponse, Notification, Request, Response, ToClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from msgspec import Raw

    from router.admin import Permission
    from router.core.clients import Client
    from router.core.instances import Instance
    from router.core.state import State
    from router.messages import FromClient, Item, SessionUp

Members: TypeAlias = "dict[str, Raw]"
"""The members of `params`."""

Method: TypeAlias = "Callable[[State, Client, FromClient, Request, Members], None]"
"""What is done about a request; it raises `RpcError` where that is the answer."""

SERVER_NAME: Final = "mcp_router"
INSTRUCTIONS: Final = (
    "This server stands in front of several MCP servers. mcp.router.list shows them, "
    "mcp.router.help shows their tools, mcp.router.call calls one of those tools, and "
    "mcp.router.use lists the tools of one server beside these for the rest of the session."
)


def handle(state: State, event: FromClient) -> None:
    """Decide about one frame of a client."""
    client = state.clients.get(event.client)
    frame = event.frame
    if client is None:
        _unknown(state, event)
    elif isinstance(frame, Request):
        request(state, client, event, frame)
    elif isinstance(frame, Notification):
        _notification(state, client, frame)
    else:
        _answered(state, client, frame)


def _unknown(state: State, event: FromClient) -> None:
    """The client was closed while this was on its way: nothing more is done for it."""
    if isinstance(event.frame, Request):
        state.effects.append(CloseReply(event.reply_to))


def request(state: State, client: Client, event: FromClient, frame: Request) -> None:
    """Answer or forward one request; every way out of here answers, forwards or parks it."""
    try:
        if client.waits_for(frame.id):
            raise RpcError(INVALID_REQUEST, f"Request id {frame.id!r} is already in use")
        members = object_of(frame.params)
        if "_meta" in members and frame.method != "initialize":
            refuse_stateless(forward.meta_of(members))
        method = client.methods.get(frame.method)
        if method is None:
            raise RpcError(METHOD_NOT_FOUND, f"Method not found: {frame.method}")
        method(state, client, event, frame, members)
    except RpcError as error:
        forward.refuse(state, event, frame, error)


# --- Lifecycle and utilities -----------------------------------------------------------------


def _initialize(
    state: State, client: Client, event: FromClient, frame: Request, members: Members
) -> None:
    requested = text_of(members, "protocolVersion")
    declared = given(members, "capabilities")
    capabilities = {} if declared is None else object_of(declared, "params.capabilities")
    client.revision, client.capabilities = negotiate(requested), capabilities
    result = {
        "protocolVersion": client.revision,
        "capabilities": {"tools": {"listChanged": True}, "logging": {}},
        "serverInfo": {"name": SERVER_NAME, "version": state.settings.version},
        "instructions": INSTRUCTIONS,
    }
    forward.answer(state, event, frame, raw_of(result))


def _ping(state: State, _: Client, event: FromClient, frame: Request, __: Members) -> None:
    forward.answer(state, event, frame, EMPTY_OBJECT)


def _set_level(
    state: State, client: Client, event: FromClient, frame: Request, members: Members
) -> None:
    level = text_of(members, "level")
    if level not in LOG_LEVELS:
        raise RpcError(INVALID_PARAMS, f"params.level must be one of {', '.join(LOG_LEVELS)}")
    if not client.one_shot:
        client.log_level = level
        spread_log_level(state)
    forward.answer(state, event, frame, EMPTY_OBJECT)


def spread_log_level(state: State) -> None:
    """Have the upstreams send logs from the lowest level that any client set."""
    levels = [client.log_level for client in state.clients.values() if client.log_level]
    lowest = min(levels, key=LOG_LEVELS.__getitem__, default=None)
    if lowest in (None, state.log_level):
        return
    state.log_level = lowest
    for instance in state.instances:
        if instance.session is not None:
            tell_log_level(state, instance.session)


def tell_log_level(state: State, session: SessionUp) -> None:
    """Tell an upstream the level, if one was ever set and it has levels."""
    if state.log_level is None or "logging" not in object_of(session.capabilities):
        return
    params = raw_of({"level": state.log_level})
    # Nobody waits for the answer: an id that no call has is dropped when it comes back.
    frame = Request(state.calls.next_id(), "logging/setLevel", params)
    forward.to_session(state, session, frame)


# --- Tools -----------------------------------------------------------------------------------


def _list_tools(
    state: State, client: Client, event: FromClient, frame: Request, members: Members
) -> None:
    if given(members, "cursor") is not None:
        raise RpcError(INVALID_PARAMS, "params.cursor is not one of ours: the list has one page")
    client.owes_listing = False
    tools = [item.raw for item in _listed_tools(state, client)]
    forward.answer(state, event, frame, raw_of({"tools": tools}))


def _listed_tools(state: State, client: Client) -> list[Item]:
    """The router's own tools, then those of the selected instance; ours win a name."""
    own = toolbox.items_for(state.settings)
    selected = _selected_session(state, client)
    theirs = () if selected is None else selected.catalog.tools
    return [*own, *(item for item in theirs if toolbox.canonical(item.key) is None)]


def _selected_session(state: State, client: Client) -> SessionUp | None:
    instance = state.instances.by_name.get(client.selected or "")
    return None if instance is None else instance.session


_CALL_KEYS: Final = frozenset({"name", "arguments", "_meta", "task"})


def _call_tool(
    state: State, client: Client, event: FromClient, frame: Request, members: Members
) -> None:
    name = text_of(known(members, _CALL_KEYS), "name")
    own = toolbox.canonical(name)
    if own is not None:
        _call_own(state, client, event, frame, own, members)
        return
    check_may(client.principal, "call")
    instance = state.instances.by_name.get(client.selected or "")
    if instance is None:
        raise RpcError(TOOL_NOT_FOUND, f"Unknown tool: {name}")
    call_of_instance(state, event, frame, instance, members)


def call_of_instance(
    state: State, event: FromClient, frame: Request, instance: Instance, members: Members
) -> None:
    """Forward a `tools/call` by the instance's own name of the tool, or park it.

    Raises:
        RpcError: -32013, the instance is not there; -32014, it has no such tool.
    """
    session = forward.ready(state, event, frame, instance, is_tool=False)
    if session is not None:
        name = text_of(members, "name")
        _check_tool(instance, name)
        call = _as_plain_call(members)
        _check_arguments(state, instance, session, name, call.get("arguments"))
        forward.forward(state, event, frame, instance, session, call, is_tool=False)


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


def _check_tool(instance: Instance, name: str) -> None:
    if name not in instance.tool_names:
        message = f"Tool '{name}' not found in instance '{instance.name}'"
        raise RpcError(TOOL_NOT_FOUND, message)


def _check_arguments(
    state: State, instance: Instance, session: SessionUp, tool: str, arguments: Raw | None
) -> None:
    """Check them against the tool's own schema, unless that is switched off."""
    if not state.settings.enable_validation:
        return
    if instance.schemas is None:
        # Not needed before the first call. Not in a worker thread: this library aborts the process
        # when the interpreter ends while a thread imports it.
        from router.core.arguments import Schemas

        instance.schemas = Schemas.of(session.catalog.tools)
    instance.schemas.check(tool, arguments)


# --- The router's own tools ------------------------------------------------------------------


def _call_own(
    state: State, client: Client, event: FromClient, frame: Request, own: str, members: Members
) -> None:
    """Run one of our tools; what goes wrong is a tool result, so that the model can read it."""
    needed, method = _OWN_TOOLS[own]
    try:
        if own in toolbox.MANAGEMENT:
            toolbox.check_management(state.settings, text_of(members, "name"))
        check_may(client.principal, *needed)
        method(state, client, event, frame, members)
    except RpcError as error:
        forward.answer(state, event, frame, toolbox.error_result_of(error))


def _own_list(state: State, client: Client, event: FromClient, frame: Request, _: Members) -> None:
    value = toolbox.listing(state.instances.seen_by(client.principal), state.now_s)
    forward.answer(state, event, frame, toolbox.result_of(value, client.revision))


def _own_help(state: State, client: Client, event: FromClient, frame: Request, _: Members) -> None:
    value = toolbox.help_text(state.instances.seen_by(client.principal))
    forward.answer(state, event, frame, toolbox.result_of(value, client.revision))


def _own_use(
    state: State, client: Client, event: FromClient, frame: Request, members: Members
) -> None:
    name = toolbox.instance_name_of(given(members, "arguments"))
    instance = state.instances.seen_by(client.principal).find(name)
    if forward.ready(state, event, frame, instance, is_tool=True) is None:
        return
    client.selected = instance.name
    value = toolbox.used(instance)
    forward.answer(state, event, frame, toolbox.result_of(value, client.revision))
    tell_list_changed(state, client)


def _own_call(
    state: State, client: Client, event: FromClient, frame: Request, members: Members
) -> None:
    called = toolbox.call_arguments_of(given(members, "arguments"))
    instance = state.instances.seen_by(client.principal).find(called.instance_name)
    session = forward.ready(state, event, frame, instance, is_tool=True)
    if session is None:
        return
    _check_tool(instance, called.tool_name)
    _check_arguments(state, instance, session, called.tool_name, called.arguments)
    forwarded = {"name": raw_of(called.tool_name), "arguments": called.arguments}
    if "_meta" in members:
        forwarded["_meta"] = members["_meta"]
    forward.forward(state, event, frame, instance, session, forwarded, is_tool=True)


def _own_change(
    state: State, client: Client, event: FromClient, frame: Request, members: Members
) -> None:
    own = toolbox.canonical(text_of(members, "name")) or ""
    change = toolbox.change_of(own, given(members, "arguments"))
    saving.begin(state, client, event, frame, change, is_tool=True)


def tell_list_changed(state: State, client: Client) -> None:
    """Notify a client that its list of tools is another one now."""
    if not client.one_shot:
        client.owes_listing = True
        frame = Notification("notifications/tools/list_changed")
        state.effects.append(ToClient(client.id, client.outbox, frame))


def tell_users(state: State, instance_name: str) -> None:
    """Who selected this instance gets `list_changed`, once until it lists again."""
    for client in state.clients.values():
        if client.selected == instance_name and not client.owes_listing:
            tell_list_changed(state, client)


# --- Notifications and answers ---------------------------------------------------------------


def _notification(state: State, client: Client, frame: Notification) -> None:
    """Notifications have no answer, so one that makes no sense is dropped."""
    try:
        if frame.method == "notifications/cancelled":
            _cancelled(state, client, object_of(frame.params))
        elif frame.method == "notifications/progress":
            _progress(state, client, object_of(frame.params))
    except RpcError:
        return


def _cancelled(state: State, client: Client, members: Members) -> None:
    request_id = request_id_of(members, "requestId")
    if request_id is not None:
        reason = optional_text_of(members, "reason")
        forward.cancelled_by_client(state, client, request_id, reason)


def _progress(state: State, client: Client, members: Members) -> None:
    """Progress of something an upstream asked this client to do."""
    ask = client.asks.get(request_id_of(members, "progressToken") or 0)
    if ask is not None and ask.progress_token is not None:
        params = raw_of(members | {"progressToken": raw_of(ask.progress_token)})
        frame = Notification("notifications/progress", params)
        forward.to_session(state, ask.call.session, frame)


def _answered(state: State, client: Client, frame: Response | ErrorResponse) -> None:
    """A client answers a request of an upstream; an answer to no question is dropped."""
    ask = client.asks.pop(frame.id or 0, None)
    if ask is None:
        return
    if isinstance(frame, Response):
        answer: Response | ErrorResponse = Response(ask.upstream_id, frame.result)
    else:
        answer = ErrorResponse(ask.upstream_id, frame.error)
    forward.to_session(state, ask.call.session, answer)
    state.calls.resume(ask.call, state.now_s)


REQUESTS: Final[dict[str, Method]] = {
    "initialize": _initialize,
    "ping": _ping,
    "logging/setLevel": _set_level,
    "tools/list": _list_tools,
    "tools/call": _call_tool,
}

_OWN_TOOLS: Final[dict[str, tuple[tuple[Permission, ...], Method]]] = {
    # Who may call must be able to find out what there is to call.
    toolbox.USE: (("read", "call"), _own_use),
    toolbox.LIST: (("read", "call"), _own_list),
    toolbox.HELP: (("read", "call"), _own_help),
    toolbox.CALL: (("call",), _own_call),
    **dict.fromkeys(toolbox.MANAGEMENT, (("admin",), _own_change)),
}
"""Our tools -> the permissions of which one is needed, and what is done."""

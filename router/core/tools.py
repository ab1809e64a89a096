"""`tools/call`: the router's own tools, and those of the selected instance.

Job: whose tool is it, may this client call it, and what our own tools do. Neighbours: `from_client`
and `stateless` have it among their methods; `toolbox` knows our tools, `instance_tools` calls those
of others. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.core import forward, instance_tools, listed, saving, toolbox
from router.core.params import given, known, raw_of, text_of
from router.core.permissions import check_may
from router.core.revisions import RETRY_KEYS
from router.errors import TOOL_NOT_FOUND, RpcError

if TYPE_CHECKING:
    from router.admin import Permission
    from router.core.clients import Client, Members, Method
    from router.core.instances import Instance
    from router.core.state import State
    from router.messages import FromClient, Request

_CALL_KEYS: Final = frozenset({"name", "arguments", "_meta", "task", *RETRY_KEYS})


def call(state: State, client: Client, event: FromClient, frame: Request, members: Members) -> None:
    """Call one of our tools, or one of the selected instance."""
    name = text_of(known(members, _CALL_KEYS), "name")
    own = toolbox.canonical(name)
    if own is not None:
        _call_own(state, client, event, frame, own, members)
        return
    check_may(client.principal, "call")
    instance = listed.selected_by(state, client)
    if instance is None:
        raise RpcError(TOOL_NOT_FOUND, f"Unknown tool: {name}")
    instance_tools.call(state, event, frame, instance, members)


def instance_of(state: State, client: Client, members: Members) -> Instance | None:
    """Whose tool a `tools/call` is for; None for our own, and where there is no telling.

    Raises:
        RpcError: it names no tool, or no instance that there is.
    """
    own = toolbox.canonical(text_of(members, "name"))
    if own is None:
        return listed.selected_by(state, client)
    if own != toolbox.CALL:
        return None
    called = toolbox.call_arguments_of(given(members, "arguments"))
    return state.instances.seen_by(client.principal).find(called.instance_name)


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


def _list(state: State, client: Client, event: FromClient, frame: Request, _: Members) -> None:
    value = toolbox.listing(state.instances.seen_by(client.principal), state.now_s)
    forward.answer(state, event, frame, toolbox.result_of(value, client.revision))


def _help(state: State, client: Client, event: FromClient, frame: Request, _: Members) -> None:
    value = toolbox.help_text(state.instances.seen_by(client.principal))
    forward.answer(state, event, frame, toolbox.result_of(value, client.revision))


def _use(state: State, client: Client, event: FromClient, frame: Request, members: Members) -> None:
    name = toolbox.instance_name_of(given(members, "arguments"))
    instance = state.instances.seen_by(client.principal).find(name)
    if forward.ready(state, event, frame, instance, is_tool=True) is None:
        return
    client.selection.instance = instance.name
    value = toolbox.used(instance)
    forward.answer(state, event, frame, toolbox.result_of(value, client.revision))
    listed.tell_selected(state, client)


_KEPT: Final = frozenset({"_meta", *RETRY_KEYS})


def _call(
    state: State, client: Client, event: FromClient, frame: Request, members: Members
) -> None:
    called = toolbox.call_arguments_of(given(members, "arguments"))
    instance = state.instances.seen_by(client.principal).find(called.instance_name)
    session = forward.ready(state, event, frame, instance, is_tool=True)
    if session is None:
        return
    instance_tools.check(state, instance, session, called.tool_name, called.arguments)
    kept = {key: raw for key, raw in members.items() if key in _KEPT}
    forwarded = kept | {"name": raw_of(called.tool_name), "arguments": called.arguments}
    forward.forward(state, event, frame, instance, session, forwarded, is_tool=True)


def _change(
    state: State, client: Client, event: FromClient, frame: Request, members: Members
) -> None:
    own = toolbox.canonical(text_of(members, "name")) or ""
    change = toolbox.change_of(own, given(members, "arguments"))
    saving.begin(state, client, event, frame, change, is_tool=True)


_OWN_TOOLS: Final[dict[str, tuple[tuple[Permission, ...], Method]]] = {
    # Who may call must be able to find out what there is to call.
    toolbox.USE: (("read", "call"), _use),
    toolbox.LIST: (("read", "call"), _list),
    toolbox.HELP: (("read", "call"), _help),
    toolbox.CALL: (("call",), _call),
    **dict.fromkeys(toolbox.MANAGEMENT, (("admin",), _change)),
}
"""Our tools -> the permissions of which one is needed, and what is done."""

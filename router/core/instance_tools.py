"""Calls of an instance's own tools.

Job: is there such a tool, are these its arguments, and the call itself. Neighbours: `tools` and
`admin` call; `forward` does the bookkeeping, `arguments` knows the schemas. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.core import forward
from router.core.params import given, is_object, text_of
from router.errors import INVALID_PARAMS, TOOL_NOT_FOUND, RpcError

if TYPE_CHECKING:
    from msgspec import Raw

    from router.core.clients import Members
    from router.core.instances import Instance
    from router.core.state import State
    from router.messages import FromClient, Request, SessionUp


def call(
    state: State, event: FromClient, frame: Request, instance: Instance, members: Members
) -> None:
    """Forward a `tools/call` by the instance's own name of the tool, or park it.

    Raises:
        RpcError: -32013, the instance is not there; -32014, it has no such tool; -32602, the
            arguments are not what the tool takes.
    """
    session = forward.ready(state, event, frame, instance, is_tool=False)
    if session is not None:
        plain = _as_plain_call(members)
        check(state, instance, session, text_of(members, "name"), plain.get("arguments"))
        forward.forward(state, event, frame, instance, session, plain, is_tool=False)


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


def check(
    state: State, instance: Instance, session: SessionUp, tool: str, arguments: Raw | None
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
        from router.core.arguments import Schemas

        instance.schemas = Schemas.of(session.catalog.tools)
    instance.schemas.check(tool, arguments)

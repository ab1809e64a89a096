"""Makes the record of each change of an instance, whether it was made or refused, and of tools that
changed.

Invariant: a change that was sent to the disk gets its record when the disk has answered, also if
nobody waits for it any more. A change that was refused before gets it then.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from router.core.protocol.own_tools import router_tools
from router.messages.commands import AddInstance, RemoveInstance, SetActive
from router.messages.effects import WriteRecord
from router.messages.errors import RpcError
from router.messages.observability.records import ChangeRecord, ToolRecord
from router.messages.params import given

if TYPE_CHECKING:
    from router.core.pinning.pin_table import Difference
    from router.core.state.clients import Client, ClientRequest
    from router.core.state.routing_state import RoutingState
    from router.messages.commands import Change, Principal
    from router.messages.events import AdminCommand

_ACTIONS: Final = {
    router_tools.ADD: "add_instance",
    router_tools.REMOVE: "remove_instance",
    router_tools.ENABLE: "enable_instance",
    router_tools.DISABLE: "disable_instance",
}
"""The router's own tool -> the action of a `ChangeRecord`."""


def action_of(change: Change) -> str:
    """Return the name of what a change does."""
    if isinstance(change, AddInstance):
        return "add_instance"
    if isinstance(change, RemoveInstance):
        return "remove_instance"
    if isinstance(change, SetActive):
        return "enable_instance" if change.is_active else "disable_instance"
    return "update_instance"


def _name_in(change: Change) -> str:
    """Return the name of the instance; of one to be added without a name, its provider."""
    if not isinstance(change, AddInstance):
        return change.name
    name = change.entry.get("name")
    return name if isinstance(name, str) else change.provider


def settled(state: RoutingState, client: Client, change: Change, problem: RpcError | None) -> None:
    """Have a change recorded that was made, or failed on the disk.

    Args:
        client: asked for it; it may be gone.
        problem: the reason why it failed; None if it was made.
    """
    if state.settings.records:
        why = "" if problem is None else problem.message
        name = _name_in(change)
        _write(state, client.principal, client.address, action_of(change), name, why)


def refused(state: RoutingState, event: AdminCommand, change: Change, error: RpcError) -> None:
    """Have a change recorded that was refused before anything was written."""
    if state.settings.records:
        name, action = _name_in(change), action_of(change)
        _write(state, event.principal, event.address, action, name, error.message)


def restarted(state: RoutingState, event: AdminCommand, name: str, problem: str = "") -> None:
    """Have a restart of an instance recorded, or why it was refused."""
    if state.settings.records:
        _write(state, event.principal, event.address, "restart_instance", name, problem)


def approved(state: RoutingState, event: AdminCommand, name: str, problem: str = "") -> None:
    """Have an approval of tools of an instance recorded, or why it was refused."""
    if state.settings.records:
        _write(state, event.principal, event.address, "approve_tools", name, problem)


def tool_changed(
    state: RoutingState, instance: str, found: Difference, *, is_quarantined: bool
) -> None:
    """Have it recorded that a tool is not the one that was approved."""
    if state.settings.records:
        record = ToolRecord(
            instance, found.tool[:MAX_NAME], found.approved_sha256, found.sha256, is_quarantined
        )
        state.effects.append(WriteRecord(record))


def tool_refused(state: RoutingState, request: ClientRequest, tool: str, error: RpcError) -> None:
    """Have it recorded that one of the router's own tools did not change anything.

    Args:
        tool: its canonical name.
    """
    if state.settings.records:
        client, name = request.client, ""
        with suppress(RpcError):
            arguments = given(request.params.members, "arguments")
            name = _name_in(router_tools.change_of(tool, arguments))
        _write(state, client.principal, client.address, _ACTIONS[tool], name, error.message)


MAX_NAME: Final = 200
"""Characters of a name in a record; no instance has a longer one, but a client may ask for it."""


def _write(
    state: RoutingState, principal: Principal, address: str, action: str, name: str, problem: str
) -> None:
    record = ChangeRecord(principal.name, address, action, name[:MAX_NAME], problem)
    state.effects.append(WriteRecord(record))

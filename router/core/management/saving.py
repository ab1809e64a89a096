"""Takes every change of the instances to the disk, and answers when it is there.

Invariant: a change that was begun is made, even if nobody waits for it any more; whoever still
waits gets exactly one answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.core.calls import forwarding
from router.core.management.change_rules import check_change
from router.core.protocol.own_tools import router_tools
from router.core.records import change_records
from router.core.sessions.lazy_starts import START_WITHIN_S
from router.core.state.clients import Saving
from router.core.state.instances import InstanceState
from router.core.text.raw_json import raw_of
from router.messages.commands import AddInstance
from router.messages.effects import SaveInstance
from router.messages.errors import ALREADY_EXISTS, OVERLOADED, RpcError

if TYPE_CHECKING:
    from router.core.state.clients import Client, ClientRequest
    from router.core.state.routing_state import RoutingState
    from router.messages.commands import Change
    from router.messages.events import InstanceSaved

READY_METHOD: Final = "instances/ready"
"""The request of a stand-in that waits for an instance; `when_ready` answers it."""

MAX_SAVING: Final = 256
"""Changes that may be on their way; each takes the disk some milliseconds."""


def begin(
    state: RoutingState, request: ClientRequest, change: Change, *, wait_ready: bool = False
) -> None:
    """Have a change written; the request is answered after that.

    Raises:
        RpcError: see `check_change`; -32010, the token's profile shows no such instance; -32013,
            the router is stopping; -32015, too many.
    """
    client = request.client
    checked = check_change(change, client.principal, state.instances, state.settings)
    if client.principal.profile is not None and not isinstance(change, AddInstance):
        # Its view is all that it may change.
        changed = state.instances.seen_by(client.principal).find(change.name)
        state.seen_by(client).find(changed.name)
    forwarding.check_not_draining(state)
    if len(state.saving) >= MAX_SAVING:
        raise RpcError(OVERLOADED, "Too many changes are being saved; try again later")
    key = state.next_key()
    saving = Saving(request, checked.change, checked.name, wait_ready)
    state.saving[key] = client.awaited[request.id] = saving
    state.effects.append(SaveInstance(key, checked.change, checked.spec))


def saved(state: RoutingState, event: InstanceSaved) -> None:
    """Answer the request behind a change that was written, or was not, if it still waits."""
    saving = state.saving.pop(event.key, None)
    if saving is None:
        return
    request, client = saving.request, saving.request.client
    change_records.settled(state, client, saving.change, event.problem)
    if not state.is_awaited(saving):
        return
    del client.awaited[request.id]
    try:
        if event.problem is not None:
            raise _problem_for(client, event.problem, saving.name)
        _answer(state, saving)
    except RpcError as error:
        forwarding.refuse(state, request, error)


def _problem_for(client: Client, problem: RpcError, name: str) -> RpcError:
    """Return the problem as this client may see it: files are not for all to know."""
    if problem.code != ALREADY_EXISTS or client.principal.instances is None:
        return problem
    return RpcError(ALREADY_EXISTS, f"Instance '{name}' already exists")


def _answer(state: RoutingState, saving: Saving) -> None:
    request, client = saving.request, saving.request.client
    if request.is_own_tool:
        forwarding.answer(state, request, router_tools.result_of("Done", client.revision))
        return
    client.selection.instance = saving.name
    instance = state.instances.by_name.get(saving.name)
    if saving.wait_ready and instance is not None and instance.spec.is_active:
        when_ready(state, request)
    else:
        forwarding.answer(state, request, raw_of(saving.name))


def when_ready(state: RoutingState, request: ClientRequest) -> None:
    """Answer with the name of the stand-in's instance once that is ready.

    Raises:
        RpcError: -32013, it will not be ready soon, or the router is stopping.
    """
    instance = state.instances.by_name[request.client.selection.instance or ""]
    if instance.is_per_client and instance.spec.needs_roots:
        # Only a client's roots can start it.
        forwarding.answer(state, request, raw_of(instance.name))
        return
    if instance.state is InstanceState.IDLE and not instance.is_per_client:
        forwarding.answer(state, request, raw_of(instance.name))  # Its first use starts it.
        return
    session = forwarding.session_or_park(state, request, instance, patience_s=START_WITHIN_S)
    if session is not None:
        forwarding.answer(state, request, raw_of(instance.name))

"""Changes of the instances on their way to the disk, and what is answered when they are there.

Job: the one path of every change, whoever asks for it. Neighbours: `admin` and `from_client`
begin, `core` says how it ended; `changes` checks. Pure.

Invariant: a change that was begun is made, even if nobody waits for it any more; who still waits
gets exactly one answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.core.calls import forwarding
from router.core.management.change_rules import checked
from router.core.protocol import router_tools
from router.core.protocol.raw_json import raw_of
from router.core.state.clients import Saving
from router.messages.effects import SaveInstance
from router.messages.errors import ALREADY_EXISTS, OVERLOADED, RpcError

if TYPE_CHECKING:
    from msgspec import Raw

    from router.core.state.clients import Client
    from router.core.state.routing_state import RoutingState
    from router.messages.commands import Change
    from router.messages.events import FromClient, InstanceSaved
    from router.messages.frames import Request

READY_WITHIN_S: Final = 150.0
"""An instance that was waited for so long is `starting` still; two default start timeouts, since
it may have to wait for its turn."""

READY_METHOD: Final = "instances/ready"
"""The request of a stand-in that waits for an instance; `when_ready` answers it."""

MAX_SAVING: Final = 256
"""Changes that may be on their way; each takes the disk some milliseconds."""


def begin(
    state: RoutingState,
    client: Client,
    event: FromClient,
    request: Request,
    change: Change,
    *,
    is_tool: bool,
    wait_ready: bool = False,
) -> None:
    """Have a change written; the request is answered after that.

    Raises:
        RpcError: see `changes.checked`; -32013, the router is stopping; -32015, too many.
    """
    made = checked(change, client.principal, state.instances, state.settings)
    forwarding.check_not_draining(state)
    if len(state.saving) >= MAX_SAVING:
        raise RpcError(OVERLOADED, "Too many changes are being saved; try again later")
    saving = Saving(event, request, made.name, is_tool, wait_ready)
    key = state.next_key()
    state.saving[key] = client.saving[request.id] = saving
    state.effects.append(SaveInstance(key, made.change, made.spec))


def ended(state: RoutingState, event: InstanceSaved) -> None:
    """The storekeeper is done with a change: tell who waits for that."""
    saving = state.saving.pop(event.key, None)
    client = None if saving is None else state.clients.get(saving.event.client)
    if saving is None or client is None or client.saving.get(saving.request.id) is not saving:
        return
    del client.saving[saving.request.id]
    try:
        if event.problem is not None:
            raise _told(event.problem, client, saving)
        _answer(state, client, saving)
    except RpcError as error:
        forwarding.refuse_in_kind(
            state, saving.event, saving.request, error, is_tool=saving.is_tool
        )


def _told(problem: RpcError, client: Client, saving: Saving) -> RpcError:
    """The same for whom there are some instances only, without whose file has the name."""
    if problem.code != ALREADY_EXISTS or client.principal.instances is None:
        return problem
    return RpcError(ALREADY_EXISTS, f"Instance '{saving.name}' already exists")


def _answer(state: RoutingState, client: Client, saving: Saving) -> None:
    if saving.is_tool:
        result = router_tools.result_of("Done", client.revision)
        forwarding.answer(state, saving.event, saving.request, result)
        return
    client.selection.instance = saving.name
    instance = state.instances.by_name.get(saving.name)
    if saving.wait_ready and instance is not None and instance.spec.is_active:
        when_ready(state, client, saving.event, saving.request, {})
    else:
        forwarding.answer(state, saving.event, saving.request, raw_of(saving.name))


def when_ready(
    state: RoutingState, client: Client, event: FromClient, request: Request, _: dict[str, Raw]
) -> None:
    """Answer with the name of the instance once it is ready.

    Raises:
        RpcError: -32013, it will not be ready soon, or the router is stopping.
    """
    instance = state.instances.by_name[client.selection.instance or ""]
    session = forwarding.session_or_park(
        state, event, request, instance, is_tool=False, patience_s=READY_WITHIN_S
    )
    if session is not None:
        forwarding.answer(state, event, request, raw_of(instance.name))

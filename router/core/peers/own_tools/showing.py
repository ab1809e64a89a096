"""Carries out the router's own tools that show instances and their tools: `list`, `help`, `use`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.core.calls import forwarding
from router.core.protocol.own_tools import router_tools
from router.core.state.instances import InstanceState
from router.core.views import instance_views, list_changes, listings
from router.core.views.tool_help import tool_help
from router.messages.params import given

if TYPE_CHECKING:
    from collections.abc import Iterable

    from router.core.state.clients import ClientRequest
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState


def list_instances(state: RoutingState, request: ClientRequest) -> None:
    """Answer `mcp.router.list`."""
    client = request.client
    value = instance_views.summaries(state.seen_by(client), state.now_s)
    forwarding.answer(state, request, router_tools.result_of(value, client.revision))


def show_tools(state: RoutingState, request: ClientRequest) -> None:
    """Answer `mcp.router.help`."""
    client = request.client
    asked = router_tools.help_arguments_of(given(request.params.members, "arguments"))
    seen = state.seen_by(client)
    instances: Iterable[Instance] = seen
    if asked.instance_name is not None:
        instance = seen.find(asked.instance_name)
        if not lists_or_park(state, request, instance):
            return
        instances = (instance,)
    settings, view = state.settings, state.view_of(client)
    shown = [(one, listings.admitted_tools(state, view, one)) for one in instances]
    spelling = client.spelling(settings.tool_names)
    value = tool_help(shown, asked, settings.help_limit_bytes, spelling)
    result = router_tools.result_of(value, client.revision, is_compact=True)
    forwarding.answer(state, request, result)


def select(state: RoutingState, request: ClientRequest) -> None:
    """Answer `mcp.router.use`, and have the client listed the tools of the instance."""
    client = request.client
    name = router_tools.instance_name_of(given(request.params.members, "arguments"))
    instance = state.seen_by(client).find(name)
    if not lists_or_park(state, request, instance):
        return
    value = instance_views.selection(instance)
    value["tools"] = listings.admitted_names(state, state.view_of(client), instance)
    if client.one_shot:
        # Nothing is remembered without a session, so the answer says how to call without it.
        value["direct"] = listings.direct_tools_for(state, client, instance)
    else:
        client.selection.instance = instance.name
    forwarding.answer(state, request, router_tools.result_of(value, client.revision))
    if not client.one_shot:
        list_changes.notify_selection_changed(state, client)


def lists_or_park(state: RoutingState, request: ClientRequest, instance: Instance) -> bool:
    """Return whether the lists of an instance are known; else the request was parked until then.

    Those of an instance that is `idle` are, and it need not be started for them.

    Raises:
        RpcError: see `forwarding.session_or_park`.
    """
    if instance.state is InstanceState.IDLE and not instance.is_per_client:
        forwarding.check_not_draining(state)
        return True
    return forwarding.session_or_park(state, request, instance) is not None

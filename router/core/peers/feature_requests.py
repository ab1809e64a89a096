"""Carries out requests for lists, prompts, resources and completions, in `router` and `direct`
views.

Prompts are asked for by their direct names, resources by their URIs (see `views.resources`). What
is not listed in a `router` view can be asked for there as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.core.calls import confirmations, forwarding, resource_subscriptions
from router.core.limits import rates, turns
from router.core.names.resource_uris import is_admitted
from router.core.protocol.bridging import RETRY_KEYS
from router.core.protocol.permissions import check_may
from router.core.sessions import client_sessions
from router.core.text.nearest_names import did_you_mean
from router.core.text.raw_json import EMPTY_OBJECT, check_key_case, raw_of, text_of
from router.core.views import listings, resources
from router.core.views.rewriting import rewrite_for
from router.messages.errors import (
    INSTANCE_NOT_FOUND,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    RESOURCE_NOT_FOUND,
    RpcError,
)
from router.messages.params import object_of

if TYPE_CHECKING:
    from router.core.state.clients import Client, ClientRequest, Members
    from router.core.state.instances import Instance
    from router.core.state.routing_state import Method, RoutingState
    from router.messages.events import SessionUp

# --- Lists -----------------------------------------------------------------------------------


def list_tools(state: RoutingState, request: ClientRequest) -> None:
    """Answer `tools/list`."""
    answer_list(state, request, "tools")


def list_prompts(state: RoutingState, request: ClientRequest) -> None:
    """Answer `prompts/list`."""
    _answer_direct_list(state, request, "prompts")


def list_resources(state: RoutingState, request: ClientRequest) -> None:
    """Answer `resources/list`."""
    _answer_direct_list(state, request, "resources")


def list_templates(state: RoutingState, request: ClientRequest) -> None:
    """Answer `resources/templates/list`."""
    _answer_direct_list(state, request, "templates")


def _answer_direct_list(state: RoutingState, request: ClientRequest, part: str) -> None:
    """Answer a request for a list that `router` views do not have, as MCP Router 1.1 had not."""
    if state.view_of(request.client).expose == "router":
        raise RpcError(METHOD_NOT_FOUND, f"Method not found: {request.method}")
    answer_list(state, request, part)


def answer_list(state: RoutingState, request: ClientRequest, part: str) -> None:
    """Answer a request for a list from the lists that the router has read.

    Args:
        part: the part of a `Catalog`.
    """
    listings.check_first_page(request.params)
    start_for_lists(state, request.client)
    result = listings.result_for(state, request.client, part)
    if part == "tools":
        request.client.listed_tools = listings.searched_tools(state, request.client)
    request.client.owes_listing.discard("resources" if part == "templates" else part)
    forwarding.answer_in_full(state, request, result)


def start_for_lists(state: RoutingState, client: Client) -> None:
    """Start what has to run so that its lists become known, if this client sees it."""
    if state.view_of(client).expose == "router":
        return
    for instance in state.seen_by(client):
        if instance.is_per_client:
            client_sessions.start_for_lists(state, client, instance)


# --- Of one instance -------------------------------------------------------------------------


def selected_instance(state: RoutingState, request: ClientRequest) -> Instance:
    """Return the instance that a stand-in asks.

    Raises:
        RpcError: -32010, it was removed while the request waited.
    """
    selected = request.client.selection.instance or ""
    instance = state.seen_by(request.client).by_name.get(selected)
    if instance is None:
        raise RpcError(INSTANCE_NOT_FOUND, f"Instance not found: {selected}")
    return instance


def get_selected_prompt(state: RoutingState, request: ClientRequest) -> None:
    """Forward `prompts/get` to the selected instance, which has to list the prompt."""
    instance, name = selected_instance(state, request), text_of(request.params.members, "name")
    if not instance.is_awaited:
        names = [item.key for item in instance.offers.catalog.prompts]
        if name not in names:
            problem = f"Prompt '{name}' not found in instance '{instance.name}'"
            raise RpcError(RESOURCE_NOT_FOUND, problem + did_you_mean(name, names))
    forward(state, request, instance, request.params.members)


def read_selected_resource(state: RoutingState, request: ClientRequest) -> None:
    """Forward `resources/read` to the selected instance, for one of its server's own URIs."""
    instance, uri = selected_instance(state, request), text_of(request.params.members, "uri")
    if not is_admitted(instance.spec.exposure.resources, uri):
        raise resources.not_found(uri)
    forward(state, request, instance, request.params.members, read=(uri, uri))


# --- Prompts ---------------------------------------------------------------------------------

_PROMPT_KEYS: Final = frozenset({"name", "arguments", "_meta", *RETRY_KEYS})


def get_prompt(state: RoutingState, request: ClientRequest) -> None:
    """Forward `prompts/get` to the instance that the name belongs to."""
    members = check_key_case(request.params.members, _PROMPT_KEYS)
    check_may(request.client.principal, "call")
    instance, prompt = find_prompt(state, request.client, text_of(members, "name"))
    forward(state, request, instance, members | {"name": raw_of(prompt)})


def find_prompt(state: RoutingState, client: Client, name: str) -> tuple[Instance, str]:
    """Return the instance that the name of a prompt belongs to, and the server's own name.

    Raises:
        RpcError: -32602, there is no such prompt.
    """
    seen, limit = state.seen_by(client), state.settings.name_limit
    found = seen.find_direct(name, limit, "prompts")
    if found is not None:
        return found
    awaited = seen.find_awaited_owner(name, limit)
    if awaited is not None:
        return awaited, name
    unlisted = seen.find_ready_owner(name, limit)
    if unlisted is not None and unlisted[0].spec.exposure.prompts.admits_all:
        return unlisted
    names = (shown for row in seen for shown in row.direct_names(limit, "prompts"))
    raise RpcError(INVALID_PARAMS, f"Unknown prompt: {name}" + did_you_mean(name, names))


# --- Resources -------------------------------------------------------------------------------

_RESOURCE_KEYS: Final = frozenset({"uri", "_meta", *RETRY_KEYS})


def read_resource(state: RoutingState, request: ClientRequest) -> None:
    """Forward `resources/read` to the instance that the URI leads to."""
    members = check_key_case(request.params.members, _RESOURCE_KEYS)
    check_may(request.client.principal, "call")
    uri = text_of(members, "uri")
    instance, own = find_resource(state, request.client, uri)
    forward(state, request, instance, members | {"uri": raw_of(own)}, read=(uri, own))


def find_resource(state: RoutingState, client: Client, uri: str) -> tuple[Instance, str]:
    """Return the instance that a URI leads to, and the server's own form of the URI.

    Raises:
        RpcError: see `resources.find`; -32002 also if the instance's own filter leaves it out.
    """
    instance, own = resources.find(state, client, uri)
    if not is_admitted(instance.spec.exposure.resources, own):
        raise resources.not_found(uri)
    return instance, own


def subscribe(state: RoutingState, request: ClientRequest) -> None:
    """Have a client told of updates of a resource (MCP 2025-11-25, Resources, Subscriptions)."""
    members = check_key_case(request.params.members, _RESOURCE_KEYS)
    check_may(request.client.principal, "call")
    uri = text_of(members, "uri")
    instance, own = find_resource(state, request.client, uri)
    if request.client.one_shot:
        # A lone request is over with its answer: no update could reach it.
        forwarding.answer(state, request, EMPTY_OBJECT)
        return
    request.instance = instance.name
    rates.count(state, request)
    session = forwarding.session_or_park(state, request, instance)
    if session is None:
        return
    row = instance if instance.spec.has_replicas else state.sessions[session.session]
    was_told = (row.address, own) in request.client.resources
    is_first = resource_subscriptions.add(state, request.client, row, own, uri)
    try:
        _subscribe_at_server(state, request, session, row, own, is_first=is_first)
    except RpcError:
        if not was_told:
            resource_subscriptions.remove(state, request.client, row.address, own)
        raise


def _subscribe_at_server(
    state: RoutingState,
    request: ClientRequest,
    session: SessionUp,
    row: Instance,
    own: str,
    *,
    is_first: bool,
) -> None:
    """Subscribe to a resource at the server, which answers the client's request.

    Args:
        session: the one that serves the request.
        row: that of the session, or of the instance if it has replicas.
        own: the server's own URI.
        is_first: True if nobody was told of this resource before.

    Raises:
        RpcError: the request cannot be forwarded; see `forwarding.forward_call`.
    """
    if session.is_stateless:
        if is_first:
            resource_subscriptions.subscribe_upstream(state, row, [own])
        confirmations.answer_when_confirmed(state, request, row, session, own)
        return
    serving = state.sessions[session.session]
    if is_first and row is not serving:
        resource_subscriptions.subscribe_others(state, row, serving, own)
    members = request.params.members | {"uri": raw_of(own)}
    call = forwarding.forward_call(state, request, row, session, members)
    call.subscribes = row.address, own


def unsubscribe(state: RoutingState, request: ClientRequest) -> None:
    """Have a client told of updates of a resource no more."""
    members = check_key_case(request.params.members, _RESOURCE_KEYS)
    resource_subscriptions.remove_shown(state, request.client, text_of(members, "uri"))
    forwarding.answer(state, request, EMPTY_OBJECT)


# --- Completions -----------------------------------------------------------------------------


_COMPLETION_KEYS: Final = frozenset({"ref", "argument", "context", "_meta"})
_REF_KEYS: Final = frozenset({"type", "name", "uri"})


def complete(state: RoutingState, request: ClientRequest) -> None:
    """Forward `completion/complete` to the instance whose prompt or template it is about."""
    members = check_key_case(request.params.members, _COMPLETION_KEYS)
    check_may(request.client.principal, "call")
    ref = check_key_case(object_of(members.get("ref"), "params.ref"), _REF_KEYS, "params.ref")
    kind = text_of(ref, "type", "params.ref")
    if kind == "ref/prompt":
        instance, own = find_prompt(state, request.client, text_of(ref, "name", "params.ref"))
        member = "name"
    elif kind == "ref/resource":
        instance, own = find_resource(state, request.client, text_of(ref, "uri", "params.ref"))
        member = "uri"
    else:
        raise RpcError(INVALID_PARAMS, "params.ref.type must be ref/prompt or ref/resource")
    forward(state, request, instance, members | {"ref": raw_of(ref | {member: raw_of(own)})})


# --- Forwarding ------------------------------------------------------------------------------


def forward(
    state: RoutingState,
    request: ClientRequest,
    instance: Instance,
    members: Members,
    *,
    read: tuple[str, str] | None = None,
) -> None:
    """Forward a request to an instance, or park it until the instance is ready.

    Args:
        members: the `params` to send.
        read: see `rewrite_for`.
    """
    session = turns.session_for_call(state, request, instance)
    if session is not None:
        rewrite = rewrite_for(state, request.client, instance, read)
        forwarding.forward_call(state, request, instance, session, members, rewrite=rewrite)


METHODS: Final[dict[str, Method]] = {
    "tools/list": list_tools,
    "prompts/list": list_prompts,
    "prompts/get": get_prompt,
    "resources/list": list_resources,
    "resources/templates/list": list_templates,
    "resources/read": read_resource,
    "completion/complete": complete,
}
"""The methods that clients of both eras have."""

"""Finds or starts the session that serves a client, where each client has one of its own.

Where each person has one, it serves all clients of one principal.

Invariants:

- An instance never has more such sessions than its `max_sessions`.
- Two clients share a session only if their keys are equal (`state.session_rows.key_of`).
- The session of a person is found by the principal of the very client that it is to serve.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import attrs

from router.core.protocol.questions import identity_of
from router.core.sessions import client_roots, idle_times, lazy_starts, replicas
from router.core.sessions.availability import unavailable_error
from router.core.sessions.client_roots import Question
from router.core.state.instance_table import part_of, whole_of
from router.core.state.instances import InstanceState
from router.core.state.session_rows import ClientSession, key_of, owner_of, sum_up
from router.core.text.raw_json import is_object, optional_text_of, printable
from router.messages.errors import NOT_ALLOWED, OVERLOADED, RpcError
from router.messages.params import object_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from router.core.state.clients import Client, ClientRequest
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState
    from router.core.state.session_rows import SessionKey
    from router.messages.frames import ClientId
    from router.messages.instances.instance_spec import InstanceSpec

# --- Finding ---------------------------------------------------------------------------------


def row_for(
    state: RoutingState, request: ClientRequest, instance: Instance
) -> ClientSession | Question:
    """Return the row of the session that serves a request; start one if there is none.

    Args:
        instance: has a session for each client.

    Returns:
        The row, or what has to be known of the client before.

    Raises:
        RpcError: -32013, the instance cannot be started; -32015, it has too many sessions; -32602,
            it depends on the client's roots, and there are none; -32016, it is for persons, and the
            client's principal has no name.
    """
    if not instance.may_run:
        raise unavailable_error(instance, state.now_s)
    root = None
    if instance.spec.needs_roots:
        root = client_roots.root_or_question(state, request, instance)
        if isinstance(root, Question):
            return root
    return _find_or_start(state, request.client, instance, root)


def row_of(
    state: RoutingState, request: ClientRequest | None, client: Client, instance: Instance
) -> Instance | None:
    """Return the row of a session that serves a client, without starting any.

    Args:
        request: a request of the client, which may bring its roots.
        client: the client.
        instance: the instance itself if its clients share one session.
    """
    if instance.spec.has_replicas:
        return replicas.least_busy(state, instance)
    if not instance.is_per_client:
        return instance
    root = None
    if instance.spec.needs_roots:
        if request is not None:
            root = client_roots.known_root(request)
        else:
            root = client_roots.known_root_of(client)
        if root is None:
            return None
    return instance.client_sessions.get(key_of(instance, client, root))


def start_for_lists(state: RoutingState, client: Client, instance: Instance) -> None:
    """Start a session for a client that lists an instance of which nothing is known.

    Its lists come with `list_changed`. If it cannot be started, its first call says why.
    """
    if instance.known is not None or instance.client_sessions or state.draining:
        return
    start_in_background(state, client, instance)


def start_in_background(state: RoutingState, client: Client, instance: Instance) -> None:
    """Start the session of a client, or ask for its roots first, while nobody waits for it.

    That is the session which all clients share, where they do.
    """
    if instance.state is InstanceState.IDLE and not instance.is_per_client:
        lazy_starts.wake(state, instance)
    if not (instance.is_per_client and instance.may_run):
        return
    root = None
    if instance.spec.needs_roots:
        root = client_roots.known_root_of(client)
        if root is None:
            client_roots.ask_for_lists(state, client, instance)
            return
    with suppress(RpcError):
        _find_or_start(state, client, instance, root)


def _find_or_start(
    state: RoutingState, client: Client, instance: Instance, root: str | None
) -> ClientSession:
    if instance.spec.is_per_person:
        instance = _own_part(client, instance)
    row = instance.client_sessions.get(key_of(instance, client, root))
    if isinstance(row, ClientSession) and _is_page_old(state, row):
        start_anew(state, row)
    if not isinstance(row, ClientSession):
        row = _start(state, client, instance, root)
    row.used_s = state.now_s
    owner = owner_of(client)
    if owner is not None and owner not in row.clients:
        before = state.client_sessions.join(owner, row)
        if before is not None:
            before.used_s = state.now_s
    return row


def _own_part(client: Client, instance: Instance) -> Instance:
    """Return the part of an instance that the principal of a client has.

    Raises:
        RpcError: -32016, it has no name, so nobody could tell whose session this is.
    """
    if not client.principal.name:
        raise RpcError(
            NOT_ALLOWED,
            f"Instance '{instance.name}' has a session for each person, and this client has not "
            "said whose it is; give it a token of its own, or have it log in",
        )
    return part_of(instance, client.principal.name)


LOGIN_PAGE_S: Final = 300.0
"""Seconds after which a person's next call asks for another page to log in, as one expires."""


def _is_page_old(state: RoutingState, row: ClientSession) -> bool:
    is_persons = row.state is InstanceState.NEEDS_LOGIN and row.person is not None
    return is_persons and state.now_s - row.since_s >= LOGIN_PAGE_S


def start_anew(state: RoutingState, row: ClientSession) -> None:
    """Start the session of a client once more; its former incarnation is not used any more."""
    row.has_started = False  # Reports until then are about the former one.
    row.enter(InstanceState.STARTING, state.now_s)
    state.effects.append(state.start_of(row))
    sum_up(row.instance, state.now_s)


# --- Starting --------------------------------------------------------------------------------


def _start(
    state: RoutingState, client: Client, instance: Instance, root: str | None
) -> ClientSession:
    spec = instance.spec
    if root is not None:
        spec = spec.with_root(root)
    # Several clients may share that one, or a person's: it is told of none of them.
    if root is None and not spec.is_per_person:
        declared = {} if client.one_shot and not client.is_stateless else client.capabilities
        identity = identity_of(client.info, client.revision, declared)
        spec = attrs.evolve(spec, client=identity)
    return _add(state, instance, spec, key_of(instance, client, root), _name_of(client))


def _add(
    state: RoutingState, instance: Instance, spec: InstanceSpec, key: SessionKey, client_name: str
) -> ClientSession:
    limit = instance.spec.max_sessions
    if len(whole_of(instance).client_sessions) >= limit:
        whose = "person" if instance.spec.is_per_person else "client"
        raise RpcError(
            OVERLOADED,
            f"Instance '{instance.name}' has {limit} of {limit} sessions already, one for each "
            f"{whose}; try again when one has gone, or raise its max_sessions",
        )
    name = state.client_sessions.next_name(instance.name)
    row = ClientSession(
        attrs.evolve(spec, name=name, sessions="shared"),
        InstanceState.STARTING,
        state.now_s,
        instance=instance,
        key=key,
        client_name=client_name,
        used_s=state.now_s,
    )
    state.client_sessions.add(row)
    idle_times.arm_client_session(state, row)
    state.effects.append(state.start_of(row))
    sum_up(instance, state.now_s)
    return row


def take_spec(instance: Instance) -> None:
    """Have the sessions of an instance's clients show what its configuration says now."""
    for part in instance.persons.values():
        part.record_spec(attrs.evolve(instance.spec, person=part.person))
    for row in instance.client_sessions.values():
        mine = row.spec
        spec = attrs.evolve(
            instance.spec,
            name=mine.name,
            sessions=mine.sessions,
            client=mine.client,
            person=mine.person,
            cwd=mine.cwd,
            args=mine.args,
        )
        row.record_spec(spec)


def start_again(
    state: RoutingState, instance: Instance, former: ClientSession, clients: Iterable[ClientId]
) -> None:
    """Start the session of a changed instance that takes the place of a former one.

    Args:
        instance: the instance as it is configured now.
        former: a session as it was configured before, which has ended.
        clients: the ids of the clients that had it.
    """
    root, is_same_kind = former.root, instance.spec.is_per_person == (former.person is not None)
    if not (instance.is_per_client and instance.may_run and is_same_kind):
        return
    if instance.spec.needs_roots != (root is not None):
        return
    if former.person is not None:
        instance = part_of(instance, former.person)
    spec = instance.spec
    if root is not None:
        spec = spec.with_root(root)
    spec = attrs.evolve(spec, client=former.spec.client)
    with suppress(RpcError):
        row = _add(state, instance, spec, former.key, former.client_name)
        for client in clients:
            state.client_sessions.join(client, row)


def _name_of(client: Client) -> str:
    """Return the name of a client for people: its principal's, else that of the program."""
    told = optional_text_of(object_of(client.info), "name") if is_object(client.info) else None
    return client.principal.name or printable(told or "")

"""Invariants of instances with a session for each client, for tests of any order of events."""

from collections.abc import Collection

from router.core.state.routing_state import RoutingState
from tests.router.core.conversation import Conversation


def check_rows(state: RoutingState, living: Collection[str], limit: int) -> None:
    """Check that every session of a client has a row in each table, and nothing else has.

    Args:
        living: the ids of the client sessions and connections that there are.
        limit: `max_sessions` of the instances.
    """
    table = state.client_sessions
    rows = [row for one in state.instances for row in one.client_sessions.values()]
    assert {id(row) for row in rows} == {id(row) for row in table.by_name.values()}
    assert {id(row) for row in rows} == {id(row) for row in table.by_address.values()}
    assert len(rows) <= limit
    for row in table.by_name.values():
        assert row.instance is state.instances.by_name[row.name]
        assert row.clients <= set(living)
        depends_on_root = row.key[0] == "root"
        assert depends_on_root == row.instance.spec.needs_roots
        assert row.spec.cwd == (row.key[1] if depends_on_root else row.instance.spec.cwd)
        assert not row.ends_with_its_client or row.clients == {row.key[1]}
        for client in row.clients:
            assert row in table.of_client(client)
    assert set(table._joined) <= set(living)
    for instance in state.instances:
        states = {row.state for row in instance.client_sessions.values()}
        if instance.is_startable() or not instance.may_run:
            assert not states
        elif states:
            assert instance.state in states
        else:
            assert instance.state == "idle"


def check_started(talk: Conversation) -> None:
    """Check that each session that was started may run, or was stopped."""
    state = talk.state
    known = {*state.client_sessions.by_name, *state.leaving, *state.instances.by_name}
    for started in talk.started:
        assert started.sessions == "shared", "nothing runs under the name of the instance"
        assert "$" not in (started.cwd or "")
        assert started.name in known or started.name in talk.stopped

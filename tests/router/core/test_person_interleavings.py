"""Any events in any order about an instance in which each person has a session: nothing crosses.

No server gets a call of another person, and no person is listed what another one's server offers.
"""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from router.messages.commands import CallTool, Principal, RestartInstance
from router.messages.events import InstanceDown, LoginChanged
from router.messages.instances.oauth_login import OAuthLogin
from tests.router.core.conversation import Conversation, FakeClient, FakeUpstream, raw, spec

PERSONS = ("alice", "bob", "")
PICK = st.integers(0, 2**16)
LOGIN = OAuthLogin(per_user=True)
KINDS: dict[str, Any] = {
    "personal": {"oauth": LOGIN, "sessions": "per_client"},
    "moved": {"oauth": LOGIN, "sessions": "per_client", "url": "https://elsewhere.example/mcp"},
    "renamed": {"oauth": LOGIN, "sessions": "per_client", "metadata": {"description": "x"}},
    "shared": {},
}


class Persons(RuleBasedStateMachine):
    OF_ALL = ("a__echo",)

    def __init__(self) -> None:
        super().__init__()
        self.talk = self.begun()
        self.clients: list[tuple[str, FakeClient]] = []
        self.upstreams: list[tuple[str | None, FakeUpstream]] = []
        self.was_shared = False
        self.the_configuration_changes("personal")

    def begun(self) -> Conversation:
        return Conversation(view="direct")

    # --- Clients -----------------------------------------------------------------------------

    @rule(person=st.sampled_from(PERSONS), is_stateless=st.booleans())
    def a_client_comes(self, person: str, is_stateless: bool) -> None:
        principal = Principal(person)
        if is_stateless:
            client: FakeClient = self.talk.stateless_client(principal)
        else:
            client = self.talk.client(principal=principal)
            client.initializes()
        self.clients.append((person, client))

    @precondition(lambda self: self.clients)
    @rule(pick=PICK, lists=st.booleans())
    def a_client_asks(self, pick: int, lists: bool) -> None:
        person, client = self.clients[pick % len(self.clients)]
        if lists:
            own = {*self.OF_ALL, f"a__of-{person}"}
            shared = {"a__of-everybody"} if self.was_shared else set[str]()
            assert set(client.lists()) <= own | shared
        else:
            arguments = {"instance_name": "a", "tool_name": "echo", "arguments": {"of": person}}
            client.calls("mcp.router.call", arguments)

    @rule(person=st.sampled_from(PERSONS))
    def a_command_calls(self, person: str) -> None:
        self.talk.admin_asks(CallTool("a", "echo", raw({"of": person})), Principal(person))

    @precondition(lambda self: self.clients)
    @rule(pick=PICK)
    def a_client_leaves(self, pick: int) -> None:
        _, client = self.clients.pop(pick % len(self.clients))
        client.leaves()

    # --- Sessions ----------------------------------------------------------------------------

    @precondition(lambda self: self.talk.started)
    @rule(pick=PICK, what=st.sampled_from(["up", "up", "up", "login", "down"]))
    def the_supervisor_reports(self, pick: int, what: str) -> None:
        started = self.talk.started[pick % len(self.talk.started)]
        self.talk.starting(started.name)
        if what == "up":
            person = started.person or "everybody"
            upstream = self.talk.up(started.name, "echo", f"of-{person}")
            self.upstreams.append((started.person, upstream))
        elif what == "login":
            self.talk.happens(InstanceDown(started.name, "who?", 0, None, True, "https://r/l/t"))
        else:
            self.talk.down(started.name)

    @rule(person=st.sampled_from(["alice", "bob", None]))
    def somebody_logs_in(self, person: str | None) -> None:
        self.talk.happens(LoginChanged("a", person))

    @rule(kind=st.sampled_from(sorted(KINDS)))
    def the_configuration_changes(self, kind: str) -> None:
        remote = {"type": "http", "url": "https://there.example/mcp"}
        self.was_shared |= kind == "shared"
        self.talk.configured(spec("a", **remote | KINDS[kind]))

    @rule()
    def somebody_restarts_it(self) -> None:
        self.talk.admin_asks(RestartInstance("a", wait_ready=False))

    @rule(seconds=st.sampled_from([1.0, 301.0, 700.0]))
    def time_passes(self, seconds: float) -> None:
        self.talk.time_passes(seconds)

    # --- What must hold ----------------------------------------------------------------------

    @invariant()
    def no_server_sees_the_call_of_another_person(self) -> None:
        for person, upstream in self.upstreams:
            for frame in upstream.sees():
                if frame.get("method") == "tools/call" and person is not None:
                    assert frame["params"]["arguments"]["of"] == person != ""

    @invariant()
    def rows_are_where_they_belong(self) -> None:
        state = self.talk.state
        whole = state.instances.by_name["a"]
        of_parts = [row for part in whole.persons.values() for row in part.client_sessions.values()]
        if whole.spec.is_per_person:
            assert {id(row) for row in of_parts} == {
                id(row) for row in whole.client_sessions.values()
            }
            assert whole.known is None
        for row in state.client_sessions.by_name.values():
            assert whole.client_sessions[row.key] is row
            assert row.listed_as.person == row.person


TestPersons = Persons.TestCase
TestPersons.settings = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

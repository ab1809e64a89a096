"""Persons, pinned tools and calls that need a yes, all at once and in any order of events.

No server gets a call without a yes of its own where one is needed, nor a call of a tool that is not
as it was approved for this very person; and nobody is shown, or approves, tools of another.
"""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from router.core.pinning.digests import digest_of
from router.core.pinning.reviews import review
from router.core.state.waiting.approvals import Approval
from router.messages.commands import (
    LOCAL_USER,
    ApproveTools,
    DecideApproval,
    ListApprovals,
    Principal,
    ShowPins,
)
from router.messages.errors import NOT_SAVED, RpcError
from router.messages.frames import Request
from tests.router.core.approvals.asked import APPROVER, FORM, NEEDS_YES, YES
from tests.router.core.conversation import Conversation, FakeClient, SentRequest, plain, raw, spec
from tests.router.core.pins import item, pinning, store_works
from tests.router.core.test_person_interleavings import LOGIN, PERSONS, PICK, Persons

TOOL = "rm"
KINDS: dict[str, Any] = {
    "asked": {"exposure": NEEDS_YES},
    "free": {},
    "moved": {"exposure": NEEDS_YES, "url": "https://elsewhere.example/mcp"},
}
NOT_WRITTEN = RpcError(NOT_SAVED, "the disk is full")


class GuardedPersons(Persons):
    """Adds a rule for `rm`, servers that change it, and those who approve.

    Attributes:
        yes: the marks of calls that got a yes, as often as they did.
        asked: the calls of clients with sessions, which are asked by a form.
    """

    OF_ALL = ("a__echo", f"a__{TOOL}")

    def __init__(self) -> None:
        self.kind = "asked"
        self.marks = 0
        self.yes: list[int] = []
        self.asked: list[tuple[FakeClient, SentRequest]] = []
        super().__init__()

    def begun(self) -> Conversation:
        return pinning(view="direct", question_timeout_s=50.0, approval_timeout_s=100.0)

    @rule(kind=st.sampled_from(sorted(KINDS)))
    def the_configuration_changes(self, kind: str) -> None:
        self.kind = kind if kind in KINDS else "asked"
        remote = {"type": "http", "url": "https://there.example/mcp", "sessions": "per_client"}
        self.talk.configured(spec("a", **remote | {"oauth": LOGIN} | KINDS[self.kind]))

    # --- Calls that need a yes ---------------------------------------------------------------

    @rule(person=st.sampled_from(PERSONS))
    def a_client_with_forms_comes(self, person: str) -> None:
        client = self.talk.client(principal=Principal(person))
        client.initializes(**FORM)
        self.clients.append((person, client))

    @precondition(lambda self: self.clients)
    @rule(pick=PICK)
    def a_client_calls(self, pick: int) -> None:
        person, client = self.clients[pick % len(self.clients)]
        self.marks += 1
        arguments = {
            "instance_name": "a",
            "tool_name": TOOL,
            "arguments": {"of": person, "mark": self.marks},
        }
        self.asked.append((client, client.calls("mcp.router.call", arguments)))

    @rule(pick=PICK, approve=st.booleans())
    def an_approver_decides(self, pick: int, approve: bool) -> None:
        rows = self.talk.admin_asks(ListApprovals(), APPROVER).answer
        if rows:
            row = rows[pick % len(rows)]
            if approve:
                self.yes.append(plain_mark(row["arguments"]))
            what = DecideApproval(row["id"], approve, row["arguments_sha256"])
            self.talk.admin_asks(what, APPROVER)

    @rule(pick=PICK, agrees=st.booleans())
    def a_client_answers(self, pick: int, agrees: bool) -> None:
        open_ones = {row.question: row for row in self.talk.state.approvals.by_id.values()}
        found = [
            (client, frame)
            for client, asked in self.asked
            for frame in asked.mailbox.waiting
            if isinstance(frame, Request)
        ]
        if found:
            client, frame = found[-1 - pick % min(3, len(found))]
            row = open_ones.get(frame.id)
            if agrees and row is not None and client.id in named_by(row):
                self.yes.append(plain_mark(row.arguments))
            client.answers(plain(frame), YES if agrees else {"action": "decline"})

    @rule(person=st.sampled_from(["alice", "bob"]), version=st.sampled_from(["one", "two"]))
    def a_call_meets_a_server_that_comes_up(self, person: str, version: str) -> None:
        client = self.talk.client(principal=Principal(person))
        client.initializes(**FORM)
        self.clients.append((person, client))
        self.a_client_calls(len(self.clients) - 1)
        mine = [n for n, one in enumerate(self.talk.started) if one.person == person]
        if mine:
            self.a_server_comes_up(mine[-1], version)
        self.a_client_answers(0, agrees=True)

    # --- Tools that change -------------------------------------------------------------------

    @precondition(lambda self: self.talk.started)
    @rule(pick=PICK, version=st.sampled_from(["one", "one", "two"]))
    def a_server_comes_up(self, pick: int, version: str) -> None:
        started = self.talk.started[pick % len(self.talk.started)]
        self.talk.starting(started.name)
        tools = tools_of(started.person, version)
        self.upstreams.append((started.person, self.talk.up(started.name, *tools)))

    @precondition(lambda self: self.upstreams)
    @rule(pick=PICK, version=st.sampled_from(["one", "two", "three"]))
    def a_server_changes(self, pick: int, version: str) -> None:
        person, upstream = self.upstreams[pick % len(self.upstreams)]
        upstream.lists(*tools_of(person, version))

    @rule(once=st.booleans(), fails=st.sampled_from([False, False, True]))
    def the_store_works(self, once: bool, fails: bool) -> None:
        store_works(self.talk, NOT_WRITTEN if fails else None, once=once or fails)

    @rule(person=st.sampled_from([*PERSONS, "ops", LOCAL_USER]), which=PICK)
    def somebody_approves_tools(self, person: str, which: int) -> None:
        principal = Principal(person)
        rows = review(self.talk.admin_asks(ShowPins(), principal).answer)["tools"]
        for row in rows:
            owner = row["instance"].partition("#person:")[2] or person
            assert row["tool"] in {"echo", TOOL, f"of-{owner}"}
            assert person in (owner, LOCAL_USER)
        if rows:
            row = rows[which % len(rows)]
            what = ApproveTools(row["instance"], {row["tool"]: row["sha256"]})
            self.talk.admin_asks(what, principal)

    # --- What must hold ----------------------------------------------------------------------

    @invariant()
    def no_server_sees_the_call_of_another_person(self) -> None:
        for person, upstream in self.upstreams:
            for frame in upstream.sees():
                if frame.get("method") == "tools/call":
                    arguments = frame["params"]["arguments"]
                    assert arguments["of"] == person != ""
                    if frame["params"]["name"] == TOOL:
                        self.was_allowed(upstream.session, f"a#person:{person}", arguments["mark"])

    def was_allowed(self, session: int, pinned_as: str, mark: int) -> None:
        if self.kind != "free":
            self.yes.remove(mark)
        row, pins = self.talk.state.sessions.get(session), self.talk.state.pins
        if row is not None and row.known is not None and pins is not None:
            approved = pins.of(pinned_as).approved or {}
            (now,) = [one.raw for one in row.known.catalog.tools if one.key == TOOL]
            assert digest_of(bytes(now)) == digest_of(approved[TOOL])

    @invariant()
    def the_books_of_approvals_balance(self) -> None:
        state = self.talk.state
        held = [each for client in state.clients.values() for each in client.held.values()]
        waiting = [row.id for row in state.approvals.by_id.values() if row.request is not None]
        assert sorted(held) == sorted(waiting)
        assert set(state.approvals.due.armed) == set(state.approvals.by_id)

    @invariant()
    def pins_are_of_persons_alone(self) -> None:
        pins = self.talk.state.pins
        assert pins is not None
        for name, one in pins.by_instance.items():
            owner = name.partition("#person:")[2]
            assert set(one.approved or ()) <= ({"echo", TOOL, f"of-{owner}"} if owner else set())

    def teardown(self) -> None:
        self.talk.time_passes(1000)
        assert not self.talk.state.approvals.by_id


def tools_of(person: str | None, version: str) -> tuple[Any, ...]:
    changed = item(name=TOOL, description=version)
    return ("echo", changed, *([f"of-{person}"] if version != "one" else []))


def named_by(row: Approval) -> set[str]:
    """Return the id of the client that waits for a yes."""
    return set() if row.request is None else {row.request.client.id}


def plain_mark(arguments: Any) -> int:
    return int(bytes(raw(arguments)).rpartition(b'"mark":')[2].strip(b" }\n"))


TestGuardedPersons = GuardedPersons.TestCase
TestGuardedPersons.settings = settings(
    max_examples=30,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

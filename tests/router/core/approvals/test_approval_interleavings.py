"""Any events in any order: no call is sent without a yes of its own, and none is sent twice."""

from typing import Any

import attrs
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from router.messages.commands import CallTool, DecideApproval, ListApprovals, Principal
from router.messages.events import ClientClosed
from router.messages.frames import Request
from tests.router.core.approvals.asked import APPROVER, CALLER, FORM, NEEDS_YES, TOOLS, YES
from tests.router.core.conversation import (
    Conversation,
    FakeClient,
    FakeUpstream,
    SentCommand,
    SentRequest,
    StatelessClient,
    plain,
    raw,
    spec,
    value_of,
)

PICK = st.integers(0, 2**16)
ANSWERS = st.sampled_from([YES, YES, {"action": "decline"}, {"action": "accept"}, []])


@attrs.define(eq=False)
class Track:
    """A call: who made it, and whether its client was told its end."""

    client: FakeClient
    client_id: str
    asked: SentRequest
    mark: int
    is_over: bool = False


class ApprovalInterleavings(RuleBasedStateMachine):
    """Calls with and without sessions, by REST, and approvers.

    Attributes:
        yes: the marks of calls that got a yes, as often as they did.
        states_used: each `requestState` that a client has sent with an answer: it is good once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.talk = Conversation(
            timeout_s=2.0, question_timeout_s=3.0, approval_timeout_s=5.0, records={"audit"}
        )
        self.upstreams: list[FakeUpstream] = []
        self.is_changed = False
        self.the_configuration_changes()
        self.an_instance_is_up()
        self.sessions = [self.talk.client(principal=CALLER) for _ in range(2)]
        self.sessions[0].initializes(**FORM)
        self.sessions[1].initializes()
        self.lone = [
            self.talk.stateless_client(CALLER, elicitation={}),
            self.talk.stateless_connection(CALLER, elicitation={}),
            self.talk.stateless_client(CALLER),
        ]
        self.tracks: list[Track] = []
        self.commands: list[tuple[SentCommand, int]] = []
        self.yes: list[int] = []
        self.states_used: set[str] = set()
        self.marks = 0

    # --- Calls and their answers -------------------------------------------------------------

    @rule(picks=st.lists(PICK, min_size=1, max_size=3))
    def somebody_calls(self, picks: list[int]) -> None:
        for pick in picks:
            self.marks += 1
            self.calls(chosen([*self.sessions, *self.lone], pick), self.marks)

    def calls(self, client: FakeClient, mark: int, **more: Any) -> None:
        meta = {"_meta": {"progressToken": mark}}
        asked = client.calls("a__rm", {"mark": mark}, **meta, **more)
        self.tracks.append(Track(client, client.id, asked, mark))

    @rule()
    def somebody_calls_by_rest(self) -> None:
        self.marks += 1
        what = CallTool("a", "rm", raw({"mark": self.marks}))
        self.commands.append((self.talk.admin_asks(what, CALLER), self.marks))

    @precondition(lambda self: any(questions_to(track) for track in self.tracks))
    @rule(pick=PICK, answer=ANSWERS)
    def a_client_answers(self, pick: int, answer: Any) -> None:
        track = chosen([one for one in self.tracks if questions_to(one)][-3:], pick)
        question = plain(chosen(questions_to(track), pick))
        if answer == YES:
            self.notes_yes(mark_in(question["params"]["message"]))
        track.client.answers(question, answer)

    def notes_yes(self, mark: int) -> None:
        """Count a yes if it comes while the question is open."""
        rows = self.talk.state.approvals.by_id.values()
        if any(value_of(row.arguments)["mark"] == mark for row in rows):
            self.yes.append(mark)

    @precondition(lambda self: any(wants_input(track) for track in self.tracks))
    @rule(pick=PICK, answer=ANSWERS, changed=st.sampled_from([False, False, True]))
    def somebody_comes_again(self, pick: int, answer: Any, changed: bool) -> None:
        track = chosen([one for one in self.tracks if wants_input(one)][-3:], pick)
        state = track.asked.result["requestState"]
        if answer == YES and not changed and state not in self.states_used:
            self.notes_yes(track.mark)
        if not changed:
            self.states_used.add(state)
        again = {
            "requestState": state,
            "inputResponses": {"mcp-router-approval": answer},
        }
        self.calls(track.client, track.mark + changed, **again)

    @precondition(lambda self: self.tracks)
    @rule(pick=PICK)
    def somebody_does_not_wait(self, pick: int) -> None:
        track = chosen(self.tracks[-4:], pick)
        if track.asked.is_waiting:
            track.is_over = True
        if isinstance(track.client, StatelessClient) and not track.client.is_connection:
            self.talk.happens(ClientClosed(track.client_id, "gone"))
        else:
            track.client.cancels(track.asked)

    @precondition(lambda self: self.commands)
    @rule(pick=PICK)
    def nobody_waits_by_rest(self, pick: int) -> None:
        command, _ = self.commands.pop(pick % len(self.commands))
        command.abandons()

    # --- Approvers ---------------------------------------------------------------------------

    @rule(pick=PICK, kind=st.sampled_from(["yes", "yes", "no", "other digest", "own", "late"]))
    def an_approver_decides(self, pick: int, kind: str) -> None:
        rows = self.talk.admin_asks(ListApprovals(), APPROVER).answer
        known = [row["id"] for row in rows] or list(self.talk.state.approvals.decided)
        if not known:
            return
        if kind == "late":
            known = list(self.talk.state.approvals.decided) or known
        row_id = chosen(known, pick)
        found = [row for row in rows if row["id"] == row_id]
        digest = found[0]["arguments_sha256"] if found else "0" * 64
        if kind == "other digest":
            digest = "0" * 64
        principal = Principal("agent") if kind == "own" else APPROVER
        if kind in ("yes", "late") and found:
            self.yes.append(value_of(found[0]["arguments"])["mark"])
        what = DecideApproval(row_id, approve=kind != "no", arguments_sha256=digest)
        self.talk.admin_asks(what, principal)

    # --- Everything else ---------------------------------------------------------------------

    @precondition(lambda self: self.upstreams)
    @rule(pick=PICK)
    def the_server_answers(self, pick: int) -> None:
        upstream = chosen(self.upstreams, pick)
        seen = [frame for frame in upstream.inbox.waiting if isinstance(frame, Request)]
        if seen:
            upstream.answers({"id": chosen(seen, pick).id}, {"content": []})

    @rule(kind=st.sampled_from(["up", "down", "changed", "drained", *["short"] * 3, "long"]))
    def something_else_happens(self, kind: str) -> None:
        match kind:
            case "up":
                self.an_instance_is_up(stateless=self.marks % 2 == 0)
            case "down":
                self.talk.down("a", retry_in_s=0.5)
            case "changed":
                self.the_configuration_changes()
            case "drained" if self.marks > 30:
                self.talk.drains()
            case "long":
                self.talk.time_passes(4.0)
            case _:
                self.talk.time_passes(0.3)

    def an_instance_is_up(self, *, stateless: bool = False) -> None:
        self.talk.starting("a")
        revision = "2026-07-28" if stateless else "2025-11-25"
        self.upstreams.append(self.talk.up("a", *TOOLS, revision=revision))

    def the_configuration_changes(self) -> None:
        self.is_changed = not self.is_changed
        self.talk.configured(spec("a", exposure=NEEDS_YES, metadata={"n": str(self.is_changed)}))

    # --- What always holds -------------------------------------------------------------------

    @invariant()
    def every_call_that_was_sent_had_a_yes_of_its_own(self) -> None:
        yes = list(self.yes)
        for upstream in self.upstreams:
            for frame in upstream.inbox.waiting:
                if isinstance(frame, Request):
                    yes.remove(value_of(frame.params)["arguments"]["mark"])

    @invariant()
    def every_request_has_one_end_or_is_waited_for(self) -> None:
        for track in self.tracks:
            client = self.talk.state.clients.get(track.client_id)
            in_flight = client is not None and client.waits_for(track.asked.id)
            assert len(track.asked.finals) <= 1
            assert in_flight != (bool(track.asked.finals) or track.is_over), track

    @invariant()
    def the_books_balance(self) -> None:
        state = self.talk.state
        held = [each for client in state.clients.values() for each in client.held.values()]
        waiting = [row.id for row in state.approvals.by_id.values() if row.request is not None]
        assert sorted(held) == sorted(waiting)
        assert set(state.approvals.due.armed) == set(state.approvals.by_id)
        assert not set(state.approvals.decided) & set(state.approvals.by_id)

    def teardown(self) -> None:
        self.talk.time_passes(100)
        assert not any(command.is_waiting for command, _ in self.commands)
        assert not self.talk.state.approvals.by_id
        assert all(track.is_over or track.asked.finals for track in self.tracks)


def mark_in(message: str) -> int:
    return int(message.rpartition('"mark": ')[2].split("\n")[0])


def chosen(things: list[Any], pick: int) -> Any:
    return things[pick % len(things)]


def questions_to(track: Track) -> list[Request]:
    """Return the questions that came on the stream of a call of a session, answered or not."""
    if isinstance(track.client, StatelessClient):
        return []
    return [frame for frame in track.asked.mailbox.waiting if isinstance(frame, Request)]


def wants_input(track: Track) -> bool:
    """Return whether a call without a session was answered with a question."""
    finals = [plain(final) for final in track.asked.finals]
    return any(one.get("result", {}).get("resultType") == "input_required" for one in finals)


TestApprovalInterleavings = ApprovalInterleavings.TestCase
TestApprovalInterleavings.settings = settings(
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow],
)

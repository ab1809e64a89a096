"""Any events in any order: each request ends once, no answers cross, and nothing is left over."""

from typing import Any

import attrs
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from router.core.bounded.usage import Usage
from router.core.state.instances import InstanceState
from router.messages.catalog import Item
from router.messages.commands import (
    CallTool,
    ListInstances,
    MakeChange,
    RestartInstance,
    SetActive,
)
from router.messages.errors import NOT_SAVED, SESSION_LOST, TRANSPORT_ERROR, RpcError
from router.messages.events import ClientClosed
from router.messages.frames import Request, Response
from router.messages.instances.instance_spec import InstanceSpec
from router.messages.instances.run_policy import RunPolicy
from router.messages.observability.records import SessionRecord
from router.messages.rates import RateLimits
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
from tests.router.core.fake_peers import EVERYTHING
from tests.router.core.limits.limited import limited

NAMES = st.sampled_from(["a", "b"])
CHANGES = st.sampled_from(
    ["same", "shown only", "limited", "unlimited", "restarted", "restarted", "disabled", "removed"]
)
REASONS = st.sampled_from(["", "it broke", "\udcff"])
KINDS = st.sampled_from(["direct", "selected", "use", "list", "odd", "manage"])
STATUSES = st.sampled_from([None, 404, 503])
COMMANDS = ("call", "call", "list", "change", "wait", "restart", "restart and wait")
PICK = st.integers(0, 2**16)
"""Chooses among what there is at that moment."""


ECHO = Item("echo", raw({"name": "echo", "annotations": {"readOnlyHint": True}}))
"""A tool that may be called again."""


def retrying(name: str, **changes: Any) -> InstanceSpec:
    return spec(name, run_policy=RunPolicy(retry_safe_calls=True), **changes)


@attrs.define(eq=False)
class Track:
    """A request and what is known about it."""

    client: FakeClient
    asked: SentRequest
    mark: int
    cancelled: bool = False


@attrs.define(eq=False)
class Lone:
    """A request without a session; over HTTP it is a client of its own, which may leave."""

    peer: StatelessClient
    asked: SentRequest
    name: str
    mark: int
    client: str
    left: bool = False

    @property
    def wants_input(self) -> bool:
        finals = self.asked.finals
        return (
            bool(finals)
            and plain(finals[0]).get("result", {}).get("resultType") == "input_required"
        )


class Interleavings(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.talk = Conversation(
            timeout_s=2.0,
            question_timeout_s=3.0,
            allow_instance_management=True,
            records=frozenset({"audit"}),
            rates={EVERYTHING.name: RateLimits(concurrent_calls=20)},
        )
        self.upstreams: list[FakeUpstream] = self.talk.with_upstreams("a", "b")
        self.specs = {name: usual(name) for name in ("a", "b")}
        self.talk.configured(*self.specs.values())
        self.clients: list[FakeClient] = []
        self.gone: set[str] = set()
        self.tracks: list[Track] = []
        self.commanded: list[SentCommand] = []
        self.abandoned: list[SentCommand] = []
        self.lone: list[Lone] = []
        self.peers = [
            talking(roots={})
            for talking in (self.talk.stateless_client, self.talk.stateless_connection)
        ]
        self.marks = 0
        self.an_instance_is_up("b", unannounced=False, stateless=True)
        self.a_client_comes(one_shot=False, one_channel=False, able=True)
        self.a_client_comes(one_shot=False, one_channel=True, able=True)

    # --- Clients -----------------------------------------------------------------------------

    @precondition(lambda self: len(self.clients) < 5)
    @rule(one_shot=st.booleans(), one_channel=st.booleans(), able=st.booleans())
    def a_client_comes(self, one_shot: bool, one_channel: bool, able: bool) -> None:
        client = self.talk.client(one_shot=one_shot, one_channel=one_channel)
        self.clients.append(client)
        if able:
            self.track(client, client.initializes(roots={}, sampling={}), 0)

    @precondition(lambda self: self.clients)
    @rule(pick=PICK, name=NAMES, kind=KINDS)
    def a_client_asks(self, pick: int, name: str, kind: str) -> None:
        self.asks(chosen(self.clients, pick), name, kind)

    @precondition(lambda self: self.clients)
    @rule(pick=PICK, names=st.lists(NAMES, min_size=1, max_size=4))
    def clients_call(self, pick: int, names: list[str]) -> None:
        for n, name in enumerate(names):
            self.asks(chosen(self.clients, pick + n), name, "route")

    def asks(self, client: FakeClient, name: str, kind: str) -> None:
        self.marks += 1
        arguments = {"mark": self.marks}
        meta = {"progressToken": self.marks}
        match kind:
            case "route":
                routed = {"instance_name": name, "tool_name": "echo", "arguments": arguments}
                asked = client.calls("mcp.router.call", routed, _meta=meta)
            case "direct":
                asked = client.calls(f"{name}__echo", arguments, _meta=meta)
            case "selected":
                asked = client.calls("echo", arguments, _meta=meta)
            case "use":
                asked = client.uses(name)
            case "manage":
                asked = client.calls("mcp.router.disable", {"instance_name": name})
            case "list":
                asked = client.asks("tools/list")
            case _:
                asked = client.asks("tools/nothing", {"mark": self.marks})
        self.track(client, asked, self.marks)

    @precondition(lambda self: self.tracks)
    @rule(pick=PICK)
    def a_client_uses_an_id_that_may_be_in_flight(self, pick: int) -> None:
        track = self.a_track(pick)
        if track.client.one_channel or track.client.id in self.gone:
            return
        again = track.client.asks("ping", id=track.asked.id)
        assert len(again.finals) == 1
        assert isinstance(again.finals[0], Response) != track.asked.is_waiting

    @precondition(lambda self: self.tracks)
    @rule(pick=PICK)
    def a_client_cancels(self, pick: int) -> None:
        track = self.a_track(pick)
        track.cancelled = track.cancelled or track.asked.is_waiting
        track.client.cancels(track.asked)

    @precondition(lambda self: self.tracks)
    @rule(pick=PICK, refuse=st.booleans())
    def a_client_answers_a_question(self, pick: int, refuse: bool) -> None:
        track = self.a_track(pick)
        questions = [frame for frame in track.asked.mailbox.waiting if isinstance(frame, Request)]
        if not questions:
            return
        question = plain(chosen(questions, pick))
        if refuse:
            track.client.refuses(question, {"code": 1, "message": "no"})
        else:
            track.client.answers(question, {"answer": question["params"]["mark"]})

    # --- Clients without sessions ------------------------------------------------------------

    @rule(pick=PICK, name=NAMES)
    def somebody_asks_without_a_session(self, pick: int, name: str) -> None:
        self.marks += 1
        self.asks_alone(chosen(self.peers, pick), name, self.marks)

    @precondition(lambda self: any(one.wants_input for one in self.lone))
    @rule(pick=PICK, answered=st.booleans(), changed=st.sampled_from([False, False, True]))
    def somebody_comes_again_with_input(self, pick: int, answered: bool, changed: bool) -> None:
        before = chosen([one for one in self.lone if one.wants_input], pick)
        result = before.asked.result
        answers = {key: {"roots": []} for key in result["inputRequests"]} if answered else {}
        again = {"requestState": result["requestState"], "inputResponses": answers}
        held = len(self.talk.state.input_required)
        self.asks_alone(before.peer, before.name, before.mark + changed, **again)
        if changed and result["requestState"] != "of the server":
            assert len(self.talk.state.input_required) == held

    def asks_alone(self, peer: StatelessClient, name: str, mark: int, **more: Any) -> Lone:
        routed = {"instance_name": name, "tool_name": "echo", "arguments": {"mark": mark}}
        asked = peer.calls("mcp.router.call", routed, _meta={"progressToken": mark}, **more)
        one = Lone(peer, asked, name, mark, peer.id)
        self.lone.append(one)
        return one

    @precondition(lambda self: self.lone)
    @rule(pick=PICK)
    def somebody_does_not_wait(self, pick: int) -> None:
        one = chosen(self.lone[-4:], pick)
        one.left = True
        if one.peer.is_connection:
            one.peer.cancels(one.asked)
        else:
            self.talk.happens(ClientClosed(one.client, "gone"))

    # --- Commands ----------------------------------------------------------------------------

    @rule(name=NAMES, kind=st.sampled_from(COMMANDS))
    def somebody_asks_the_router(self, name: str, kind: str) -> None:
        self.marks += 1
        match kind:
            case "call":
                what = CallTool(name, "echo", raw({"mark": self.marks}))
            case "list":
                what = ListInstances()
            case "restart" | "restart and wait":
                what = RestartInstance(name, wait_ready=kind != "restart")
            case _:
                what = MakeChange(SetActive(name, True), wait_ready=kind == "wait")
        self.commanded.append(self.talk.admin_asks(what))

    @precondition(lambda self: self.commanded)
    @rule(pick=PICK)
    def nobody_waits_for_an_answer(self, pick: int) -> None:
        commanded = self.commanded.pop(pick % len(self.commanded))
        was_answered = not commanded.is_waiting
        commanded.abandons()
        if not was_answered:
            self.abandoned.append(commanded)

    @precondition(lambda self: self.talk.saves)
    @rule(change=CHANGES, fail=st.booleans())
    def a_change_is_saved(self, change: str, fail: bool) -> None:
        named = self.talk.saves[0].change
        assert isinstance(named, SetActive)
        if fail:
            self.talk.change_saved(problem=RpcError(NOT_SAVED, "why"))
        else:
            self.talk.change_saved(*self.specs_after(named.name, change))

    # --- Upstreams ---------------------------------------------------------------------------

    @precondition(lambda self: self.upstreams)
    @rule(pick=PICK, which=PICK, kind=st.sampled_from(["result", "error", "input", "input"]))
    def an_upstream_answers(self, pick: int, which: int, kind: str) -> None:
        upstream, request = self.a_call_seen(pick, which)
        if request is None:
            return
        mark = value_of(request.params)["arguments"]["mark"]
        match kind:
            case "error":
                upstream.fails({"id": request.id}, {"code": -1, "message": str(mark)})
            case "input" if upstream.is_stateless:
                asked = {"method": "roots/list", "params": {"mark": mark}}
                wanted = {"inputRequests": {"i": asked}, "requestState": "of the server"}
                upstream.answers({"id": request.id}, wanted | {"resultType": "input_required"})
            case _:
                upstream.answers({"id": request.id}, {"mark": mark})

    @precondition(lambda self: self.upstreams)
    @rule(pick=PICK, which=PICK, status=STATUSES, retry_after_s=st.sampled_from([None, None, 1.0]))
    def an_upstream_fails_to_answer(
        self, pick: int, which: int, status: int | None, retry_after_s: float | None
    ) -> None:
        upstream, request = self.a_call_seen(pick, which)
        if request is not None:
            code = SESSION_LOST if status is None else TRANSPORT_ERROR
            upstream.fails_to_answer({"id": request.id}, status, retry_after_s, code=code)

    @precondition(lambda self: len(self.upstreams) > 1)
    @rule(pick=PICK, other=PICK, which=PICK)
    def an_upstream_forges_an_answer(self, pick: int, other: int, which: int) -> None:
        upstream = chosen(self.upstreams[-3:], other)
        victim, request = self.a_call_seen(pick, which)
        if request is not None and victim is not upstream:
            upstream.answers({"id": request.id}, {"mark": "forged"})

    @precondition(lambda self: self.upstreams)
    @rule(pick=PICK, which=PICK, kind=st.sampled_from(["progress", "ask", "ask plainly", "log"]))
    def an_upstream_says_more(self, pick: int, which: int, kind: str) -> None:
        upstream, request = self.a_call_seen(pick, which)
        if request is None:
            return
        mark = value_of(request.params)["arguments"]["mark"]
        match kind:
            case "progress":
                params = {"progressToken": request.id, "progress": 1, "mark": mark}
                upstream.says("notifications/progress", params)
            case "log":
                upstream.says("notifications/message", {"level": "error"}, related=request.id)
            case _ if upstream.is_stateless:
                return  # its session answers its requests: it may make none
            case "ask":
                upstream.asks("roots/list", {"mark": mark}, id=mark, related=request.id)
            case _:
                upstream.asks("sampling/createMessage", {"mark": mark}, id=mark)

    @precondition(lambda self: self.upstreams)
    @rule(pick=PICK, mark=PICK)
    def an_upstream_withdraws_a_question(self, pick: int, mark: int) -> None:
        params = {"requestId": mark % (self.marks + 1)}
        chosen(self.upstreams[-3:], pick).says("notifications/cancelled", params)

    @rule(name=NAMES, unannounced=st.booleans(), stateless=st.booleans())
    def an_instance_is_up(self, name: str, unannounced: bool, stateless: bool = False) -> None:
        if not unannounced:
            self.talk.starting(name)
        revision = "2026-07-28" if stateless else "2025-11-25"
        self.upstreams.append(
            self.talk.up(name, ECHO if name == "a" else "echo", revision=revision)
        )

    @rule(pick=PICK, name=NAMES, reason=REASONS, kind=st.sampled_from(["break", "down", "fail"]))
    def an_upstream_ends(self, pick: int, name: str, reason: str, kind: str) -> None:
        match kind:
            case "break" if self.upstreams:
                chosen(self.upstreams[-3:], pick).breaks(reason)
            case "down":
                self.talk.down(name, reason, chosen([None, 0.0, 0.5, 0.5], pick))
            case _:
                self.talk.failed(name, reason)

    @precondition(lambda self: self.clients)
    @rule(pick=PICK, which=PICK, kind=st.sampled_from(["full", "lost", "slow", "leaves"]))
    def something_does_not_fit(self, pick: int, which: int, kind: str) -> None:
        if kind in ("full", "lost") or len(self.clients) < 2:
            upstream: FakeUpstream = chosen(self.upstreams[-3:], pick)
            if upstream.inbox.waiting:
                upstream.overflows(chosen(upstream.inbox.waiting, which), lost=kind == "lost")
            return
        client = chosen(self.clients, pick)
        self.clients.remove(client)
        self.gone.add(client.id)
        if kind == "slow":
            client.overflows()
        else:
            client.leaves("\udcff")

    @rule(name=NAMES, change=CHANGES, back=st.sampled_from([True, True, False]))
    def the_configuration_changes(self, name: str, change: str, back: bool) -> None:
        self.talk.configured(*self.specs_after(name, change))
        if back:
            self.specs[name] = usual(name)
            self.talk.configured(*self.specs.values())
            self.an_instance_is_up(name, unannounced=False)

    def specs_after(self, name: str, change: str) -> list[InstanceSpec]:
        self.marks += 1
        match change:
            case "same":
                changed = [self.specs[name]]
            case "shown only":
                changed = [attrs.evolve(self.specs[name], metadata={"n": self.marks})]
            case "limited":
                changed = [limited(name, at_a_time=1 + self.marks % 3)]
            case "unlimited":
                changed = [spec(name)]
            case "restarted":
                changed = [retrying(name, command=str(self.marks))]
            case "disabled":
                changed = [attrs.evolve(self.specs[name], is_active=False)]
            case _:
                changed = []
        return [*changed, *(kept for key, kept in self.specs.items() if key != name)]

    @rule(seconds=st.sampled_from([0.1, 0.3, 0.5, 2.5, 30.0]))
    def time_passes(self, seconds: float) -> None:
        self.talk.time_passes(seconds)

    @precondition(lambda self: self.marks > 30)
    @rule()
    def the_router_drains(self) -> None:
        self.talk.drains()

    def a_call_seen(self, pick: int, which: int) -> tuple[FakeUpstream, Request | None]:
        """A request that an upstream has seen: mostly one in flight, else any."""
        live = list(self.talk.state.calls.by_id.values())
        if live and pick % 4:
            call = chosen(live, which)
            (upstream,) = [one for one in self.upstreams if one.session == call.session.session]
            (request,) = [one for one in calls_seen(upstream) if one.id == call.id]
            return upstream, request
        upstream = chosen(self.upstreams, pick)
        seen = calls_seen(upstream)
        return upstream, chosen(seen, which) if seen else None

    def a_track(self, pick: int) -> Track:
        """A request of a client: mostly one that waits, else any."""
        waiting = [track for track in self.tracks if track.asked.is_waiting]
        return chosen(waiting if waiting and pick % 4 else self.tracks, pick)

    # --- What always holds -------------------------------------------------------------------

    @invariant()
    def every_request_has_one_end_or_is_waited_for(self) -> None:
        for track in self.tracks:
            self.check(track)

    def check(self, track: Track) -> None:
        asked, client = track.asked, self.talk.state.clients.get(track.client.id)
        finals = [plain(final) for final in asked.finals]
        assert len(finals) <= 1
        in_flight = client is not None and client.waits_for(asked.id)
        ended = bool(finals) or track.cancelled or client is None
        assert in_flight != ended, (finals, track)
        if not track.client.one_channel:
            assert asked.mailbox.closed == (ended and not finals)
        for final in finals:
            assert final.get("result", {}).get("mark", track.mark) == track.mark
            error = final.get("error", {"code": 0})
            assert error["code"] != -1 or error["message"] == str(track.mark)
        for said in map(plain, asked.mailbox.waiting):
            if not track.client.one_channel:
                assert said.get("params", {}).get("mark", track.mark) == track.mark or (
                    "id" in said  # A question without a stream goes to any call of its client.
                )

    @invariant()
    def every_lone_request_has_one_end_or_is_waited_for(self) -> None:
        for one in self.lone:
            finals = [plain(final) for final in one.asked.finals]
            assert len(finals) <= 1
            client = self.talk.state.clients.get(one.client)
            in_flight = client is not None and client.waits_for(one.asked.id)
            assert in_flight != (bool(finals) or one.left)
            for final in finals:
                result = final.get("result", {})
                assert result.get("resultType", "complete") in {"complete", "input_required"}
                assert result.get("mark", one.mark) == one.mark
            if one.left and not one.peer.is_connection:
                assert client is None

    @invariant()
    def every_command_has_one_answer_or_is_waited_for(self) -> None:
        waiting = {id(command.reply_to) for command in self.talk.state.asking.values()}
        assert waiting == {id(one.mailbox) for one in self.commanded if one.is_waiting}
        assert all(len(one.mailbox.waiting) <= 1 for one in self.commanded)
        assert all(one.is_waiting for one in self.abandoned)

    @invariant()
    def the_books_balance(self) -> None:
        state = self.talk.state
        calls = state.calls.by_id
        assert len(state.calls.deadlines) == len(calls)
        held = [one for one in state.input_required.values() if one.outcome is None]
        assert {id(call) for call in calls.values()} == {
            id(call) for client in state.clients.values() for call in client.calls.values()
        } | {id(one.call) for one in held}
        assert len(state.input_required_due) == len(state.input_required)
        assert {call_id for of in state.calls.by_session.values() for call_id in of} == set(calls)
        assert all(state.calls.by_session.values())
        assert set(state.calls.by_session) <= set(state.sessions)
        assert {id(one) for c in state.clients.values() for one in c.awaited.values()} <= {
            id(one) for one in state.saving.values()
        }
        assert set(state.saving) == {save.key for save in self.talk.saves}
        parked = {(c.id, key) for c in state.clients.values() for key in c.parked}
        assert parked == {key for one in state.instances for key in one.waiting}
        assert len(state.parked) == len(parked)
        self.only_a_session_that_is_full_has_a_queue()
        for client in state.clients.values():
            asked_about = [ask.call for ask in client.server_requests.values()]
            assert all(call is not None and calls[call.id] is call for call in asked_about)
        for call in calls.values():
            asks = [ask for ask in call.client.server_requests.values() if ask.call is call]
            questions = () if call.input_required is None else call.input_required.requests
            assert call.unanswered == len(asks) + len(questions)
        asked_of = {(c.id, key) for c in state.clients.values() for key in c.server_requests}
        assert len(state.questions_due) >= len(asked_of)
        for session_id, instance in state.sessions.items():
            assert instance.session is not None
            assert instance.session.session == session_id
            leaving = state.leaving.get(instance.name)
            current = state.instances.by_name.get(instance.name)
            assert instance is (current if leaving is None else leaving.row)
        assert set(state.ejections) <= set(state.sessions)
        degraded = [one for one in state.instances if one.state is InstanceState.DEGRADED]
        assert all(one.session and one.session.session in state.ejections for one in degraded)
        assert len(state.leaving_due) == len(state.leaving)
        for leaving in state.leaving.values():
            assert leaving.row.session is not None
            assert state.calls.of_session(leaving.row.session.session)

    def only_a_session_that_is_full_has_a_queue(self) -> None:
        state = self.talk.state
        waiting_in_turn = {
            (parked.queued_for, (client.id, key))
            for client in state.clients.values()
            for key, parked in client.parked.items()
            if parked.queued_for is not None
        }
        assert len(waiting_in_turn) == sum(len(one.turns) for one in state.instances)
        assert {id(one.turns) for one in state.instances if one.turns} == set(map(id, state.queues))
        for one in state.queues.values():
            limit = one.spec.run_policy.max_in_flight
            if one.session is not None:
                assert limit is not None
                assert len(state.calls.of_session(one.session.session)) >= limit
        for session, loads in state.calls.loads.items():
            assert sum(loads.counts.values()) == len(state.calls.of_session(session)) > 0
        for client in state.clients.values():
            mine = [] if client.connection is not None else [client, *client.requests.values()]
            assert client.parked_count == sum(len(row.parked) for row in mine)

    @invariant()
    def each_call_of_the_token_is_in_flight_once(self) -> None:
        state = self.talk.state
        usage = state.usages.get(EVERYTHING.name, Usage())
        parked = [one.request for c in state.clients.values() for one in c.parked.values()]
        in_flight = [one for one in (*state.calls.by_id.values(), *parked) if one.usage is usage]
        assert usage.in_flight == len(in_flight) <= 20

    def teardown(self) -> None:
        while self.talk.saves:
            self.talk.change_saved(*self.specs.values())
        self.talk.time_passes(200.0)
        assert not any(one.is_waiting for one in self.commanded)
        for track in self.tracks:
            if track.client.id not in self.gone and not track.cancelled:
                self.talk.time_passes(30.0)
                assert not track.asked.is_waiting
        for client in self.clients:
            client.leaves()
        for one in self.lone:
            assert one.left or not one.asked.is_waiting
            self.talk.happens(ClientClosed(one.client, "bye"))
        self.peers[1].leaves()
        self.talk.configured()
        state = self.talk.state
        left = (state.clients, state.sessions, state.calls.by_id, state.calls.by_session)
        left = (*left, state.asking, state.saving, state.leaving, state.input_required)
        assert not any(left), left
        assert len(state.parked) == len(state.calls.deadlines) == 0
        assert self.talk.core.next_deadline_s() is None
        self.each_request_and_session_has_its_records()

    def each_request_and_session_has_its_records(self) -> None:
        sessions = [one for one in self.talk.records if isinstance(one, SessionRecord)]
        begun = [one.client for one in sessions if one.is_open]
        ended = [one.client for one in sessions if not one.is_open]
        assert sorted(begun) == sorted(ended)
        assert len(set(begun)) == len(begun)
        assert len(self.talk.call_records()) == self.talk.to_record

    def track(self, client: FakeClient, asked: SentRequest, mark: int) -> None:
        self.tracks.append(Track(client, asked, mark))


def usual(name: str) -> InstanceSpec:
    """The configuration of an instance when nothing is odd.

    `a` repeats safe calls, and `b` takes two calls at a time.
    """
    return retrying(name) if name == "a" else limited(name, at_a_time=2)


def chosen(things: list[Any], pick: int) -> Any:
    return things[pick % len(things)]


def calls_seen(upstream: FakeUpstream) -> list[Request]:
    frames = upstream.inbox.waiting
    return [one for one in frames if isinstance(one, Request) and one.method == "tools/call"]


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(
    stateful_step_count=50,
    suppress_health_check=[HealthCheck.too_slow],
)

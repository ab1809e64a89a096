"""Any events in any order about one instance with a session for each client: nothing leaks.

No row outlives its client, no client is answered by the server of another, each request ends once,
and the supervisor is told to stop everything that it was told to start. `test_interleaved_views`
shows this among other instances, in all views and eras; here one instance in one view goes through
longer histories of its sessions, and its servers declare capabilities or none.
"""

from typing import Any

import attrs
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from router.core.state.session_rows import IDLE_EXPIRY_S
from router.messages.frames import ErrorResponse, Response
from tests.router.core.conversation import FakeClient, FakeUpstream, SentRequest, spec, value_of
from tests.router.core.interleaved.client_session_rows import check_rows, check_started
from tests.router.core.per_client import per_client, talk_about

PICK = st.integers(0, 2**16)
KINDS = st.sampled_from(["plain", "plain", "plain", "roots", "roots", "shared", "removed"])
REPORTS = st.sampled_from(["starting", "up", "up", "breaks", "down", "failed", "stopped"])
LIMIT = 3


@attrs.define(eq=False)
class Track:
    """A call and its sender."""

    client: FakeClient
    asked: SentRequest
    cancelled: bool = False


def configured(kind: str, command: str) -> Any:
    if kind == "shared":
        return spec("a", command=command)
    more = {"cwd": "${roots.0}"} if kind == "roots" else {}
    return per_client("a", command=command, max_sessions=LIMIT, timeout_s=2.0, **more)


class ClientSessions(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.talk = talk_about(configured("plain", "v0"), view="a")
        self.clients: list[FakeClient] = []
        self.gone: set[str] = set()
        self.tracks: list[Track] = []
        self.upstreams: list[FakeUpstream] = []
        self.owners: dict[str, str] = {}
        self.lone: set[str] = set()
        self.edits = 0

    def living(self) -> list[FakeClient]:
        return [client for client in self.clients if client.id not in self.gone]

    # --- Clients -----------------------------------------------------------------------------

    @precondition(lambda self: len(self.living()) < 5)
    @rule(one_shot=st.booleans(), able=st.booleans())
    def a_client_comes(self, one_shot: bool, able: bool) -> None:
        client = self.talk.client(one_shot=one_shot)
        self.clients.append(client)
        if one_shot:
            self.lone.add(client.id)
        else:
            declared: dict[str, Any] = {"roots": {}} if able else {}
            self.tracks.append(Track(client, client.initializes(**declared)))

    @precondition(lambda self: len(self.living()) < 5)
    @rule(subscribes=st.booleans())
    def a_client_comes_and_is_served(self, subscribes: bool) -> None:
        self.a_client_comes(one_shot=False, able=True)
        client = self.clients[-1]
        before = len(self.talk.started)
        self.tracks.append(Track(client, client.calls("echo", {"of": client.id})))
        if subscribes:
            subscribed = client.asks("resources/subscribe", {"uri": "file:///x"})
            self.tracks.append(Track(client, subscribed))
        self.a_client_answers_what_it_was_asked(len(self.living()) - 1, "/x")
        if len(self.talk.started) > before:
            self.a_session_reports(0, "up", {})

    @precondition(lambda self: self.living())
    @rule(pick=PICK)
    def a_client_calls(self, pick: int) -> None:
        client = self.living()[pick % len(self.living())]
        self.tracks.append(Track(client, client.calls("echo", {"of": client.id})))

    @precondition(lambda self: self.living())
    @rule(pick=PICK)
    def a_client_subscribes(self, pick: int) -> None:
        client = self.living()[pick % len(self.living())]
        self.tracks.append(Track(client, client.asks("resources/subscribe", {"uri": "file:///x"})))

    @precondition(lambda self: self.living())
    @rule(pick=PICK, path=st.sampled_from(["/x", "/y", "/z", "/.."]))
    def a_client_answers_what_it_was_asked(self, pick: int, path: str) -> None:
        client = self.living()[pick % len(self.living())]
        mailboxes = [client.outbox, *(track.asked.mailbox for track in self.tracks)]
        for mailbox in mailboxes:
            for frame in list(mailbox.waiting):
                if getattr(frame, "method", None) == "roots/list":
                    mailbox.waiting.remove(frame)
                    client.answers({"id": frame.id}, {"roots": [{"uri": f"file://{path}"}]})

    @precondition(lambda self: self.tracks)
    @rule(pick=PICK)
    def a_client_cancels(self, pick: int) -> None:
        track = self.tracks[pick % len(self.tracks)]
        track.cancelled = track.cancelled or track.asked.is_waiting
        track.client.cancels(track.asked)

    @precondition(lambda self: self.living())
    @rule(pick=PICK)
    def a_client_changes_its_roots(self, pick: int) -> None:
        self.living()[pick % len(self.living())].says("notifications/roots/list_changed")

    @precondition(lambda self: self.living())
    @rule(pick=PICK, overflows=st.booleans())
    def a_client_goes(self, pick: int, overflows: bool) -> None:
        client = self.living()[pick % len(self.living())]
        self.gone.add(client.id)
        client.overflows() if overflows else client.leaves()

    # --- Servers -----------------------------------------------------------------------------

    @precondition(lambda self: self.talk.started)
    @rule(pick=PICK, what=REPORTS, capabilities=st.sampled_from([{}, {"logging": {}}]))
    def a_session_reports(self, pick: int, what: str, capabilities: Any) -> None:
        name = self.talk.started[-1 - pick % min(4, len(self.talk.started))].name
        match what:
            case "starting":
                self.talk.starting(name)
            case "up":
                self.talk.starting(name)
                upstream = self.talk.up(name, "echo", capabilities=capabilities)
                self.upstreams.append(upstream)
            case "breaks":
                for upstream in self.upstreams:
                    if upstream.instance == name:
                        upstream.breaks()
            case "down":
                self.talk.down(name, "it crashed")
            case "stopped":
                self.talk.down(name, "", None)
            case _:
                self.talk.failed(name)

    @precondition(lambda self: self.upstreams)
    @rule(pick=PICK, fails=st.booleans())
    def a_server_answers_everything(self, pick: int, fails: bool) -> None:
        upstream = self.upstreams[pick % len(self.upstreams)]
        for frame in upstream.sees():
            if "id" in frame and frame.get("method") == "tools/call":
                self.serves(upstream, frame["params"]["arguments"]["of"])
                if fails:
                    upstream.fails(frame, {"code": -1, "message": "no"})
                else:
                    upstream.answers(frame, {"of": frame["params"]["arguments"]["of"]})

    def serves(self, upstream: FakeUpstream, client_id: str) -> None:
        """Check that a session that was started for one client gets calls of no other."""
        started = [one for one in self.talk.started if one.name == upstream.instance]
        if started and started[-1].client is not None:
            is_lone = client_id in self.lone
            owner = self.owners.setdefault(upstream.instance, "lone" if is_lone else client_id)
            assert owner == ("lone" if is_lone else client_id)

    @precondition(lambda self: self.upstreams)
    @rule(pick=PICK, n=st.integers(1, 3))
    def a_server_asks(self, pick: int, n: int) -> None:
        self.upstreams[pick % len(self.upstreams)].asks("roots/list", id=n)

    # --- Everything else ---------------------------------------------------------------------

    @rule(kind=KINDS)
    def the_configuration_changes(self, kind: str) -> None:
        self.edits += 1
        wanted = () if kind == "removed" else (configured(kind, f"v{self.edits}"),)
        self.talk.configured(*wanted)

    @rule(seconds=st.sampled_from([0.5, 3.0, 40.0, IDLE_EXPIRY_S + 1]))
    def time_passes(self, seconds: float) -> None:
        self.talk.time_passes(seconds)

    # --- What must hold ----------------------------------------------------------------------

    @invariant()
    def each_request_ends_at_most_once_and_with_its_own_answer(self) -> None:
        for track in self.tracks:
            finals = track.asked.finals
            assert len(finals) <= 1
            for final in finals:
                assert isinstance(final, (Response, ErrorResponse))
                if isinstance(final, Response):
                    of = value_of(final.result).get("of")
                    assert of in (None, track.client.id)

    @invariant()
    def rows_are_where_they_belong(self) -> None:
        check_rows(self.talk.state, {client.id for client in self.living()}, LIMIT)

    @invariant()
    def what_was_started_runs_or_was_stopped(self) -> None:
        check_started(self.talk)

    def teardown(self) -> None:
        for client in self.living():
            client.leaves()
        self.gone.update(client.id for client in self.clients)
        self.talk.time_passes(3 * IDLE_EXPIRY_S)
        state = self.talk.state
        assert not state.client_sessions.by_name
        assert not len(state.client_sessions.idle_due)
        assert not state.client_sessions._joined
        assert not state.clients
        assert not state.subscribers
        assert not state.calls.by_id
        assert not len(state.parked)
        assert not state.leaving
        assert all(not one.waiting for one in state.instances)
        self.rows_are_where_they_belong()
        self.what_was_started_runs_or_was_stopped()


TestClientSessions = ClientSessions.TestCase
TestClientSessions.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

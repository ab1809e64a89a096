"""Lazy instances and replicas under a supervisor whose reports come late, in any order of events.

No call is lost to a stop for idleness: it fails only if a server failed or the configuration
changed while it waited. The core and the supervisor agree in the end on what runs.
"""

from collections import deque
from typing import TYPE_CHECKING, Any

import attrs
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from router.messages.effects import StartSession, StopSession
from router.messages.frames import Response
from router.messages.instances.instance_spec import InstanceSpec
from tests.router.core.conversation import Conversation, FakeClient, FakeUpstream, SentRequest
from tests.router.core.lazy import runs

if TYPE_CHECKING:
    from collections.abc import Callable

PICK = st.integers(0, 2**16)
IDLE_S = 5.0
FOR_EVER_S = 100_000.0
"""The timeout of calls: none is to fail because time has passed."""


@attrs.define(eq=False)
class Child:
    """A child of the supervisor, as `supervisors.supervisor` keeps it.

    Attributes:
        wanted: what is to run; None to stop it.
        running: what its incarnation was started with.
        commanded: True if a command came since the keeper looked last.
        state: "none", "starting", "up" or "waiting", for the next start.
        upstream: the session that is up.
    """

    wanted: InstanceSpec | None = None
    running: InstanceSpec | None = None
    commanded: bool = False
    state: str = "none"
    upstream: FakeUpstream | None = None


class SupervisedConversation(Conversation):
    """A conversation with a supervisor that acts, and whose reports arrive, when the test says so.

    Attributes:
        children: by name, as long as their keepers run.
        commands: from the core, not yet taken.
        reports: to the core, not yet delivered.
        faults: counts failures of servers, when they happen and when the core hears of them.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.children: dict[str, Child] = {}
        self.commands: deque[StartSession | StopSession] = deque()
        self.reports: deque[Callable[[], object]] = deque()
        self.faults = 0

    def _perform(self, effect: Any) -> None:
        super()._perform(effect)
        if isinstance(effect, (StartSession, StopSession)):
            self.commands.append(effect)

    def supervisor_takes_a_command(self) -> None:
        command = self.commands.popleft()
        starts = isinstance(command, StartSession)
        name = command.spec.name if isinstance(command, StartSession) else command.instance
        child = self.children.setdefault(name, Child())
        child.wanted = command.spec if isinstance(command, StartSession) else None
        assert starts == (child.wanted is not None)
        child.commanded = True

    def keeper_acts(self, name: str, *, fails: bool) -> None:
        child = self.children[name]
        if child.commanded:
            self._obeys(name, child)
        elif fails or child.state == "waiting":
            self._fails_or_retries(name, child)
        elif child.state == "starting":
            child.state = "up"
            number = next(self.ids)
            assert child.running is not None
            start = child.running.start
            self.reports.append(lambda: self._comes_up(name, child, number, start))

    def _obeys(self, name: str, child: Child) -> None:
        was_running = child.state in ("starting", "up")
        child.commanded, child.upstream = False, None
        if child.wanted is None:
            del self.children[name]
            self.reports.append(lambda: self.down(name, "", None))
            return
        if was_running:
            self.reports.append(lambda: self.down(name, "", 0.0))
        child.state, child.running = "starting", child.wanted
        self.reports.append(lambda: self.starting(name))

    def _comes_up(self, name: str, child: Child, number: int, start: int) -> None:
        upstream = self.up(name, "echo", session=number, start=start)
        if self.children.get(name) is child and child.state == "up":
            child.upstream = upstream

    def _fails_or_retries(self, name: str, child: Child) -> None:
        if child.state == "waiting":
            child.state, child.running = "starting", child.wanted
            self.reports.append(lambda: self.starting(name))
            return
        upstream, child.upstream, child.state = child.upstream, None, "waiting"
        self.faults += 1
        self.reports.append(lambda: self._fault_arrives(name, upstream))

    def _fault_arrives(self, name: str, upstream: FakeUpstream | None) -> None:
        self.faults += 1
        if upstream is not None:
            upstream.breaks("killed")
        self.down(name, "killed", 1.0)

    def a_report_arrives(self) -> None:
        self.reports.popleft()()

    def settles(self) -> None:
        """Let the supervisor do what it was told, and its reports arrive, until nothing is left."""
        for _ in range(200):
            while self.commands:
                self.supervisor_takes_a_command()
            for name in list(self.children):
                self.keeper_acts(name, fails=False)
            while self.reports:
                self.a_report_arrives()
            states = {child.state for child in self.children.values()}
            if not self.commands and states <= {"up"}:
                return
        raise AssertionError("the supervisor does not come to rest")


@attrs.define(eq=False)
class Track:
    """A call, and how many faults there were before it."""

    client: FakeClient
    asked: SentRequest
    faults: int


KINDS: dict[str, Any] = {
    "lazy": {"start": "lazy"},
    "lazy and idle": {"start": "lazy", "idle_stop_s": IDLE_S},
    "eager and idle": {"idle_stop_s": IDLE_S},
    "eager": {},
    "two": {"idle_stop_s": IDLE_S, "replicas": 2},
    "three, lazy": {"idle_stop_s": IDLE_S, "replicas": 3, "start": "lazy"},
}


class LazyInstances(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.talk = SupervisedConversation(timeout_s=FOR_EVER_S)
        self.kind = "lazy and idle"
        self.edits = 0
        self.tracks: list[Track] = []
        self.talk.configured(self.configured())
        self.clients = [self.talk.client() for _ in range(2)]

    # --- Clients and servers -----------------------------------------------------------------

    @rule(pick=PICK)
    def a_client_calls(self, pick: int) -> None:
        client = self.clients[pick % len(self.clients)]
        self.tracks.append(Track(client, client.routes("echo"), self.talk.faults))

    @rule(pick=PICK)
    def a_client_cancels(self, pick: int) -> None:
        waiting = [track for track in self.tracks if track.asked.is_waiting]
        if waiting:
            track = waiting[pick % len(waiting)]
            track.client.cancels(track.asked)
            self.tracks.remove(track)

    @rule()
    def the_servers_answer(self) -> None:
        for child in self.talk.children.values():
            if child.upstream is not None and child.state == "up":
                for request in child.upstream.sees():
                    if request.get("method") == "tools/call":
                        child.upstream.answers(request, {"content": []})

    @rule()
    def everything_settles_and_is_answered(self) -> None:
        self.talk.settles()
        self.the_servers_answer()

    # --- The supervisor ----------------------------------------------------------------------

    @precondition(lambda self: self.talk.commands)
    @rule()
    def the_supervisor_takes_a_command(self) -> None:
        self.talk.supervisor_takes_a_command()

    @precondition(lambda self: self.talk.children)
    @rule(pick=PICK, fails=st.sampled_from([False, False, False, True]))
    def a_keeper_acts(self, pick: int, fails: bool) -> None:
        names = list(self.talk.children)
        name = names[pick % len(names)]
        self.talk.keeper_acts(name, fails=fails)

    @precondition(lambda self: self.talk.reports)
    @rule(n=st.integers(1, 3))
    def reports_arrive(self, n: int) -> None:
        for _ in range(min(n, len(self.talk.reports))):
            self.talk.a_report_arrives()

    @precondition(lambda self: any(one.state == "up" for one in self.talk.children.values()))
    @rule(retries=st.booleans(), calls=st.booleans(), settles=st.booleans())
    def a_stop_for_idleness_crosses_a_crash(
        self, retries: bool, calls: bool, settles: bool
    ) -> None:
        self.everything_settles_and_is_answered()
        for name in list(self.talk.children):
            self.talk.keeper_acts(name, fails=True)
            if retries:
                self.talk.keeper_acts(name, fails=False)
        self.talk.time_passes(IDLE_S + 1)
        while self.talk.commands:
            self.talk.supervisor_takes_a_command()
        for name in list(self.talk.children):
            self.talk.keeper_acts(name, fails=False)
        if calls:
            self.a_client_calls(0)
        if settles:
            self.everything_settles_and_is_answered()

    # --- Time and changes --------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1.0, IDLE_S + 1, 40.0]))
    def time_passes(self, seconds: float) -> None:
        self.talk.time_passes(seconds)

    @rule(kind=st.sampled_from([*KINDS, "removed"]), restarts=st.booleans())
    def the_configuration_changes(self, kind: str, restarts: bool) -> None:
        self.kind = kind
        self.talk.faults += 1
        self.edits += restarts
        wanted = () if kind == "removed" else (self.configured(),)
        self.talk.configured(*wanted)

    def configured(self) -> InstanceSpec:
        return runs("a", more={"command": f"v{self.edits}"}, **KINDS[self.kind])

    # --- What must hold ----------------------------------------------------------------------

    @invariant()
    def no_call_is_lost_unless_something_has_failed(self) -> None:
        for track in self.tracks:
            finals = track.asked.finals
            assert len(finals) <= 1
            if finals and track.faults == self.talk.faults and self.kind != "removed":
                assert isinstance(finals[0], Response)
                assert "isError" not in track.asked.result or self.is_down(track), track.asked

    def is_down(self, track: Track) -> bool:
        """Return whether the call came while its instance was down after an earlier fault."""
        code, message = track.asked.tool_error
        return code == "UNAVAILABLE" and "killed" in message

    @invariant()
    def rows_are_where_they_belong(self) -> None:
        state = self.talk.state
        rows = [row for one in state.instances for row in one.replicas]
        assert {id(row) for row in rows} == {id(row) for row in state.replicas.values()}
        for instance in state.instances:
            if instance.state == "idle":
                assert not instance.waiting
                assert not instance.replicas
                assert instance.session is None

    def teardown(self) -> None:
        for _ in range(3):
            self.everything_settles_and_is_answered()
        assert not any(track.asked.is_waiting for track in self.tracks)
        state = self.talk.state
        assert not len(state.parked)
        assert not state.calls.by_id
        self.agrees()
        self.talk.time_passes(2 * IDLE_S + 60)
        self.talk.settles()
        self.agrees()
        if "idle" in self.kind or "replicas" in KINDS.get(self.kind, {}):
            assert not self.talk.children
            assert not state.sessions

    def agrees(self) -> None:
        """Check that the core takes for ready exactly what is up."""
        state = self.talk.state
        rows = [row for row in (*state.instances, *state.replicas.values()) if row.session]
        assert {row.spec.name for row in rows} == set(self.talk.children)
        assert len(state.sessions) == len(rows)


TestLazyInstances = LazyInstances.TestCase
TestLazyInstances.settings = settings(
    max_examples=200,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

"""The core in conversation: fake clients ask, fake upstreams answer, and a clock obeys the test.

A test reads as a conversation:

    talk, alice, upstream = ready()
    call = alice.routes("echo")
    request = upstream.sees_one()
    upstream.answers(request, {"content": []})
    assert call.result == {"content": []}

- A verb in the present tense is an action of its peer: `alice.asks`, `upstream.answers`.
- `talk` brings everything else that happens to the core: `talk.down("a")`, `talk.time_passes(5)`.
- A sent request, or command, shows what came for it: `call.result`, `call.is_waiting`.

The conversation performs the effects of every event at once, into mailboxes that only the test
empties.
"""

from itertools import count
from typing import TYPE_CHECKING, Any

from attrs import evolve

from router.core.core import Core
from router.core.records.call_records import CALLS
from router.core.state.routing_state import RoutingState
from router.messages.catalog import Item
from router.messages.commands import Forwarded, Principal, RouterCommand
from router.messages.core_settings import CoreSettings
from router.messages.effects import (
    CloseClient,
    CloseReply,
    Effect,
    LogLine,
    PinTools,
    Reply,
    SaveCatalogue,
    SaveInstance,
    StartSession,
    StopSession,
    ToClient,
    ToSession,
    WriteRecord,
)
from router.messages.errors import RpcError
from router.messages.events import (
    AdminCommand,
    ClientOpened,
    CoreSettingsChanged,
    Drain,
    Event,
    FromClient,
    InstanceDelayed,
    InstanceDown,
    InstanceFailed,
    InstanceQueued,
    InstanceSaved,
    InstancesChanged,
    InstanceStarting,
    SessionUp,
    Tick,
)
from router.messages.frames import Request
from router.messages.instances.exposure import Exposure
from router.messages.instances.instance_spec import InstanceSpec
from router.messages.observability.records import CallRecord, Record
from router.messages.own_tools.code_runs import EndCode, RunCode
from router.messages.own_tools.search import Found, IndexTools, SearchTools, ToolsFound
from tests.router.core.fake_parts import FakeSeal, FakeTracer
from tests.router.core.fake_peers import (
    EVERYTHING,
    FakeClient,
    FakeUpstream,
    Mailbox,
    Named,
    SentCommand,
    SentRequest,
    StatelessClient,
    catalog_of,
    plain,
    raw,
    value_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "T_S",
    "Conversation",
    "FakeClient",
    "FakeSeal",
    "FakeUpstream",
    "Mailbox",
    "SentCommand",
    "SentRequest",
    "StatelessClient",
    "plain",
    "raw",
    "ready",
    "spec",
    "value_of",
]

TICK = Tick()
T_S = 30.0
"""The timeout of a call in these tests."""


def spec(name: str, **changes: Any) -> InstanceSpec:
    """Return the configuration of a stdio instance of the provider `acme`."""
    settings: dict[str, Any] = {"name": name, "provider": "acme", "command": name}
    return InstanceSpec(**settings | changes)


class Conversation:
    """A core with a clock; it performs every effect at once.

    Attributes:
        now_s: the clock; `time_passes` moves it.
        tracer: gives requests their places in traces, if they are traced.
        started, stopped: the instances that the core had the supervisor start and stop, in order.
        closed: the clients that the core closed -> why.
        replies: the answers to commands and drains, in order.
        logged: the lines that the core had logged, oldest first.
        records: the records that are to be kept, oldest first.
        to_record: the number of requests so far that have to have a record in any case.
        catalogues: the lists that are to be kept, oldest first.
        batches: what the store of pins is to do, oldest first.
        indexed: what the search index is to know, oldest first.
        searches: the searches without results yet, oldest first.
        runs: the runs of code that have begun, and the ends of runs, oldest first.
        saves: the changes that are to be written and were not reported as written yet.
        ids: gives every fake session and client a number.
    """

    def __init__(self, **settings: Any) -> None:
        usual: dict[str, Any] = {"version": "9.9", "timeout_s": T_S, "tool_names": "dotted"}
        self.tracer = FakeTracer()
        self.core = Core(CoreSettings(**usual | settings), FakeSeal(), self.tracer)
        self.now_s = 1000.0
        self.started: list[InstanceSpec] = []
        self.stopped: list[str] = []
        self.closed: dict[str, str] = {}
        self.replies: list[Any] = []
        self.saves: list[SaveInstance] = []
        self.indexed: list[IndexTools] = []
        self.searches: list[SearchTools] = []
        self.runs: list[RunCode | EndCode] = []
        self.batches: list[PinTools] = []
        self.catalogues: list[SaveCatalogue] = []
        self.logged: list[str] = []
        self.records: list[Record] = []
        self.to_record = 0
        self.ids: Iterator[int] = count(1)

    @property
    def state(self) -> RoutingState:
        """The routing state, for tests of what must not pile up."""
        return self.core._state

    def happens(self, event: Event) -> None:
        """Hand an event to the core and perform its effects."""
        self.to_record += self._has_to_be_recorded(event)
        for effect in self.core.handle(event, self.now_s):
            self._perform(effect)

    def _has_to_be_recorded(self, event: Event) -> bool:
        """Return whether an event brings a request that has to have a record when it ends."""
        if isinstance(event, AdminCommand):
            return isinstance(event.what, Forwarded)
        if not isinstance(event, FromClient) or event.client not in self.state.clients:
            return False
        return isinstance(event.frame, Request) and event.frame.method in CALLS

    def _perform(self, effect: Any) -> None:
        match effect:
            case ToClient(_, outbox, frame):
                outbox.send_nowait(frame)
            case ToSession(_, inbox, frame):
                inbox.send_nowait(frame)
            case CloseClient(client, outbox, reason):
                self.closed[client] = reason
                outbox.close()
            case CloseReply(outbox):
                outbox.close()
            case StartSession(started):
                self.started.append(started)
            case StopSession(name):
                self.stopped.append(name)
            case SaveInstance():
                self.saves.append(effect)
            case (
                IndexTools()
                | SearchTools()
                | RunCode()
                | EndCode()
                | PinTools()
                | SaveCatalogue()
                | LogLine()
                | WriteRecord()
            ):
                self._keeps(effect)
            case Reply(outbox, value):
                self.replies.append(value)
                outbox.send_nowait(value)
            case _:
                raise AssertionError(effect)

    def _keeps(self, effect: Effect) -> None:
        if isinstance(effect, PinTools):
            self.batches.append(effect)
        elif isinstance(effect, IndexTools):
            self.indexed.append(effect)
        elif isinstance(effect, SearchTools):
            self.searches.append(effect)
        elif isinstance(effect, (RunCode, EndCode)):
            self.runs.append(effect)
        elif isinstance(effect, SaveCatalogue):
            self.catalogues.append(effect)
        elif isinstance(effect, WriteRecord):
            self.records.append(effect.record)
        elif isinstance(effect, LogLine):
            self.logged.append(effect.text)

    def time_passes(self, seconds: float) -> None:
        """Move the clock; the core gets a `Tick` at each of its deadlines."""
        until_s = self.now_s + seconds
        while (due_s := self.core.next_deadline_s()) is not None and due_s <= until_s:
            self.now_s = max(self.now_s, due_s)
            self.happens(TICK)
        self.now_s = until_s

    def client(
        self,
        name: str | None = None,
        *,
        one_shot: bool = False,
        one_channel: bool = False,
        principal: Principal = EVERYTHING,
        view: str | None = None,
    ) -> FakeClient:
        """Open a client session at a place; `one_shot` opens a lone HTTP request."""
        client = FakeClient(self, name or f"client-{next(self.ids)}", one_channel=one_channel)
        self.happens(ClientOpened(client.id, client.outbox, principal, one_shot, view=view))
        return client

    def stateless_client(
        self, principal: Principal = EVERYTHING, view: str | None = None, **declares: Any
    ) -> StatelessClient:
        """Return a client of 2026-07-28 over HTTP."""
        return StatelessClient(self, "none yet", principal=principal, view=view, declares=declares)

    def stateless_connection(
        self, principal: Principal = EVERYTHING, view: str | None = None, **declares: Any
    ) -> StatelessClient:
        """Return a client of 2026-07-28 on stdio, which may speak handshake revisions as well."""
        name = f"connection-{next(self.ids)}"
        client = StatelessClient(
            self, name, one_channel=True, principal=principal, is_connection=True, declares=declares
        )
        self.happens(ClientOpened(name, client.outbox, principal, era="either", view=view))
        return client

    def settings_change(self, **changes: Any) -> None:
        """Report that the settings are others now."""
        self.happens(CoreSettingsChanged(evolve(self.state.settings, **changes)))

    def admin_asks(self, what: RouterCommand, principal: Principal = EVERYTHING) -> SentCommand:
        """Send a command to the router itself."""
        sent = SentCommand(self, Mailbox())
        self.happens(AdminCommand(principal, what, sent.mailbox))
        return sent

    def change_saved(self, *specs: InstanceSpec, problem: RpcError | None = None) -> SaveInstance:
        """Report that the oldest change was written and what instances there are, or a problem."""
        save = self.saves.pop(0)
        self.happens(InstanceSaved(save.key, None if problem else specs, problem))
        return save

    def found(self, *keys: str, row: str = "a", is_clear: bool = False) -> SearchTools:
        """Report what the oldest search has found: these, by the names in the lists of a row."""
        search = self.searches.pop(0)
        found = tuple(Found(row, search.kind, key) for key in keys)
        self.happens(ToolsFound(search.key, found, is_clear, total=7))
        return search

    def configured(self, *specs: InstanceSpec) -> None:
        """Report that these are the configured instances now."""
        self.happens(InstancesChanged(specs))

    def queued(self, name: str) -> None:
        """Report that an instance waits for its turn to start."""
        self.happens(InstanceQueued(name))

    def starting(self, name: str) -> None:
        """Report that the supervisor began an incarnation."""
        self.happens(InstanceStarting(name))

    def delayed(self, name: str, doing: str) -> None:
        """Report that the start of an instance takes longer than usual."""
        self.happens(InstanceDelayed(name, doing))

    def up(
        self,
        name: str,
        *tools: str | Item,
        capabilities: Any = None,
        session: int | None = None,
        revision: str = "2025-11-25",
        instructions: str | None = None,
        server_info: Any = None,
        start: int | None = None,
        **others: Named,
    ) -> FakeUpstream:
        """Report that the session of an instance is up; `others` are the other lists it offers."""
        number = next(self.ids) if session is None else session
        upstream = FakeUpstream(self, name, number, revision == "2026-07-28")
        self.happens(
            SessionUp(
                instance=name,
                session=upstream.session,
                inbox=upstream.inbox,
                revision=revision,
                capabilities=raw(capabilities or {}),
                server_info=raw({"name": name} if server_info is None else server_info),
                instructions=instructions,
                catalog=catalog_of(tools, **others),
                start=start,
            )
        )
        return upstream

    def down(
        self,
        name: str,
        reason: str = "it ended",
        retry_in_s: float | None = 1.0,
        restarts: int = 0,
    ) -> None:
        """Report that an incarnation ended."""
        self.happens(InstanceDown(name, reason, restarts, retry_in_s))

    def failed(self, name: str, reason: str = "too often", probe_in_s: float = 60.0) -> None:
        """Report that an instance was restarted too often."""
        self.happens(InstanceFailed(name, reason, 5, probe_in_s))

    def drains(self) -> Mailbox:
        """Stop the router; the mailbox gets None when nothing is under way any more."""
        mailbox = Mailbox()
        self.happens(Drain(mailbox))
        return mailbox

    def with_upstreams(self, *names: str, tools: tuple[str, ...] = ("echo",)) -> list[FakeUpstream]:
        """Configure instances of these names and bring their sessions up."""
        self.configured(*map(spec, names))
        for name in names:
            self.starting(name)
        return [self.up(name, *tools) for name in names]

    def with_instance(
        self, name: str, *tools: str | Item, exposure: Exposure | None = None, **more: Any
    ) -> FakeUpstream:
        """Configure one more instance and bring its session up; `more` is for `up`."""
        others = [row.spec for row in self.state.instances if row.name != name]
        self.configured(*others, spec(name, exposure=exposure or Exposure()))
        self.starting(name)
        return self.up(name, *tools, **more)

    def with_stateless_upstream(self, name: str = "a") -> FakeUpstream:
        """Configure one instance that speaks 2026-07-28 and bring it up."""
        self.configured(spec(name))
        self.starting(name)
        return self.up(name, "echo", revision="2026-07-28")

    def call_records(self) -> list[CallRecord]:
        """Return the records of calls since the last time, and forget all records."""
        kept, self.records = self.records, []
        return [record for record in kept if isinstance(record, CallRecord)]

    def list_row(self, name: str) -> dict[str, Any]:
        """Return the row of an instance in `mcp.router.list`."""
        rows = self.client(one_shot=True).calls("mcp.router.list").text
        (row,) = [row for row in rows if row["name"] == name]
        return row


def ready(*names: str, **settings: Any) -> tuple[Conversation, FakeClient, FakeUpstream]:
    """Begin the usual conversation.

    Returns:
        The conversation, a client that has initialized, and the upstream `a`, which is up and has
        the tool `echo`. The instances of `names` are up as well.
    """
    talk = Conversation(**settings)
    upstream = talk.with_upstreams("a", *names)[0]
    client = talk.client()
    client.initializes()
    return talk, client, upstream

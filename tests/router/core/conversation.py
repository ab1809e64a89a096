"""The core in conversation: fake clients ask, fake upstreams answer, a clock that is told the time.

A test reads: client asks, upstream sees, upstream answers, client gets. Everything the core decides
is performed on the spot, into mailboxes that nobody empties but the test.
"""

from collections.abc import Iterator
from itertools import count
from typing import Any

import msgspec
from attrs import define, field
from msgspec import Raw

from router.core.core import Core
from router.core.protocol.bridging import CAPABILITIES_KEY
from router.core.state.routing_state import RoutingState
from router.messages.catalog import Catalog, Item
from router.messages.commands import Principal, RouterCommand
from router.messages.core_settings import CoreSettings
from router.messages.effects import (
    CloseClient,
    CloseReply,
    Reply,
    SaveInstance,
    StartSession,
    StopSession,
    ToClient,
    ToSession,
)
from router.messages.errors import RpcError
from router.messages.events import (
    Abandoned,
    AdminCommand,
    CatalogChanged,
    ClientClosed,
    ClientOpened,
    ClientOverflowed,
    Drain,
    Event,
    FromClient,
    FromSession,
    InstanceDown,
    InstanceFailed,
    InstanceSaved,
    InstancesChanged,
    InstanceStarting,
    SessionLost,
    SessionOverflowed,
    SessionUp,
    Tick,
)
from router.messages.frames import (
    NO_RAW,
    ErrorResponse,
    Frame,
    Notification,
    Request,
    RequestId,
    Response,
)
from router.messages.instance_spec import InstanceSpec
from router.messages.revisions import REVISION_KEY

EVERYTHING = Principal("all")
TICK = Tick()
T_S = 30.0
"""The timeout of a call in these tests."""


def raw(value: Any) -> Raw:
    """JSON, as it comes off a wire; None for an absent value, bytes for exactly these."""
    if value is None:
        return NO_RAW
    return Raw(value if isinstance(value, bytes) else msgspec.json.encode(value))


def value_of(data: Raw) -> Any:
    return msgspec.json.decode(data) if data else None


def plain(frame: Frame) -> dict[str, Any]:
    """A frame as its members, decoded, the absent ones left out."""
    return {
        key: value_of(value) if isinstance(value, Raw) else value
        for key, value in msgspec.structs.asdict(frame).items()
        if value is not None and value != NO_RAW
    }


def tool(name: str) -> Item:
    schema = {"type": "object", "properties": {}}
    return Item(name, raw({"name": name, "description": f"Does {name}", "inputSchema": schema}))


def spec(name: str, **changes: Any) -> InstanceSpec:
    settings: dict[str, Any] = {"name": name, "provider": "acme", "command": name}
    return InstanceSpec(**settings | changes)


@define(eq=False)
class FakeSeal:
    """Remembers what it sealed, under a number."""

    sealed: dict[str, tuple[bytes, bytes]] = field(factory=dict[str, tuple[bytes, bytes]])

    def seal(self, secret: bytes, context: bytes) -> str:
        key = f"sealed-{len(self.sealed)}"
        self.sealed[key] = (secret, context)
        return key

    def unseal(self, sealed: str, context: bytes) -> bytes:
        secret, wanted = self.sealed.get(sealed, (b"", None))
        if context != wanted:
            raise ValueError(sealed)
        return secret


@define(eq=False)
class Mailbox:
    """An outbox; what was sent into it waits here to be looked at."""

    waiting: list[Any] = field(factory=list[Any])
    closed: bool = False

    def send_nowait(self, value: Any, /) -> None:
        assert not self.closed, f"{value} sent into a closed mailbox"
        self.waiting.append(value)

    def close(self) -> None:
        self.closed = True

    def take(self) -> list[dict[str, Any]]:
        """Everything that came since the last time, decoded."""
        taken, self.waiting = self.waiting, []
        return [plain(frame) for frame in taken]


@define(eq=False)
class SentRequest:
    """A request of a client, and what came for it."""

    id: RequestId
    mailbox: Mailbox

    @property
    def finals(self) -> list[Response | ErrorResponse]:
        mine = [frame for frame in self.mailbox.waiting if getattr(frame, "id", None) == self.id]
        return [frame for frame in mine if isinstance(frame, (Response, ErrorResponse))]

    @property
    def is_waiting(self) -> bool:
        return not self.finals and not self.mailbox.closed

    @property
    def result(self) -> Any:
        (final,) = self.finals
        assert isinstance(final, Response), plain(final)
        return value_of(final.result)

    @property
    def result_bytes(self) -> bytes:
        """The bytes of the result."""
        (final,) = self.finals
        assert isinstance(final, Response), plain(final)
        return bytes(final.result)

    @property
    def error(self) -> Any:
        (final,) = self.finals
        assert isinstance(final, ErrorResponse), plain(final)
        return value_of(final.error)

    @property
    def text(self) -> Any:
        """What the one text of a tool result says, decoded."""
        (content,) = self.result["content"]
        assert content["type"] == "text"
        return msgspec.json.decode(content["text"])

    @property
    def tool_error(self) -> tuple[str, str]:
        """Code and message of a tool result that is an error."""
        assert self.result["isError"] is True, self.result
        assert list(self.text) == ["error", "code"]
        return self.text["code"], self.text["error"]


@define(eq=False)
class FakeClient:
    """A client session. With `one_channel` all goes through its outbox, as on stdio."""

    talk: "Conversation"
    id: str
    outbox: Mailbox = field(factory=Mailbox)
    one_channel: bool = False
    _ids: Iterator[int] = field(factory=lambda: count(1))

    def asks(self, method: str, params: Any = None, id: RequestId | None = None) -> SentRequest:  # noqa: A002
        asked = SentRequest(
            next(self._ids) if id is None else id, self.outbox if self.one_channel else Mailbox()
        )
        request = Request(asked.id, method, raw(params))
        self.talk.happens(FromClient(self.id, request, asked.mailbox))
        return asked

    def calls(self, name: str, arguments: Any = None, **more: Any) -> SentRequest:
        """`tools/call`, with `more` members of its params."""
        request_id = more.pop("id", None)
        given = {} if arguments is None else {"arguments": arguments}
        return self.asks("tools/call", {"name": name} | given | more, request_id)

    def routes(self, tool_name: str, instance: str = "a", **more: Any) -> SentRequest:
        """`mcp.router.call`."""
        arguments = {"instance_name": instance, "tool_name": tool_name, "arguments": {"x": 1}}
        return self.calls("mcp.router.call", arguments, **more)

    def uses(self, instance: str = "a") -> SentRequest:
        return self.calls("mcp.router.use", {"instance_name": instance})

    def lists(self) -> list[str]:
        """The names of the tools it sees."""
        return [one["name"] for one in self.asks("tools/list").result["tools"]]

    def initializes(self, revision: str = "2025-11-25", **capabilities: Any) -> SentRequest:
        params = {"protocolVersion": revision, "capabilities": capabilities}
        return self.asks("initialize", params)

    def says(self, method: str, params: Any = None) -> None:
        self._sends(Notification(method, raw(params)))

    def cancels(self, asked: SentRequest, **more: Any) -> None:
        self.says("notifications/cancelled", {"requestId": asked.id} | more)

    def answers(self, question: dict[str, Any], result: Any) -> None:
        self._sends(Response(question["id"], raw(result)))

    def refuses(self, question: dict[str, Any], error: Any) -> None:
        self._sends(ErrorResponse(question["id"], raw(error)))

    def _sends(self, frame: Frame) -> None:
        self.talk.happens(FromClient(self.id, frame, Mailbox()))

    def leaves(self, reason: str = "bye") -> None:
        self.talk.happens(ClientClosed(self.id, reason))

    def overflows(self) -> None:
        self.talk.happens(ClientOverflowed(self.id))


@define(eq=False)
class StatelessClient(FakeClient):
    """A client of 2026-07-28: on HTTP each request is a client of its own, or all on a connection.

    `declares` and `meta` are what its next requests say of it.
    """

    principal: Principal = EVERYTHING
    is_connection: bool = False
    declares: dict[str, Any] = field(factory=dict[str, Any])
    meta: dict[str, Any] = field(factory=dict[str, Any])

    def asks(self, method: str, params: Any = None, id: RequestId | None = None) -> SentRequest:  # noqa: A002
        envelope = {REVISION_KEY: "2026-07-28", CAPABILITIES_KEY: self.declares} | self.meta
        params = params or {}
        params = params | {"_meta": envelope | params.get("_meta", {})}
        if self.is_connection:
            return super().asks(method, params, id)
        self.id = f"request-{next(self.talk.ids)}"
        opened = ClientOpened(self.id, Mailbox(), self.principal, one_shot=True, era="stateless")
        self.talk.happens(opened)
        return super().asks(method, params, id)

    def retries(self, asked: SentRequest, answers: dict[str, Any], **changes: Any) -> SentRequest:
        """The same call again, with what `asked` wanted to know."""
        state = {"requestState": asked.result["requestState"]} | changes.pop("state", {})
        return self.routes(**{"tool_name": "echo"} | changes, inputResponses=answers, **state)


@define(eq=False)
class SentCommand:
    """A question to the router itself, and the one value that came for it."""

    talk: "Conversation"
    mailbox: Mailbox

    @property
    def is_waiting(self) -> bool:
        return not self.mailbox.waiting

    @property
    def answer(self) -> Any:
        (answer,) = self.mailbox.waiting
        assert not isinstance(answer, RpcError), answer
        return answer

    @property
    def error(self) -> RpcError:
        (error,) = self.mailbox.waiting
        assert isinstance(error, RpcError), error
        return error

    def abandons(self) -> None:
        self.talk.happens(Abandoned(self.mailbox))


@define(eq=False)
class FakeUpstream:
    """One incarnation of an upstream session."""

    talk: "Conversation"
    instance: str
    session: int
    is_stateless: bool = False
    inbox: Mailbox = field(factory=Mailbox)

    def sees(self) -> list[dict[str, Any]]:
        return self.inbox.take()

    def sees_one(self) -> dict[str, Any]:
        (seen,) = self.sees()
        return seen

    def answers(self, request: dict[str, Any], result: Any) -> None:
        self.sends(Response(request["id"], raw(result)))

    def fails(self, request: dict[str, Any], error: Any) -> None:
        self.sends(ErrorResponse(request["id"], raw(error)))

    def asks(
        self,
        method: str,
        params: Any = None,
        id: RequestId = 1,  # noqa: A002
        related: RequestId | None = None,
    ) -> None:
        self.sends(Request(id, method, raw(params)), related)

    def says(self, method: str, params: Any = None, related: RequestId | None = None) -> None:
        self.sends(Notification(method, raw(params)), related)

    def sends(self, frame: Frame, related: RequestId | None = None) -> None:
        self.talk.happens(FromSession(self.session, frame, related))

    def lists(self, *tools: str) -> None:
        self.talk.happens(CatalogChanged(self.session, Catalog(tools=tuple(map(tool, tools)))))

    def breaks(self, reason: str = "it broke") -> None:
        self.talk.happens(SessionLost(self.session, reason))

    def overflows(self, frame: Frame, *, lost: bool = False) -> None:
        self.talk.happens(SessionOverflowed(self.session, frame, lost))


class Conversation:
    """A core, with what it has commanded and a clock."""

    def __init__(self, **settings: Any) -> None:
        usual: dict[str, Any] = {"version": "9.9", "timeout_s": T_S}
        self.core = Core(CoreSettings(**usual | settings), FakeSeal())
        self.now_s = 1000.0
        self.started: list[InstanceSpec] = []
        self.stopped: list[str] = []
        self.closed: dict[str, str] = {}
        self.replies: list[Any] = []
        self.saves: list[SaveInstance] = []
        self.ids = count(1)

    @property
    def state(self) -> RoutingState:
        """For tests of what must not pile up."""
        return self.core._state

    def happens(self, event: Event) -> None:
        for effect in self.core.handle(event, self.now_s):
            self._perform(effect)

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
            case Reply(outbox, value):
                self.replies.append(value)
                outbox.send_nowait(value)
            case _:
                raise AssertionError(effect)

    def time_passes(self, seconds: float) -> None:
        """Time goes by; the core is woken whenever it wants to be."""
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
    ) -> FakeClient:
        client = FakeClient(self, name or f"client-{next(self.ids)}", one_channel=one_channel)
        self.happens(ClientOpened(client.id, client.outbox, principal, one_shot))
        return client

    def stateless_client(
        self, principal: Principal = EVERYTHING, **declares: Any
    ) -> StatelessClient:
        """A client of 2026-07-28 over HTTP."""
        return StatelessClient(self, "none yet", principal=principal, declares=declares)

    def stateless_connection(
        self, principal: Principal = EVERYTHING, **declares: Any
    ) -> StatelessClient:
        """A client of 2026-07-28 on stdio, which may speak of a handshake as well."""
        name = f"connection-{next(self.ids)}"
        client = StatelessClient(
            self, name, one_channel=True, principal=principal, is_connection=True, declares=declares
        )
        self.happens(ClientOpened(name, client.outbox, principal, era="either"))
        return client

    def admin_asks(self, what: RouterCommand, principal: Principal = EVERYTHING) -> SentCommand:
        commanded = SentCommand(self, Mailbox())
        self.happens(AdminCommand(principal, what, commanded.mailbox))
        return commanded

    def change_saved(self, *specs: InstanceSpec, problem: RpcError | None = None) -> SaveInstance:
        """The oldest change has been written, and these are the instances; or it was not."""
        save = self.saves.pop(0)
        self.happens(InstanceSaved(save.key, None if problem else specs, problem))
        return save

    def configured(self, *specs: InstanceSpec) -> None:
        self.happens(InstancesChanged(specs))

    def starting(self, name: str) -> None:
        self.happens(InstanceStarting(name))

    def up(
        self,
        name: str,
        *tools: str,
        capabilities: Any = None,
        session: int | None = None,
        revision: str = "2025-11-25",
    ) -> FakeUpstream:
        """The session of an instance that has begun is ready."""
        number = next(self.ids) if session is None else session
        upstream = FakeUpstream(self, name, number, revision == "2026-07-28")
        catalog = Catalog(tools=tuple(map(tool, tools)))
        self.happens(
            SessionUp(
                instance=name,
                session=upstream.session,
                inbox=upstream.inbox,
                revision=revision,
                capabilities=raw(capabilities or {}),
                server_info=raw({"name": name}),
                instructions=None,
                catalog=catalog,
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
        self.happens(InstanceDown(name, reason, restarts, retry_in_s))

    def failed(self, name: str, reason: str = "too often", probe_in_s: float = 60.0) -> None:
        self.happens(InstanceFailed(name, reason, 5, probe_in_s))

    def drains(self) -> Mailbox:
        mailbox = Mailbox()
        self.happens(Drain(mailbox))
        return mailbox

    def with_upstreams(self, *names: str, tools: tuple[str, ...] = ("echo",)) -> list[FakeUpstream]:
        """Instances of these names, all ready."""
        self.configured(*map(spec, names))
        for name in names:
            self.starting(name)
        return [self.up(name, *tools) for name in names]

    def with_stateless_upstream(self, name: str = "a") -> FakeUpstream:
        """One instance that has no sessions, ready."""
        self.configured(spec(name))
        self.starting(name)
        return self.up(name, "echo", revision="2026-07-28")

    def list_row(self, name: str) -> dict[str, Any]:
        """What `mcp.router.list` shows of an instance."""
        rows = self.client(one_shot=True).calls("mcp.router.list").text
        (row,) = [row for row in rows if row["name"] == name]
        return row


def ready(*names: str, **settings: Any) -> tuple[Conversation, FakeClient, FakeUpstream]:
    """The usual beginning: a conversation, an initialized client, an instance `a` with `echo`."""
    talk = Conversation(**settings)
    upstream = talk.with_upstreams("a", *names)[0]
    client = talk.client()
    client.initializes()
    return talk, client, upstream

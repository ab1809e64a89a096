"""The peers of the core in its tests: clients, upstreams, and senders of commands.

Each of them turns a method call into an event, and keeps the frames that come back in a mailbox.
A test gets them from a `Conversation`.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Any, Protocol, TypeAlias

import msgspec
from attrs import define, field
from msgspec import Raw

from router.core.protocol.bridging import CAPABILITIES_KEY
from router.messages.catalog import Catalog, Item
from router.messages.commands import Principal
from router.messages.errors import TRANSPORT_ERROR, RpcError
from router.messages.events import (
    Abandoned,
    CatalogChanged,
    ClientClosed,
    ClientOpened,
    ClientOverflowed,
    Event,
    FromClient,
    FromSession,
    RequestFailed,
    SessionLost,
    SessionOverflowed,
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
from router.messages.params import Params
from router.messages.revisions import REVISION_KEY

EVERYTHING = Principal("all")
"""A principal that may do everything."""


def raw(value: Any) -> Raw:
    """Encode JSON as it comes off a wire; None becomes the absent value, bytes stay as they are."""
    if value is None:
        return NO_RAW
    return Raw(value if isinstance(value, bytes) else msgspec.json.encode(value))


def value_of(data: Raw) -> Any:
    """Decode raw JSON; the absent value becomes None."""
    return msgspec.json.decode(data) if data else None


def plain(frame: Frame) -> dict[str, Any]:
    """Return the members of a frame, decoded, without the absent ones."""
    return {
        key: value_of(value) if isinstance(value, Raw) else value
        for key, value in msgspec.structs.asdict(frame).items()
        if value is not None and value != NO_RAW
    }


def tool(name: str) -> Item:
    """Return a tool of this name that takes any arguments."""
    schema = {"type": "object", "properties": {}}
    return Item(name, raw({"name": name, "description": f"Does {name}", "inputSchema": schema}))


def prompt(name: str) -> Item:
    """Return a prompt of this name."""
    return Item(name, raw({"name": name, "description": f"Asks for {name}"}))


def resource(uri: str) -> Item:
    """Return a resource of this URI."""
    return Item(uri, raw({"uri": uri, "name": f"at {uri[:20]}"}))


def template(uri: str) -> Item:
    """Return a resource template of this URI template."""
    return Item(uri, raw({"uriTemplate": uri, "name": f"like {uri[:20]}"}))


Named: TypeAlias = "Iterable[str | Item]"
"""Items, or the names or URIs of items whose other members do not matter."""


def catalog_of(
    tools: Named = (), prompts: Named = (), resources: Named = (), templates: Named = ()
) -> Catalog:
    """Return a catalog of these items."""
    return Catalog(
        _items(tool, tools),
        _items(prompt, prompts),
        _items(resource, resources),
        _items(template, templates),
    )


def _items(make: Callable[[str], Item], named: Named) -> tuple[Item, ...]:
    return tuple(make(one) if isinstance(one, str) else one for one in named)


MEMBERS = {
    "tools": ("tools/list", "tools", "name"),
    "prompts": ("prompts/list", "prompts", "name"),
    "resources": ("resources/list", "resources", "uri"),
    "templates": ("resources/templates/list", "resourceTemplates", "uriTemplate"),
}
"""Part of a catalog -> the request for it, the member that holds it, and the key of an item."""


class Talk(Protocol):
    """The conversation, as its peers see it."""

    ids: Iterator[int]

    def happens(self, event: Event) -> None: ...

    def up(self, name: str, *tools: str) -> "FakeUpstream": ...


@define(eq=False)
class Mailbox:
    """An outbox that keeps what was sent into it until the test takes it."""

    waiting: list[Any] = field(factory=list[Any])
    closed: bool = False

    def send_nowait(self, value: Any, /) -> None:
        assert not self.closed, f"{value} sent into a closed mailbox"
        self.waiting.append(value)

    def close(self) -> None:
        self.closed = True

    def take(self) -> list[dict[str, Any]]:
        """Return the frames that came since the last time, decoded."""
        taken, self.waiting = self.waiting, []
        return [plain(frame) for frame in taken]


@define(eq=False)
class SentRequest:
    """A request that a client has sent, and the frames that came for it.

    The properties for answers fail the test unless exactly one answer of that kind came.
    """

    id: RequestId
    mailbox: Mailbox

    @property
    def finals(self) -> list[Response | ErrorResponse]:
        """The answers to this request: none while it waits, and never more than one."""
        mine = [frame for frame in self.mailbox.waiting if getattr(frame, "id", None) == self.id]
        return [frame for frame in mine if isinstance(frame, (Response, ErrorResponse))]

    @property
    def is_waiting(self) -> bool:
        """True while an answer may still come."""
        return not self.finals and not self.mailbox.closed

    @property
    def result(self) -> Any:
        """The result, decoded."""
        return value_of(self._response.result)

    @property
    def result_bytes(self) -> bytes:
        """The bytes of the result."""
        return bytes(self._response.result)

    @property
    def _response(self) -> Response:
        (final,) = self.finals
        assert isinstance(final, Response), plain(final)
        return final

    @property
    def error(self) -> Any:
        """The JSON-RPC error, decoded."""
        (final,) = self.finals
        assert isinstance(final, ErrorResponse), plain(final)
        return value_of(final.error)

    @property
    def text(self) -> Any:
        """The only text of a tool result, decoded from JSON."""
        (content,) = self.result["content"]
        assert content["type"] == "text"
        return msgspec.json.decode(content["text"])

    @property
    def tool_error(self) -> tuple[str, str]:
        """The string code and the message of a tool result that is an error."""
        assert self.result["isError"] is True, self.result
        assert list(self.text) == ["error", "code"]
        return self.text["code"], self.text["error"]


@define(eq=False)
class FakeClient:
    """A client session; each method sends one message to the core.

    With `one_channel` its answers come through its outbox as well, as on stdio. `forwards` are the
    headers of its requests that some instance forwards.
    """

    talk: Talk
    id: str
    outbox: Mailbox = field(factory=Mailbox)
    one_channel: bool = False
    forwards: dict[str, str] | None = None
    _ids: Iterator[int] = field(factory=lambda: count(1))

    def asks(self, method: str, params: Any = None, id: RequestId | None = None) -> SentRequest:  # noqa: A002
        """Send a request."""
        mailbox = self.outbox if self.one_channel else Mailbox()
        sent = SentRequest(next(self._ids) if id is None else id, mailbox)
        frame = Request(sent.id, method, raw(params))
        read = None if self.forwards is None else Params(frame.params, forwarded=self.forwards)
        self.talk.happens(FromClient(self.id, frame, mailbox, read))
        return sent

    def calls(self, name: str, arguments: Any = None, **more: Any) -> SentRequest:
        """Call a tool by the name in its list; `more` are other members of `params`, or an id."""
        request_id = more.pop("id", None)
        optional = {} if arguments is None else {"arguments": arguments}
        return self.asks("tools/call", {"name": name} | optional | more, request_id)

    def routes(self, tool_name: str, instance: str = "a", **more: Any) -> SentRequest:
        """Call a tool of an instance through `mcp.router.call`."""
        arguments = {"instance_name": instance, "tool_name": tool_name, "arguments": {"x": 1}}
        return self.calls("mcp.router.call", arguments, **more)

    def uses(self, instance: str = "a") -> SentRequest:
        """Select an instance with `mcp.router.use`."""
        return self.calls("mcp.router.use", {"instance_name": instance})

    def lists(self, part: str = "tools") -> list[str]:
        """List the tools, or another part of a catalog, and return names or URIs."""
        method, member, key = MEMBERS[part]
        return [item[key] for item in self.asks(method).result[member]]

    def reads(self, uri: str, **more: Any) -> SentRequest:
        """Read a resource."""
        return self.asks("resources/read", {"uri": uri} | more)

    def hears(self) -> list[str]:
        """Return the methods of the notifications of its session since the last time."""
        return [frame["method"] for frame in self.outbox.take() if "method" in frame]

    def initializes(self, revision: str = "2025-11-25", **capabilities: Any) -> SentRequest:
        params = {"protocolVersion": revision, "capabilities": capabilities}
        return self.asks("initialize", params)

    def says(self, method: str, params: Any = None) -> None:
        """Send a notification."""
        self._sends(Notification(method, raw(params)))

    def cancels(self, asked: SentRequest, **more: Any) -> None:
        self.says("notifications/cancelled", {"requestId": asked.id} | more)

    def answers(self, question: dict[str, Any], result: Any) -> None:
        """Answer a request of an upstream."""
        self._sends(Response(question["id"], raw(result)))

    def refuses(self, question: dict[str, Any], error: Any) -> None:
        """Answer a request of an upstream with an error."""
        self._sends(ErrorResponse(question["id"], raw(error)))

    def _sends(self, frame: Frame) -> None:
        self.talk.happens(FromClient(self.id, frame, Mailbox()))

    def leaves(self, reason: str = "bye") -> None:
        """Close the session, as its listener reports it."""
        self.talk.happens(ClientClosed(self.id, reason))

    def overflows(self) -> None:
        """Have no room for a frame, as the dispatch actor reports it."""
        self.talk.happens(ClientOverflowed(self.id))


@define(eq=False)
class StatelessClient(FakeClient):
    """A client of 2026-07-28, whose requests carry an envelope.

    On HTTP the core sees each request as a client; with `is_connection` all of them come over
    one stdio connection.

    Attributes:
        view: the place that it asks for.
        declares: the capabilities in the envelope of its next requests.
        meta: replaces or adds members of that envelope.
    """

    principal: Principal = EVERYTHING
    view: str | None = None
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
        self.talk.happens(
            ClientOpened(
                self.id,
                Mailbox(),
                self.principal,
                one_shot=True,
                era="stateless",
                view=self.view,
            )
        )
        return super().asks(method, params, id)

    def retries(self, asked: SentRequest, answers: dict[str, Any], **changes: Any) -> SentRequest:
        """Send the same call again, with the answers that the result of `asked` requires."""
        state = {"requestState": asked.result["requestState"]} | changes.pop("state", {})
        return self.routes(**{"tool_name": "echo"} | changes, inputResponses=answers, **state)


@define(eq=False)
class SentCommand:
    """A command to the router itself, and the only value that came for it."""

    talk: Talk
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
        """Wait no more for the answer."""
        self.talk.happens(Abandoned(self.mailbox))


@define(eq=False)
class FakeUpstream:
    """One incarnation of an upstream session; most methods send one message to the core."""

    talk: Talk
    instance: str
    session: int
    is_stateless: bool = False
    inbox: Mailbox = field(factory=Mailbox)

    def sees(self) -> list[dict[str, Any]]:
        """Return the frames that it got since the last time, decoded."""
        return self.inbox.take()

    def sees_one(self) -> dict[str, Any]:
        """Return the only frame that it got since the last time."""
        (seen,) = self.sees()
        return seen

    def answers(self, request: dict[str, Any], result: Any) -> None:
        """Answer a request that it saw."""
        self.sends(Response(request["id"], raw(result)))

    def fails(self, request: dict[str, Any], error: Any) -> None:
        """Answer a request that it saw with an error."""
        self.sends(ErrorResponse(request["id"], raw(error)))

    def fails_to_answer(
        self,
        request: dict[str, Any],
        status: int | None = 503,
        retry_after_s: float | None = None,
        *,
        reason: str = "URL answered 503",
        code: int = TRANSPORT_ERROR,
        own_error: Any = None,
    ) -> None:
        """Fail to answer a request that it saw, as its session reports it."""
        answer = None if own_error is None else ErrorResponse(request["id"], raw(own_error))
        error = RpcError(code, reason)
        self.talk.happens(
            RequestFailed(self.session, request["id"], error, status, retry_after_s, answer)
        )

    def asks(
        self,
        method: str,
        params: Any = None,
        id: RequestId = 1,  # noqa: A002
        related: RequestId | None = None,
    ) -> None:
        """Ask a client something, on the response stream of the call `related` if that is given."""
        self.sends(Request(id, method, raw(params)), related)

    def says(self, method: str, params: Any = None, related: RequestId | None = None) -> None:
        """Send a notification."""
        self.sends(Notification(method, raw(params)), related)

    def sends(self, frame: Frame, related: RequestId | None = None) -> None:
        self.talk.happens(FromSession(self.session, frame, related))

    def lists(
        self,
        *tools: str | Item,
        announced: Iterable[str] = (),
        problems: tuple[str, ...] = (),
        **others: Named,
    ) -> None:
        """Offer other lists than before, as its session reports after a `list_changed`."""
        catalog = msgspec.structs.replace(catalog_of(tools, **others), problems=problems)
        self.talk.happens(CatalogChanged(self.session, catalog, frozenset(announced)))

    def breaks(self, reason: str = "it broke") -> None:
        """Lose its wire, as its session reports it."""
        self.talk.happens(SessionLost(self.session, reason))

    def overflows(self, frame: Frame, *, lost: bool = False) -> None:
        """Have no room for a frame, or be gone, as the dispatch actor reports it."""
        self.talk.happens(SessionOverflowed(self.session, frame, lost))

"""The frozen vocabularies everything here is said in: frames, events, effects.

Job: name every message that crosses a memory channel. Neighbours: all rooms but `supervisors`
import it; `admin`, `configured` and `errors` below.

Invariants:

- A *frame* is one JSON-RPC message: an envelope of a few routing fields around raw JSON. What is
  raw is never modelled; it goes out as it came in (see `transports.frames` for bytes).
- *Events* go into the core, *effects* come out of it. Both are data; neither does anything.
- A *handle* (`Outbox`) is opaque to the core: it stores handles and names them again in effects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias

from msgspec import Raw, Struct

from router.admin import Principal
from router.configured import InstanceSpec as InstanceSpec  # noqa: TC001 -- named from here too

if TYPE_CHECKING:
    from router.admin import Change, Question
    from router.configured import CoreSettings
    from router.errors import RpcError

HANDSHAKE_REVISIONS: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
"""MCP protocol revisions with `initialize` and sessions, oldest first."""

LATEST_HANDSHAKE_REVISION: Final = HANDSHAKE_REVISIONS[-1]

STATELESS_REVISION: Final = "2026-07-28"
"""The revision without sessions: each request says of itself what a handshake would have."""

REVISIONS: Final = (*HANDSHAKE_REVISIONS, STATELESS_REVISION)
"""All that clients may speak, oldest first."""

KEY_PREFIX: Final = "io.modelcontextprotocol/"
REVISION_KEY: Final = f"{KEY_PREFIX}protocolVersion"
"""Member of `params._meta` that makes a message one of 2026-07-28 or later."""

LISTEN_METHOD: Final = "subscriptions/listen"
"""The request that goes on until it is left, or the server stops (MCP 2026-07-28)."""

DEFAULT_REVISION: Final = "2025-03-26"
"""What an HTTP request without `MCP-Protocol-Version` speaks (MCP 2025-11-25, Transports)."""

Era: TypeAlias = Literal["handshake", "stateless", "either"]
"""Of requests: with `initialize` before them, of 2026-07-28, or each as it says itself (stdio)."""

RequestId: TypeAlias = int | str
ClientId: TypeAlias = str
"""A client session, as minted by its listener: 32 hex digits, unguessable, unique for good."""
SessionId: TypeAlias = int
"""One incarnation of an upstream session; a restart gets a new one."""

NO_RAW: Final = Raw()
"""The absent raw value (zero bytes)."""


# --- Frames: one JSON-RPC message each -------------------------------------------------------


class Request(Struct, frozen=True, gc=False):
    """A JSON-RPC request. `params` is a raw JSON object, or `NO_RAW`."""

    id: RequestId
    method: str
    params: Raw = NO_RAW


class Notification(Struct, frozen=True, gc=False):
    """A JSON-RPC notification. `params` is a raw JSON object, or `NO_RAW`."""

    method: str
    params: Raw = NO_RAW


class Response(Struct, frozen=True, gc=False):
    """A successful JSON-RPC response; `result` is any raw JSON value."""

    id: RequestId
    result: Raw


class ErrorResponse(Struct, frozen=True, gc=False):
    """A failed JSON-RPC response; `error` is the raw error object (`code`, `message`, `data`).

    `id` is None where the request's id could not be read (JSON-RPC 2.0 section 5).
    """

    id: RequestId | None
    error: Raw


Frame: TypeAlias = Request | Notification | Response | ErrorResponse


class Outbox(Protocol):
    """A way to one peer or waiting task: the send end of a bounded memory channel."""

    def send_nowait(self, value: Any, /) -> None:
        """Queue `value`; raises `trio.WouldBlock` when full, `BrokenResourceError` when gone."""
        ...

    def close(self) -> None:
        """End the channel: the reader gets what is queued, then its end. Twice is once."""
        ...


# --- What an upstream offers -----------------------------------------------------------------


class Item(Struct, frozen=True, gc=False):
    """One tool, prompt, resource or template: `key` is its name or URI, `raw` all of it."""

    key: str
    raw: Raw


class Catalog(Struct, frozen=True, gc=False):
    """Everything an upstream offers, in its own order."""

    tools: tuple[Item, ...] = ()
    prompts: tuple[Item, ...] = ()
    resources: tuple[Item, ...] = ()
    templates: tuple[Item, ...] = ()


# --- Events into the core --------------------------------------------------------------------


class ClientOpened(Struct, frozen=True):
    """A client session exists from here on.

    `outbox` takes what belongs to no request. `one_shot` marks a lone HTTP request: it may call
    without `initialize` and is closed after its answer. `era` is what its requests have to be.
    """

    client: ClientId
    outbox: Outbox
    principal: Principal = Principal()
    one_shot: bool = False
    era: Era = "handshake"


class ClientClosed(Struct, frozen=True):
    """The client is gone; its calls in flight are cancelled upstream."""

    client: ClientId
    reason: str = ""


class ClientOverflowed(Struct, frozen=True):
    """A frame did not fit into one of the client's outboxes: it reads too slowly."""

    client: ClientId


class FromClient(Struct, frozen=True):
    """A frame from a client. `reply_to` takes what belongs to it: progress, then its answer."""

    client: ClientId
    frame: Frame
    reply_to: Outbox


class SessionUp(Struct, frozen=True):
    """An upstream session finished its handshake and listing; `inbox` takes frames for it.

    `capabilities` and `server_info` are raw, of its `initialize` or `server/discover` result.
    """

    instance: str
    session: SessionId
    inbox: Outbox
    revision: str
    capabilities: Raw
    server_info: Raw
    instructions: str | None
    catalog: Catalog

    @property
    def is_stateless(self) -> bool:
        """Does it know no session, but what each request says of its client?"""
        return self.revision == STATELESS_REVISION


class SessionLost(Struct, frozen=True):
    """The wire of this incarnation broke; said by the session before it cleans up."""

    session: SessionId
    reason: str


class SessionOverflowed(Struct, frozen=True):
    """A frame did not fit into the session's inbox, or the session is gone (`lost`)."""

    session: SessionId
    frame: Frame
    lost: bool = False


class FromSession(Struct, frozen=True):
    """A frame from an upstream.

    `related` is the id of the request on whose response stream a server's own request or
    notification came (HTTP only), else None.
    """

    session: SessionId
    frame: Frame
    related: RequestId | None = None


class CatalogChanged(Struct, frozen=True):
    """The upstream said `list_changed` and was listed anew."""

    session: SessionId
    catalog: Catalog


class InstanceStarting(Struct, frozen=True):
    """The supervisor began an incarnation of this instance's session."""

    instance: str


class InstanceDown(Struct, frozen=True):
    """An incarnation ended; `retry_in_s` is None when it is not to be restarted."""

    instance: str
    reason: str
    restarts: int
    retry_in_s: float | None


class InstanceFailed(Struct, frozen=True):
    """Restarted too often: one probe per cool-down from here on."""

    instance: str
    reason: str
    restarts: int
    probe_in_s: float


class InstancesChanged(Struct, frozen=True):
    """The whole set of configured instances, at start and after every change on disk."""

    specs: tuple[InstanceSpec, ...]


class CoreSettingsChanged(Struct, frozen=True):
    """`config.json` changed in what concerns the core; it holds from now on."""

    settings: CoreSettings


class InstanceSaved(Struct, frozen=True):
    """The end of a `SaveInstance`.

    Attributes:
        key: of that effect.
        specs: all instances, as they are configured now; None when nothing was changed.
        problem: why nothing was changed; None when the change is safely on disk.
    """

    key: int
    specs: tuple[InstanceSpec, ...] | None = None
    problem: RpcError | None = None


class AdminCommand(Struct, frozen=True):
    """A question or order of our own, such as from the REST API.

    Attributes:
        principal: who asks.
        what: the question; what is answered stands with it.
        reply_to: gets exactly one value, the answer or an `RpcError`, unless it is `Abandoned`
            before; it is for this one command alone.
    """

    principal: Principal
    what: Question
    reply_to: Outbox


class Abandoned(Struct, frozen=True):
    """Nobody waits for an `AdminCommand`'s answer any more; a call is cancelled upstream."""

    reply_to: Outbox


class Drain(Struct, frozen=True):
    """Take no new calls; `reply_to` gets None once no call is in flight."""

    reply_to: Outbox


class Tick(Struct, frozen=True):
    """Time has passed; deadlines may be due."""


Event: TypeAlias = (
    ClientOpened
    | ClientClosed
    | ClientOverflowed
    | FromClient
    | SessionUp
    | SessionLost
    | SessionOverflowed
    | FromSession
    | CatalogChanged
    | InstanceStarting
    | InstanceDown
    | InstanceFailed
    | InstancesChanged
    | CoreSettingsChanged
    | InstanceSaved
    | AdminCommand
    | Abandoned
    | Drain
    | Tick
)


# --- Effects out of the core -----------------------------------------------------------------


class ToClient(Struct, frozen=True):
    """Send `frame` to a client through `outbox` (a request's `reply_to` or its own outbox)."""

    client: ClientId
    outbox: Outbox
    frame: Frame


class CloseClient(Struct, frozen=True):
    """End this client's session; its listener sees `outbox` end."""

    client: ClientId
    outbox: Outbox
    reason: str


class CloseReply(Struct, frozen=True):
    """No answer will come on this `reply_to`: its request was cancelled, or its client is gone."""

    outbox: Outbox


class ToSession(Struct, frozen=True):
    """Send `frame` to an upstream session."""

    session: SessionId
    inbox: Outbox
    frame: Frame


class StartSession(Struct, frozen=True):
    """Have the supervisor run a session for this instance (anew, if there is one)."""

    spec: InstanceSpec


class StopSession(Struct, frozen=True):
    """Have the supervisor stop this instance's session."""

    instance: str


class SaveInstance(Struct, frozen=True):
    """Have a change written to `data/`; `InstanceSaved` with the same `key` follows.

    `spec` is the instance to be changed, None for an `AddInstance`.
    """

    key: int
    change: Change
    spec: InstanceSpec | None = None


class Reply(Struct, frozen=True):
    """Answer a command of our own."""

    reply_to: Outbox
    value: Any


Effect: TypeAlias = (
    ToClient
    | CloseClient
    | CloseReply
    | ToSession
    | StartSession
    | StopSession
    | SaveInstance
    | Reply
)

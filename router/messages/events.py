"""Events: what happened, for the core to decide about. Data only.

The REST API, the command line and the management tools send `AdminCommand`; its commands and
their answers stand in `commands`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from msgspec import Raw, Struct

from router.messages.commands import Principal
from router.messages.revisions import STATELESS_REVISION, Era

if TYPE_CHECKING:
    from router.messages.catalog import Catalog
    from router.messages.commands import RouterCommand
    from router.messages.core_settings import CoreSettings
    from router.messages.errors import RpcError
    from router.messages.frames import ClientId, Frame, Outbox, RequestId, SessionId
    from router.messages.instance_spec import InstanceSpec
    from router.messages.params import Params


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
    """A frame from a client.

    Attributes:
        client: the session, or the lone request, that it came from.
        frame: the message.
        reply_to: takes what belongs to the message: progress, then its answer.
        params: the `params` of the message if the listener had to read them, else None.
    """

    client: ClientId
    frame: Frame
    reply_to: Outbox
    params: Params | None = None


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
    what: RouterCommand
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

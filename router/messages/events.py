"""Events: reports to the core, which decides what follows from them. Data only.

Listeners, sessions and the instance store send them to the dispatch actor, which translates the
supervisor's reports into them as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from msgspec import Raw, Struct

from router.messages.commands import Principal
from router.messages.instances.instance_spec import CLIENT_MARK
from router.messages.instances.pin_events import PinsRead, ToolsPinned
from router.messages.own_tools.code_runs import CodeEnded
from router.messages.own_tools.search import ToolsFound
from router.messages.revisions import STATELESS_REVISION, Era

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.messages.catalog import Catalog, KnownServer
    from router.messages.commands import RouterCommand
    from router.messages.core_settings import CoreSettings
    from router.messages.errors import RpcError
    from router.messages.frames import (
        ClientId,
        ErrorResponse,
        Frame,
        Outbox,
        RequestId,
        SessionId,
    )
    from router.messages.instances.instance_spec import InstanceSpec
    from router.messages.params import Params


class ClientOpened(Struct, frozen=True):
    """A client session, or a lone HTTP request, begins.

    Attributes:
        client: its id.
        outbox: takes the frames that belong to no request.
        principal: its name and permissions.
        one_shot: True for a lone HTTP request: it may call without `initialize` and is closed
            after its answer.
        era: the form that its requests have to have.
        view: the name of the view that it asked for, a profile or an instance; None for the
            default view.
        address: the IP address that it called from, as far as trusted proxies tell; empty on stdio
            and Unix sockets.
    """

    client: ClientId
    outbox: Outbox
    principal: Principal = Principal()
    one_shot: bool = False
    era: Era = "handshake"
    view: str | None = None
    address: str = ""


class ClientClosed(Struct, frozen=True):
    """The client is gone; its calls in flight are cancelled upstream."""

    client: ClientId
    reason: str = ""


class ClientOverflowed(Struct, frozen=True):
    """A frame did not fit into one of the client's outboxes: the client reads too slowly."""

    client: ClientId


class FromClient(Struct, frozen=True):
    """A frame from a client.

    Attributes:
        client: the session, or the lone request, that it came from.
        frame: the message.
        reply_to: takes what belongs to the message: progress, then its answer.
        params: the `params` of the message if the listener had to read them, else None.
        principal: its sender, where a session's may do more or less than before: tokens of an
            identity provider are refreshed, and may have other scopes then. None: as before.
    """

    client: ClientId
    frame: Frame
    reply_to: Outbox
    params: Params | None = None
    principal: Principal | None = None


class SessionUp(Struct, frozen=True):
    """An upstream session finished its handshake and listing.

    Attributes:
        instance: the name that the supervisor knows it by; see `configured_as`.
        session: the id of this incarnation.
        inbox: takes frames for the upstream.
        revision: the negotiated protocol revision.
        capabilities: the server's capabilities, a raw object from its `initialize` or
            `server/discover` result.
        server_info: the server's `Implementation`, a raw object from the same result.
        instructions: the server's instructions for the model; None if it sent none.
        catalog: the lists that the server offers.
        start: that of the spec with which the session was started; None for the one of its row.
    """

    instance: str
    session: SessionId
    inbox: Outbox
    revision: str
    capabilities: Raw
    server_info: Raw
    instructions: str | None
    catalog: Catalog
    start: int | None = None

    @property
    def configured_as(self) -> str:
        """The name of the instance as it was configured, also if this session is one client's."""
        return self.instance.partition(CLIENT_MARK)[0]

    @property
    def is_stateless(self) -> bool:
        """True if the server has no sessions: each request describes its client (2026-07-28)."""
        return self.revision == STATELESS_REVISION


class SessionLost(Struct, frozen=True):
    """The wire of this incarnation broke; the session sends this before it cleans up."""

    session: SessionId
    reason: str


class SessionOverflowed(Struct, frozen=True):
    """A frame did not fit into the session's inbox, or the session is gone (`lost`).

    Attributes:
        session: the incarnation that the frame was for.
        frame: the frame that was not delivered.
        lost: True if the session is gone.
    """

    session: SessionId
    frame: Frame
    lost: bool = False


class FromSession(Struct, frozen=True):
    """A frame from an upstream.

    Attributes:
        session: the incarnation that it came from.
        frame: the message.
        related: the id of the request on whose response stream a server's own request or
            notification came; None for any other frame, and on stdio.
    """

    session: SessionId
    frame: Frame
    related: RequestId | None = None


class RequestFailed(Struct, frozen=True):
    """A server failed to answer a request of the router's, although its session goes on.

    Attributes:
        session: the incarnation.
        request: the id of the request.
        error: the error for whoever waits for the answer: -32012 if the answer broke off, -32009
            otherwise.
        status: the HTTP status; None if the connection broke.
        retry_after_s: the seconds for which the server asks not to be called; None if it does not.
        answer: the server's own error, if it came with that status.
    """

    session: SessionId
    request: RequestId
    error: RpcError
    status: int | None = None
    retry_after_s: float | None = None
    answer: ErrorResponse | None = None


class CatalogChanged(Struct, frozen=True):
    """The upstream was listed again.

    Attributes:
        session: the incarnation.
        catalog: the lists as they are now.
        announced: the capabilities (`tools`, ...) whose change the upstream itself announced; it
            may have changed what no list shows.
    """

    session: SessionId
    catalog: Catalog
    announced: frozenset[str] = frozenset()


class InstanceQueued(Struct, frozen=True):
    """The session of this instance is to be started, and waits for its turn."""

    instance: str


class InstanceStarting(Struct, frozen=True):
    """The supervisor began a new incarnation of this instance's session."""

    instance: str


class InstanceDelayed(Struct, frozen=True):
    """The start of an instance takes longer than usual, for a reason that is known.

    Attributes:
        instance: its name.
        doing: what it does or waits for, such as "installing"; empty if that is not known.
    """

    instance: str
    doing: str


class InstanceDown(Struct, frozen=True):
    """An incarnation ended.

    Attributes:
        instance: the name of its instance.
        reason: the error that ended it; empty when it was stopped on command.
        restarts: number of restarts so far.
        retry_in_s: seconds until the next start; None if there will be none.
        needs_login: True if only a login at its server gets another session; then there will be no
            start before a `LoginChanged`.
        login_url: the page on which the person whose session this was can log in; empty if there is
            none, or if the session was no person's.
    """

    instance: str
    reason: str
    restarts: int
    retry_in_s: float | None
    needs_login: bool = False
    login_url: str = ""


class LoginChanged(Struct, frozen=True):
    """There was a login at the server of an instance, or a logout: its sessions are started anew.

    Attributes:
        instance: its name.
        person: the principal that logged in or out for its own sessions; None if the login is
            everybody's.
    """

    instance: str
    person: str | None = None


class InstanceFailed(Struct, frozen=True):
    """An instance was restarted too often: from now on the supervisor starts one probe at a time.

    Attributes:
        instance: its name.
        reason: the error that ended the last incarnation.
        restarts: number of restarts so far.
        probe_in_s: seconds until the next probe.
    """

    instance: str
    reason: str
    restarts: int
    probe_in_s: float


class InstancesChanged(Struct, frozen=True):
    """The whole set of configured instances; sent at start and after every change on disk."""

    specs: tuple[InstanceSpec, ...]


class CataloguesRead(Struct, frozen=True):
    """The last known servers of instances that are new, changed or switched on.

    It comes before the `InstancesChanged` or `InstanceSaved` that brings these instances, and not
    at all if nothing is known of any. Of a changed instance that is not in it, nothing is known.

    Attributes:
        known: name of the instance -> its server, as it was with the same entry.
    """

    known: dict[str, KnownServer]


class CoreSettingsChanged(Struct, frozen=True):
    """The settings of the core changed in `config.json`; they hold from now on."""

    settings: CoreSettings


class InstanceSaved(Struct, frozen=True):
    """The end of a `SaveInstance`.

    Attributes:
        key: the key of that effect.
        specs: all instances, as they are configured now; None when nothing was changed.
        problem: the reason why nothing was changed; None when the change is safely on disk.
    """

    key: int
    specs: tuple[InstanceSpec, ...] | None = None
    problem: RpcError | None = None


class AdminCommand(Struct, frozen=True):
    """A command to the router itself, such as from the REST API.

    Attributes:
        principal: its sender.
        what: the command; see `commands` for the types of the answers.
        reply_to: an outbox for this command alone. It gets exactly one value, the answer or an
            `RpcError`, unless the command is `Abandoned` before. A command that wants news gets
            each as a `Notification` before that value.
        address: the IP address that it came from; empty if it has none.
    """

    principal: Principal
    what: RouterCommand
    reply_to: Outbox
    address: str = ""


class Abandoned(Struct, frozen=True):
    """The sender of an `AdminCommand` waits no more; its call is cancelled upstream."""

    reply_to: Outbox


class Drain(Struct, frozen=True):
    """The router stops: take no new calls; `reply_to` gets None once the last call has ended."""

    reply_to: Outbox


class Barrier(Struct, frozen=True):
    """Not for the core: the actor calls `pass_on` once it has handled everything before this.

    So a sender learns how long its events take.
    """

    pass_on: Callable[[], object]


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
    | RequestFailed
    | CatalogChanged
    | InstanceStarting
    | InstanceQueued
    | InstanceDelayed
    | InstanceDown
    | InstanceFailed
    | LoginChanged
    | InstancesChanged
    | CataloguesRead
    | PinsRead
    | ToolsPinned
    | ToolsFound
    | CodeEnded
    | CoreSettingsChanged
    | InstanceSaved
    | AdminCommand
    | Abandoned
    | Drain
    | Tick
)

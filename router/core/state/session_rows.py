"""Keeps the rows of instances that have several sessions: one for each client, or replicas.

Where each person logs in (`oauth.per_user`), all clients of one principal share a session. What a
person sees of such an instance is a row as well, with the lists of this person's own server.

The row of such an instance runs nothing itself. For each of its clients (`"sessions":
"per_client"`) or processes (`"replicas"`) there is a row of its own, which the supervisor knows as
`{instance}#{number}`; no instance can have that name.

Invariants:

- A name is never used twice, so a late report about a session that has ended finds no row.
- A row is in the table exactly as long as it is among the `client_sessions` of its instance.
- A session of a person serves no other principal, and no other principal sees its lists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from msgspec import Struct, field

from router.core.state.deadlines import Deadlines
from router.core.state.instance_table import PersonalPart, address_of, whole_of
from router.core.state.instances import Instance, InstanceState
from router.messages.instances.instance_spec import CLIENT_MARK

if TYPE_CHECKING:
    from collections.abc import Iterable

    from router.core.state.clients import Client
    from router.messages.effects import StartSession, StopSession
    from router.messages.frames import ClientId

IDLE_EXPIRY_S: Final = 600.0
"""Seconds after which a session ends that no client has, and that nobody used meanwhile."""

SessionKey: TypeAlias = tuple[str, ...]
"""Names whom a session serves; see `key_of`."""


def key_of(instance: Instance, client: Client, root: str | None) -> SessionKey:
    """Return the key of the session that serves a client; clients with equal keys share it.

    Args:
        instance: has a session for each client, or for each person.
        client: a session; or a lone request, which shares with all requests of the same program,
            as far as the principal and the `clientInfo` tell programs apart.
        root: the client's first root if the session depends on it. Then nothing else counts.
    """
    if instance.spec.is_per_person:
        person = ("person", client.principal.name)
        return person if root is None else (*person, root)
    if root is not None:
        return ("root", root)
    owner = owner_of(client)
    if owner is not None:
        return ("client", owner)
    return ("principal", client.principal.name, bytes(client.info).decode(errors="replace"))


def owner_of(client: Client) -> ClientId | None:
    """Return the id of the session or connection of a client; None if it is a lone request."""
    if client.connection is not None:
        return client.connection.id
    return None if client.is_for_one_request else client.id


class SessionRow(Instance, eq=False, kw_only=True):
    """The row of one of several sessions of an instance.

    Its `spec` is that of the instance, under the name by which the supervisor knows the session.

    Attributes:
        instance: the configured instance, or the part of it that the session's person has.
    """

    instance: Instance

    def __post_init__(self) -> None:
        self.name = self.instance.name

    @property
    def listed_as(self) -> Instance:
        return self.instance


class Replica(SessionRow, eq=False):
    """The row of one process of an instance with replicas.

    Subscriptions to resources are made in each of them, because a change that a call makes in one
    process need not be known to the others.
    """

    @property
    def address(self) -> str:
        return self.name

    @property
    def awaited_as(self) -> Instance:
        return self.instance

    @property
    def task_scope(self) -> str:
        """The name of its own, because two processes may give two tasks the same id."""
        return self.spec.name


def replicas_of(instance: Instance) -> list[Replica]:
    """Return the replicas of an instance, oldest first."""
    rows = [row for row in instance.replicas if isinstance(row, Replica)]
    return sorted(rows, key=lambda row: int(row.spec.name.rpartition(CLIENT_MARK)[2]))


class ClientSession(SessionRow, eq=False, kw_only=True):
    """The row of one session of an instance that has a session for each client.

    Attributes:
        key: see `key_of`.
        client_name: the name of the client for which it was started, for people.
        clients: the ids of the client sessions and connections that have it. With a root there may
            be several; lone requests are not counted.
    """

    key: SessionKey
    client_name: str
    clients: set[ClientId] = field(default_factory=set["ClientId"])

    @property
    def address(self) -> str:
        """The same for all sessions with this key, one after the other; no instance has it."""
        return address_of(self.name, self.key)

    @property
    def task_scope(self) -> str:
        """The address if it is one person's: a task of another person is another one."""
        return self.name if self.person is None else self.address

    def serves(self, client: Client) -> bool:
        """Return whether this is the session of a client, or may be that of a lone request."""
        if self.person is not None and self.person != client.principal.name:
            return False
        return owner_of(client) in self.clients or self.key == key_of(self.instance, client, None)

    @property
    def root(self) -> str | None:
        """The first root of its clients if it depends on that."""
        number = 2 if self.key[0] == "person" else 1
        depends_on_root = self.key[0] == "root" or len(self.key) > 2 == number
        return self.key[number] if depends_on_root else None

    @property
    def ends_with_its_client(self) -> bool:
        """True if it is for one client that says when it goes."""
        return self.key[0] == "client"


class ClientSessions(Struct):
    """All sessions of single clients.

    Attributes:
        by_name: the rows by the names that the supervisor knows.
        by_address: the same rows by their addresses.
        idle_due: deadlines by these names, of sessions that end when nobody uses them.
    """

    by_name: dict[str, ClientSession] = {}
    by_address: dict[str, ClientSession] = {}
    idle_due: Deadlines[str] = field(default_factory=Deadlines[str])
    # By client and instance, for the clients that have a session or a connection.
    _joined: dict[ClientId, dict[str, ClientSession]] = {}
    _last_numbers: dict[str, int] = {}

    def next_name(self, instance: str) -> str:
        """Return a name for the supervisor that was never used before, by replicas neither."""
        number = self._last_numbers[instance] = self._last_numbers.get(instance, 0) + 1
        return f"{instance}{CLIENT_MARK}{number}"

    def add(self, row: ClientSession) -> None:
        """Add a row here and to its instance."""
        self.by_name[row.spec.name] = self.by_address[row.address] = row
        row.instance.client_sessions[row.key] = row
        whole_of(row.instance).client_sessions[row.key] = row

    def remove(self, row: ClientSession) -> None:
        """Remove a row here and from its instance; no client has it any more."""
        del self.by_name[row.spec.name]
        del self.by_address[row.address]
        row.instance.client_sessions.pop(row.key, None)
        whole_of(row.instance).client_sessions.pop(row.key, None)
        self.idle_due.disarm(row.spec.name)
        for client in list(row.clients):
            self.leave(client, row)

    def join(self, client: ClientId, row: ClientSession) -> ClientSession | None:
        """Note that a client has this session; return the session that it had before, if any."""
        of_client = self._joined.setdefault(client, {})
        before = of_client.get(row.name)
        if before is not None:
            before.clients.discard(client)
        of_client[row.name] = row
        row.clients.add(client)
        return before

    def leave(self, client: ClientId, row: ClientSession) -> None:
        """Note that a client does not have this session any more."""
        row.clients.discard(client)
        of_client = self._joined.get(client, {})
        if of_client.get(row.name) is row:
            del of_client[row.name]
        if not of_client:
            self._joined.pop(client, None)

    def of_instance(self, instance: Instance) -> list[ClientSession]:
        """Return the rows of an instance, oldest first."""
        rows = instance.client_sessions.values()
        return [row for row in rows if isinstance(row, ClientSession)]

    def of_client(self, client: ClientId) -> list[ClientSession]:
        """Return the sessions that a client has."""
        return list(self._joined.get(client, {}).values())


def rows_of(instance: Instance) -> Iterable[Instance]:
    """Return the rows under which sessions of an instance run; of any other row, itself."""
    if instance.is_per_client:
        return instance.client_sessions.values()
    return instance.replicas if instance.spec.has_replicas else (instance,)


def show_in_instance(row: Instance, now_s: float) -> None:
    """Have the instance of one of several sessions show its state and its lists."""
    if isinstance(row, SessionRow):
        sum_up(row.instance, now_s)
        if row.session is not None and row.known is not None:
            row.instance.record_known(row.known)


def sum_up(instance: Instance, now_s: float) -> None:
    """Have an instance show the state of its several sessions; it is ready if any of them is."""
    if instance.spec.has_replicas:
        _sum_up_replicas(instance, now_s)
    else:
        _sum_up_clients(instance, now_s)
        if isinstance(instance, PersonalPart):
            _sum_up_clients(instance.instance, now_s)


_BEST_FIRST: Final = (
    InstanceState.READY,
    InstanceState.DEGRADED,
    InstanceState.STARTING,
    InstanceState.BACKOFF,
    InstanceState.NEEDS_LOGIN,
    InstanceState.FAILED,
)


_CONNECTED_FIRST: Final = (InstanceState.READY, InstanceState.DEGRADED)


def _sum_up_replicas(instance: Instance, now_s: float) -> None:
    rows = replicas_of(instance)
    states = {row.state for row in rows}
    best = next((state for state in _BEST_FIRST if state in states), instance.state)
    instance.enter(best, now_s)
    instance.restarts = sum(row.restarts for row in rows)
    if best is InstanceState.READY:
        # The reasons of those that are not ready stand in their own rows.
        rows = [row for row in rows if row.state is best]
    retries_at_s = [row.retry_at_s for row in rows if row.retry_at_s is not None]
    instance.retry_at_s = min(retries_at_s, default=None)
    instance.last_error = next((row.last_error for row in rows if row.last_error), None)
    instance.doing = next((row.doing for row in rows if row.doing), None)


def _sum_up_clients(instance: Instance, now_s: float) -> None:
    """Unless one is connected, show the newest, whose client is most likely waiting."""
    rows = list(instance.client_sessions.values())
    best = (row for wanted in _CONNECTED_FIRST for row in rows if row.state is wanted)
    shown = next(best, rows[-1] if rows else None)
    state = InstanceState.IDLE if shown is None else shown.state
    if state is not instance.state:
        instance.state, instance.since_s = state, now_s
    instance.restarts = sum(row.restarts for row in rows)
    instance.retry_at_s = None if shown is None else shown.retry_at_s
    instance.doing = None if shown is None else shown.doing
    # While there is none, the reason why the last one failed stays.
    if shown is not None:
        instance.last_error = shown.last_error


class Leaving(Struct, eq=False):
    """A session of a changed instance: its calls in flight may end, new calls do not reach it.

    Attributes:
        row: the former row of the instance, which holds that session.
        then: the supervisor's next command, sent when the last call has ended.
    """

    row: Instance
    then: StartSession | StopSession

"""The instances: what is configured, what state each is in, and finding one by name.

Job: one row for each configured upstream and the transitions of its state. Neighbours: `core`
feeds it the supervisor's and sessions' events; `toolbox` shows it. Pure.

States: `disabled` (not active), `starting`, `ready` (session and catalogue are there),
`backoff` (ended, will be restarted), `failed` (cannot be started, or restarted too often; then
probed), `stopping`; `idle` is for instances that start on first use.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import attrs

from router.core.protocol.raw_json import printable
from router.messages.errors import INSTANCE_NOT_FOUND, UNAVAILABLE, RpcError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from router.core.protocol.tool_schemas import Schemas
    from router.messages.commands import Principal
    from router.messages.effects import StartSession, StopSession
    from router.messages.events import SessionUp
    from router.messages.frames import ClientId, RequestId
    from router.messages.instance_spec import InstanceSpec


class InstanceState(enum.StrEnum):
    """What an instance is doing now."""

    DISABLED = "disabled"
    IDLE = "idle"
    STARTING = "starting"
    READY = "ready"
    BACKOFF = "backoff"
    FAILED = "failed"
    STOPPING = "stopping"


@attrs.define
class Instance:
    """One configured upstream.

    Attributes:
        spec: its configuration.
        state: see `State`.
        since_s: monotonic second of the last change of `state`.
        restarts: how often the supervisor has restarted it.
        last_error: why it last ended or could not start, until it is ready again.
        retry_at_s: monotonic second of the next start, while in `backoff` or probed `failed`.
        session: its live session, only while `ready`.
        tool_names: the tools of that session, to look a name up.
        schemas: their input schemas, since one was first called after they were listed.
        begun: has the supervisor begun an incarnation of this row? What it says before that is
            about one with an earlier configuration.
        calls: how many were sent to it, since it was configured like this.
        was_ready: did the last incarnation get as far as `ready`?
        waiting: the keys of the requests that wait for it to become ready, oldest first.
    """

    spec: InstanceSpec
    state: InstanceState
    since_s: float
    restarts: int = 0
    last_error: str | None = None
    retry_at_s: float | None = None
    session: SessionUp | None = None
    tool_names: frozenset[str] = frozenset()
    schemas: Schemas | None = None
    begun: bool = False
    was_ready: bool = False
    calls: int = 0
    waiting: dict[tuple[ClientId, RequestId], None] = attrs.field(
        factory=dict[tuple["ClientId", "RequestId"], None]
    )

    @property
    def name(self) -> str:
        return self.spec.name

    def enter(self, state: InstanceState, now_s: float) -> None:
        """Change the state; `since_s` moves only when it is another one."""
        if state is not self.state:
            self.state, self.since_s = state, now_s
        self.retry_at_s = None
        if state is not InstanceState.READY:
            self.session, self.tool_names, self.schemas = None, frozenset(), None

    def began(self, now_s: float) -> None:
        """The supervisor began an incarnation; after a failure that is a restart."""
        if self.state in {InstanceState.BACKOFF, InstanceState.FAILED}:
            self.restarts += 1  # the supervisor says its count with the next failure only
        self.enter(InstanceState.STARTING, now_s)
        self.begun, self.was_ready = True, False

    def went_up(self, session: SessionUp, now_s: float) -> None:
        """A session finished its handshake and listing."""
        self.enter(InstanceState.READY, now_s)
        self.last_error, self.was_ready = None, True
        self.listed(session)

    def listed(self, session: SessionUp) -> None:
        """The session was listed (anew)."""
        self.session, self.schemas = session, None
        self.tool_names = frozenset(item.key for item in session.catalog.tools)

    def lost(self, reason: str, now_s: float) -> None:
        """The wire of its session broke; the supervisor will say what comes next."""
        self.enter(InstanceState.BACKOFF, now_s)
        self.note(reason)

    def went_down(self, reason: str, restarts: int, retry_in_s: float | None, now_s: float) -> None:
        """The supervisor reports the end of an incarnation."""
        if retry_in_s is None:
            self.enter(InstanceState.FAILED, now_s)
        elif retry_in_s > 0:
            self.enter(InstanceState.BACKOFF, now_s)
            self.retry_at_s = now_s + retry_in_s
        else:
            self.enter(InstanceState.STARTING, now_s)
        self.restarts = restarts
        self.note(reason)

    def gave_up(self, reason: str, restarts: int, probe_in_s: float, now_s: float) -> None:
        """The supervisor restarts it no more, but for one probe per cool-down."""
        self.enter(InstanceState.FAILED, now_s)
        self.restarts, self.retry_at_s = restarts, now_s + probe_in_s
        self.note(reason)

    def note(self, reason: str) -> None:
        """Remember why it is not ready; no reason is no news."""
        self.last_error = printable(reason) or self.last_error

    def is_wanted(self) -> bool:
        """Does the supervisor keep it, as far as it was told?"""
        return self.spec.is_active and self.spec.problem is None

    def may_become_ready(self) -> bool:
        """Is it worth while for a call to wait for this instance?

        Yes while it starts, and during the short back-off of one that was ready before. One
        that has just failed to start answers at once with the reason.
        """
        return self.state is InstanceState.STARTING or (
            self.state is InstanceState.BACKOFF and self.was_ready
        )

    def retry_in_s(self, now_s: float) -> float | None:
        """Seconds until it is started again; None when nobody plans that."""
        return None if self.retry_at_s is None else max(0.0, self.retry_at_s - now_s)

    def unavailable(self, now_s: float) -> RpcError:
        """The error for a call that cannot be made now: -32013, with why and what next."""
        if not self.spec.is_active:
            message = f"Instance '{self.name}' is not active"
            return RpcError(UNAVAILABLE, message, {"state": self.state})
        retry_in_s = self.retry_in_s(now_s)
        why = str(self.state) if self.last_error is None else f"{self.state}: {self.last_error}"
        then = "" if retry_in_s is None else f" (next try in {retry_in_s:.1f} s)"
        data = {"state": self.state, "last_error": self.last_error, "retry_in_s": retry_in_s}
        return RpcError(UNAVAILABLE, f"Instance '{self.name}' not connected: {why}{then}", data)


def new_instance(spec: InstanceSpec, now_s: float) -> Instance:
    """The row of an instance that was just configured."""
    if not spec.is_active:
        return Instance(spec, InstanceState.DISABLED, now_s)
    if spec.problem is not None:
        return Instance(spec, InstanceState.FAILED, now_s, last_error=printable(spec.problem))
    return Instance(spec, InstanceState.STARTING, now_s)


@attrs.define
class Instances:
    """All configured instances, in their order of configuration."""

    by_name: dict[str, Instance] = attrs.field(factory=dict[str, Instance])

    def __iter__(self) -> Iterator[Instance]:
        return iter(self.by_name.values())

    def seen_by(self, principal: Principal) -> Instances:
        """Those that there are for this principal."""
        if principal.instances is None:
            return self
        seen = principal.instances
        return Instances({name: one for name, one in self.by_name.items() if name in seen})

    def find(self, wanted: str) -> Instance:
        """Look up by name, then by provider.

        Raises:
            RpcError: -32010, there is none, or the provider has several.
        """
        found = self.by_name.get(wanted)
        if found is not None:
            return found
        of_provider = [one for one in self.by_name.values() if one.spec.provider == wanted]
        if len(of_provider) == 1:
            return of_provider[0]
        if of_provider:
            names = _quoted(one.name for one in of_provider)
            raise RpcError(
                INSTANCE_NOT_FOUND,
                f"Provider '{wanted}' has several instances; name one of them: {names}",
            )
        raise RpcError(
            INSTANCE_NOT_FOUND,
            f"Instance not found: {wanted}. Available instances: {_quoted(self.by_name)}",
        )


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "none"


@attrs.define(eq=False)
class Leaving:
    """A session that no new call gets to.

    Attributes:
        row: the instance as it was, with that session.
        then: what the supervisor is to do when it has left.
    """

    row: Instance
    then: StartSession | StopSession

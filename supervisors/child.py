"""The commands that a supervisor takes and the events that it sends, as plain data.

Commands and events name their child; a name is unique under one supervisor.

Invariants, for the events of one child:

- The events of one run are: `Queued` if it has to wait for its turn to start, `Starting`, then a
  `Delayed` for each time that the run says why it takes longer, `Up` if it got that far, perhaps
  `Stuck`, and then exactly one `Down` or `GaveUp`. (A run stopped before its turn to start has no
  `Starting`.)
- `Down` with `retry_in_s=None` is the last event: the supervisor has forgotten the child, until a
  command names it again. Every `StopChild` is followed by such a `Down`, and so is an error that
  asks for that (`AsksToStayDown`).
"""

from contextlib import AbstractAsyncContextManager
from enum import Enum, auto
from functools import partial
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

import trio
from attrs import field, frozen
from attrs.validators import ge, gt
from msgspec import Struct

from supervisors.policy import Backoff

T_co = TypeVar("T_co", covariant=True)
T_contra = TypeVar("T_contra", contravariant=True)


class Restart(Enum):
    """Whether a child that ended by itself is started again."""

    ALWAYS = auto()
    ON_FAILURE = auto()
    NEVER = auto()

    def covers(self, error: Exception | None) -> bool:
        """Return whether a run that ended with `error`, or cleanly with None, is repeated."""
        return self is Restart.ALWAYS or (self is Restart.ON_FAILURE and error is not None)


class StartStatus(trio.TaskStatus[T_contra], Protocol[T_contra]):
    """The `task_status` of a child: `started`, and more for a start that takes long for a reason.

    Once the child is up or its time is over, the further methods do nothing.
    """

    def extend_start(self, limit_s: float, doing: str = "") -> None:
        """Allow the start this many seconds, counted from now, whatever it was allowed before.

        If earlier starts were cut off, the seconds are multiplied as `start_timeout_s` is.

        Args:
            limit_s: more than 0.
            doing: the reason for `Delayed`, such as "installing".
        """
        ...

    def queued_start(self, doing: str = "") -> AbstractAsyncContextManager[None]:
        """Wait in this context for something else than a CPU, such as a lock of other starts.

        Inside, no time is counted and other children may start. When the body is done, the context
        waits for the child's turn once more, and then its time begins anew.

        Args:
            doing: the reason for `Delayed`, such as "waiting for another installation".
        """
        ...


@runtime_checkable
class AsksToWait(Protocol):
    """An exception of a `Run` with this attribute asks for a pause before the next start.

    The pause is then at least that long, but at most `policy.MAX_ASKED_S`.
    """

    @property
    def retry_after_s(self) -> float | None:
        """The seconds; None if nothing is asked for."""
        ...


@runtime_checkable
class AsksToStayDown(Protocol):
    """An exception of a `Run` with this attribute may say that no start is worth trying.

    The child ends then, without giving up: its `Down` has `retry_in_s=None`, as if it was stopped.
    A command with its spec starts it anew.
    """

    @property
    def stays_down(self) -> bool:
        """True to say so."""
        ...


class Run(Protocol[T_co]):
    """The code of a child. Each incarnation is one call.

    The code calls `task_status.started(value)` once it really works, and then returns soon after
    `stopping` is set. It is cancelled if it does not return within the grace period, and if it is
    stopped or takes too long before it has called `started`. An exception that it makes of being
    cancelled for taking too long says how far it got: its text becomes part of the reason. An
    exception may ask for a pause before the next start, see `AsksToWait`, or for no further start,
    see `AsksToStayDown`.
    """

    async def __call__(self, stopping: trio.Event, *, task_status: StartStatus[T_co]) -> None:
        """Live until `stopping` is set, or until there is an error."""
        ...


@frozen
class ChildSpec:
    """A child, and how the supervisor keeps it running.

    Attributes:
        name: unique under one supervisor.
        run: the code of the child.
        restart: whether it is started again when it ends by itself. Under `ALWAYS` a clean end
            counts as a failure: the wait is as long, and it counts towards giving up.
        backoff: how long to wait before each restart.
        max_restarts: the supervisor gives up after this many failures within `period_s`.
        period_s: see `max_restarts`.
        max_alike_starts: as long as the child has never been up since the last command, the
            supervisor gives up after this many starts in a row that failed alike.
        cool_down: how long to wait before each probe, once the supervisor has given up.
        start_timeout_s: how long `run` may take to call `started`, counted from its turn to start.
            After a start that was cut off the next one gets twice as long, up to eight times,
            until one succeeds or a command comes.
        grace_s: how long `run` may take to return once `stopping` is set.
    """

    name: str
    run: Run[Any]
    restart: Restart = Restart.ALWAYS
    backoff: Backoff = field(factory=Backoff)
    max_restarts: int = field(default=5, validator=ge(1))
    period_s: float = field(default=60.0, validator=gt(0))
    max_alike_starts: int = field(default=3, validator=ge(1))
    cool_down: Backoff = field(factory=partial(Backoff, initial_s=15.0, factor=1.5))
    start_timeout_s: float = field(default=60.0, validator=gt(0))
    grace_s: float = field(default=12.0, validator=ge(0))


class StartChild(Struct, frozen=True):
    """Start this child. If a child of that name exists, restart it with this spec."""

    spec: ChildSpec


class StopChild(Struct, frozen=True):
    """Stop this child and forget it. `Down` answers even if there is no child of that name."""

    name: str


class RestartChild(Struct, frozen=True):
    """Stop this child if it runs, forget its failures, and start it at once.

    Attributes:
        name: the child. If there is none of that name and no spec, `Down` answers.
        spec: the new spec; None keeps the old one.

    Raises:
        ValueError: if the spec has another name.
    """

    name: str
    spec: ChildSpec | None = None

    def __post_init__(self) -> None:
        if self.spec is not None and self.spec.name != self.name:
            raise ValueError(f"spec of {self.spec.name!r} given to restart {self.name!r}")


class Queued(Struct, frozen=True):
    """The child is to run, and waits for its turn to start."""

    name: str


class Starting(Struct, frozen=True):
    """The child's `run` is about to be called."""

    name: str


class Delayed(Struct, frozen=True):
    """The child's start takes longer than usual, for a reason that `run` gave.

    Attributes:
        name: the child.
        doing: the reason; empty if it gave none.
        limit_s: the seconds that the start is allowed from now on. None: no time is counted.
        is_restart: True if the start follows a failure without a command.
    """

    name: str
    doing: str
    limit_s: float | None
    is_restart: bool = False


class Up(Struct, frozen=True):
    """The child has called `started`.

    Attributes:
        name: the child.
        value: the argument of `started`.
    """

    name: str
    value: Any


class Down(Struct, frozen=True):
    """The child is not running.

    Attributes:
        name: the child.
        error: why its last run ended. None: it ended cleanly or by cancellation on command, or
            it never ran. `trio.TooSlowError`: it did not start in time; the exception that `run`
            made of its cancellation is the cause, and its text the end of the message.
            `RuntimeError`: it returned before it had started. A single error is taken out of its
            exception groups; several errors become a flat group whose message names each of them.
        restarts: how often it was restarted by itself, without a command, since the last command.
        retry_in_s: the seconds until it is started again; 0 after a command. None: it is not.
    """

    name: str
    error: Exception | None
    restarts: int
    retry_in_s: float | None


class GaveUp(Struct, frozen=True):
    """The child is not running, and failed so often that only a probe will be made.

    Attributes:
        name: the child.
        error: as in `Down`.
        restarts: as in `Down`; probes count.
        probe_in_s: the seconds until it is started again, to see whether it works by then.
        is_repeated: True if a probe failed as the run before it did, so that this is no news.
    """

    name: str
    error: Exception | None
    restarts: int
    probe_in_s: float
    is_repeated: bool = False


class Stuck(Struct, frozen=True):
    """The child has been cancelled and still does not end. `Down` or `GaveUp` follow if it does.

    Attributes:
        name: the child.
        waited_s: the seconds since it was first told to stop or found not to start.
    """

    name: str
    waited_s: float


Command: TypeAlias = StartChild | StopChild | RestartChild
ChildEvent: TypeAlias = Queued | Starting | Delayed | Up | Down | GaveUp | Stuck

"""The commands that a supervisor takes and the events that it sends, as plain data.

Commands and events name their child; a name is unique under one supervisor.

Invariants, for the events of one child:

- The events of one run are: `Starting`, then `Up` if the run got that far, perhaps `Stuck`, and
  then exactly one `Down` or `GaveUp`. (A run stopped before its turn to start has no `Starting`.)
- `Down` with `retry_in_s=None` is the last event: the supervisor has forgotten the child, until a
  command names it again. Every `StopChild` is followed by such a `Down`.
"""

from enum import Enum, auto
from typing import Any, Protocol, TypeAlias, TypeVar

import trio
from attrs import field, frozen
from attrs.validators import ge, gt

from supervisors.policy import Backoff

T_co = TypeVar("T_co", covariant=True)


class Restart(Enum):
    """Whether a child that ended by itself is started again."""

    ALWAYS = auto()
    ON_FAILURE = auto()
    NEVER = auto()

    def covers(self, error: Exception | None) -> bool:
        """Return whether a run that ended with `error`, or cleanly with None, is repeated."""
        return self is Restart.ALWAYS or (self is Restart.ON_FAILURE and error is not None)


class Run(Protocol[T_co]):
    """The code of a child. Each incarnation is one call.

    The code calls `task_status.started(value)` once it really works, and then returns soon after
    `stopping` is set. It is cancelled if it does not return within the grace period, and if it is
    stopped or takes too long before it has called `started`.
    """

    async def __call__(self, stopping: trio.Event, *, task_status: trio.TaskStatus[T_co]) -> None:
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
        cool_down_s: how long to wait before each probe, once the supervisor has given up.
        start_timeout_s: how long `run` may take to call `started`.
        grace_s: how long `run` may take to return once `stopping` is set.
    """

    name: str
    run: Run[Any]
    restart: Restart = Restart.ALWAYS
    backoff: Backoff = field(factory=Backoff)
    max_restarts: int = field(default=5, validator=ge(1))
    period_s: float = field(default=60.0, validator=gt(0))
    cool_down_s: float = field(default=60.0, validator=gt(0))
    start_timeout_s: float = field(default=60.0, validator=gt(0))
    grace_s: float = field(default=12.0, validator=ge(0))


@frozen
class StartChild:
    """Start this child. If a child of that name exists, restart it with this spec."""

    spec: ChildSpec


@frozen
class StopChild:
    """Stop this child and forget it. `Down` answers even if there is no child of that name."""

    name: str


@frozen
class RestartChild:
    """Stop this child if it runs, forget its failures, and start it at once.

    Attributes:
        name: the child. If there is none of that name and no spec, `Down` answers.
        spec: the new spec; None keeps the old one.

    Raises:
        ValueError: if the spec has another name.
    """

    name: str
    spec: ChildSpec | None = None

    def __attrs_post_init__(self) -> None:
        if self.spec is not None and self.spec.name != self.name:
            raise ValueError(f"spec of {self.spec.name!r} given to restart {self.name!r}")


@frozen
class Starting:
    """The child's `run` is about to be called."""

    name: str


@frozen
class Up:
    """The child has called `started`.

    Attributes:
        name: the child.
        value: the argument of `started`.
    """

    name: str
    value: Any


@frozen
class Down:
    """The child is not running.

    Attributes:
        name: the child.
        error: why its last run ended. None: it ended cleanly or by cancellation on command, or
            it never ran. `trio.TooSlowError`: it did not start in time. `RuntimeError`: it
            returned before it had started. A single error is taken out of its exception groups;
            several errors become a flat group whose message names each of them.
        restarts: how often it was restarted by itself, without a command, since the last command.
        retry_in_s: the seconds until it is started again; 0 after a command. None: it is not.
    """

    name: str
    error: Exception | None
    restarts: int
    retry_in_s: float | None


@frozen
class GaveUp:
    """The child is not running, and failed so often that only a probe will be made.

    Attributes:
        name: the child.
        error: as in `Down`.
        restarts: as in `Down`; probes count.
        probe_in_s: the seconds until it is started again, to see whether it works by then.
    """

    name: str
    error: Exception | None
    restarts: int
    probe_in_s: float


@frozen
class Stuck:
    """The child has been cancelled and still does not end. `Down` or `GaveUp` follow if it does.

    Attributes:
        name: the child.
        waited_s: the seconds since it was first told to stop or found not to start.
    """

    name: str
    waited_s: float


Command: TypeAlias = StartChild | StopChild | RestartChild
ChildEvent: TypeAlias = Starting | Up | Down | GaveUp | Stuck

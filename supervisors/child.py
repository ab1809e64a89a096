"""What the supervisor is told and what it tells: data only.

Neighbours: `supervisor` takes `Command`s in and gives `ChildEvent`s out; whoever composes the
program writes the `ChildSpec`s. The two vocabularies meet in the child's name.

Invariants, for the events of one child:

- One run of it reads: `Starting`, then `Up` if it got that far, perhaps `Stuck`, and then exactly
  one `Down` or `GaveUp`. (A run stopped before its turn to start came has no `Starting`.)
- `Down` with `retry_in_s=None` is the last word: the supervisor has forgotten the child, until a
  command names it again. Every `StopChild` is followed by one.
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
        """Say whether a run that ended with `error`, or cleanly with None, is to be repeated."""
        return self is Restart.ALWAYS or (self is Restart.ON_FAILURE and error is not None)


class Run(Protocol[T_co]):
    """The code of a child. Each incarnation is one call.

    It calls `task_status.started(value)` once it really works, and then returns soon after
    `stopping` is set. If it does not return within the grace period it is cancelled, and so it is
    if it is stopped, or takes too long, before it has called `started`.
    """

    async def __call__(self, stopping: trio.Event, *, task_status: trio.TaskStatus[T_co]) -> None:
        """Live until `stopping` is set, or until there is an error."""
        ...


@frozen
class ChildSpec:
    """A child and how it is to be kept.

    Attributes:
        name: Unique under one supervisor.
        run: What it does.
        restart: Whether it is started again when it ends by itself. Under `ALWAYS` a clean end
            counts as a failure: it waits as long, and as many of them are too many.
        backoff: How long to wait before each restart.
        max_restarts: The supervisor gives up at the failure that is this many within `period_s`.
        period_s: See `max_restarts`.
        cool_down_s: Having given up, how long to wait before each probe.
        start_timeout_s: How long `run` may take to call `started`.
        grace_s: How long `run` may take to return once `stopping` is set.
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
    """Start this child. If there is one of that name, this is a restart of it with this spec."""

    spec: ChildSpec


@frozen
class StopChild:
    """Stop this child and forget it. If there is none of that name, `Down` still answers."""

    name: str


@frozen
class RestartChild:
    """Stop this child if it runs, and start it at once, its failures forgiven.

    Attributes:
        name: The child. If there is none of that name and no spec, `Down` answers.
        spec: What to start, in place of what it was so far; None to keep that.

    Raises:
        ValueError: If the spec has another name.
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
        name: The child.
        value: What it gave to `started`.
    """

    name: str
    value: Any


@frozen
class Down:
    """The child is not running.

    Attributes:
        name: The child.
        error: Why its last run ended. None: cleanly, by cancellation on command, or never ran.
            `trio.TooSlowError` if it did not start in time, `RuntimeError` if it returned before
            it had started. An exception group with one leaf is given as that leaf; one with
            several as a flat group whose message names each of them.
        restarts: How often it was restarted without being told to, since the last command.
        retry_in_s: When it will be started again: 0 because it was told to. None: it will not be.
    """

    name: str
    error: Exception | None
    restarts: int
    retry_in_s: float | None


@frozen
class GaveUp:
    """The child is not running, and failed so often that only a probe will be made.

    Attributes:
        name: The child.
        error: As in `Down`.
        restarts: As in `Down`; probes count.
        probe_in_s: When it will be started again, to see whether that has become any use.
    """

    name: str
    error: Exception | None
    restarts: int
    probe_in_s: float


@frozen
class Stuck:
    """The child has been cancelled and still does not end. `Down` or `GaveUp` follow if it does.

    Attributes:
        name: The child.
        waited_s: How long ago it was first told to stop, or was found not to start.
    """

    name: str
    waited_s: float


Command: TypeAlias = StartChild | StopChild | RestartChild
ChildEvent: TypeAlias = Starting | Up | Down | GaveUp | Stuck

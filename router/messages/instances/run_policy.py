"""The keys by which sessions of an instance are started, watched, stopped, protected. Data only."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from msgspec import Struct

StartSetting: TypeAlias = Literal["eager", "lazy"]
"""Whether an instance is started with the router, or by its first call."""

LONGEST_S: Final = 2_592_000
"""The longest time that a key of the user's files may name, 30 days: a longer one is a mistake,
such as milliseconds."""


class RunPolicy(Struct, frozen=True):
    """The keys of an entry that say how its sessions run; None is the default of `config.json`.

    Attributes:
        start: see `StartSetting`.
        idle_stop_s: seconds without a call after which its session is stopped, until the next
            call; 0 for never.
        start_timeout_s: seconds from the start of a session to the end of its handshake.
        ping_interval_s: seconds of silence after which the server is asked whether it lives; 0 for
            never.
        replicas: the number of processes that share its calls.
        max_in_flight: calls in flight at the same time; further ones wait in a short queue. None
            for any number.
        max_result_bytes: a text result beyond it is cut, and kept as a resource. None for no limit.
        retry_safe_calls: True to send a call once more whose session was lost, if its tool says
            that this changes nothing (`readOnlyHint`, `idempotentHint`).
    """

    start: StartSetting | None = None
    idle_stop_s: float | None = None
    start_timeout_s: float | None = None
    ping_interval_s: float | None = None
    replicas: int = 1
    max_in_flight: int | None = None
    max_result_bytes: int | None = None
    retry_safe_calls: bool = False


DEFAULT_RUN_POLICY: Final = RunPolicy()

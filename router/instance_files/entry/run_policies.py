"""Reads the keys of an entry that say how its sessions run into a `RunPolicy`.

`docs/configuration.md` explains the keys. Invariant: pure; each mistake is noted with its key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from router.files.json_files import quote_value
from router.messages.instances.run_policy import (
    DEFAULT_RUN_POLICY,
    LONGEST_S,
    RunPolicy,
    StartSetting,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RUN_POLICY_KEYS: Final = (
    *("start", "idle_stop_s", "start_timeout_s", "ping_interval_s"),
    *("replicas", "max_in_flight", "max_result_bytes", "retry_safe_calls"),
)
"""Keys of an entry that are read here."""

REPLICAS_LIMIT: Final = 32
IN_FLIGHT_LIMIT: Final = 100_000
SMALLEST_RESULT_LIMIT_BYTES: Final = 1024
LARGEST_RESULT_LIMIT_BYTES: Final = 1 << 30


def read_run_policy(
    members: Mapping[str, Any], *, may_have_replicas: bool, note: Callable[[str, str], None]
) -> RunPolicy:
    """Return how the sessions of an entry run.

    Args:
        members: of the entry, decoded.
        may_have_replicas: True for an instance with a command whose clients share its session.
        note: takes a mistake: the key, and the problem.
    """
    if not any(members.get(key) is not None for key in RUN_POLICY_KEYS):
        return DEFAULT_RUN_POLICY
    replicas = read_count(members, "replicas", (1, REPLICAS_LIMIT), note) or 1
    if replicas > 1 and not may_have_replicas:
        note("replicas", 'is only for instances with a command and "sessions": "shared"')
    return RunPolicy(
        start=_start(members.get("start"), note),
        idle_stop_s=_seconds(members, "idle_stop_s", note, may_be_zero=True),
        start_timeout_s=_seconds(members, "start_timeout_s", note),
        ping_interval_s=_seconds(members, "ping_interval_s", note, may_be_zero=True),
        replicas=replicas,
        max_in_flight=read_count(members, "max_in_flight", (1, IN_FLIGHT_LIMIT), note),
        max_result_bytes=read_count(
            members,
            "max_result_bytes",
            (SMALLEST_RESULT_LIMIT_BYTES, LARGEST_RESULT_LIMIT_BYTES),
            note,
        ),
        retry_safe_calls=read_flag(members.get("retry_safe_calls"), "retry_safe_calls", note)
        is True,
    )


def read_count(
    members: Mapping[str, Any],
    key: str,
    limits: tuple[int, int],
    note: Callable[[str, str], None],
) -> int | None:
    """Return the integer under a key; None if there is none, or one beyond its limits.

    Args:
        members: of the entry, decoded.
        key: the key.
        limits: the smallest and the greatest value.
        note: takes a mistake.
    """
    value = members.get(key)
    if value is None:
        return None
    if type(value) is not int or not limits[0] <= value <= limits[1]:
        note(key, f"expected an integer from {limits[0]} to {limits[1]}, got {quote_value(value)}")
        return None
    return value


def _seconds(
    members: Mapping[str, Any],
    key: str,
    note: Callable[[str, str], None],
    *,
    may_be_zero: bool = False,
) -> float | None:
    value = members.get(key)
    if value is None:
        return None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not (0 < value <= LONGEST_S or (may_be_zero and value == 0)):
        least = "0 (never)" if may_be_zero else "more than 0"
        expected = f"expected a number of seconds from {least} to {LONGEST_S} (30 days)"
        note(key, f"{expected}, got {quote_value(value)}")
        return None
    return float(value)


def _start(value: Any, note: Callable[[str, str], None]) -> StartSetting | None:
    if value is None or value in ("eager", "lazy"):
        return value
    note("start", f'expected "eager" or "lazy", got {quote_value(value)}')
    return None


def read_flag(value: Any, key: str, note: Callable[[str, str], None]) -> bool | None:
    """Return the value of a key that is true or false; None if there is none, or another one.

    Args:
        value: of the key.
        key: its path in the entry.
        note: takes a mistake.
    """
    if value is None or isinstance(value, bool):
        return value
    note(key, f"expected true or false, got {quote_value(value)}")
    return None

"""Translates the reports of supervisor and sessions into the core's events, and logs them.

Every client may read the reason why a server failed. So known secrets are masked in the reason
before it reaches the core.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeAlias, cast, runtime_checkable

import attrs
import msgspec

from router.messages.events import (
    Barrier,
    Event,
    InstanceDelayed,
    InstanceDown,
    InstanceFailed,
    InstanceQueued,
    InstanceStarting,
    RequestFailed,
    SessionLost,
)
from router.messages.observability.log_fields import about
from supervisors.child import Delayed, Down, GaveUp, Queued, Starting, Stuck, Up

log = logging.getLogger("mcp_router.dispatch")

Mask: TypeAlias = Callable[[str], str]
"""Returns a text without the secrets that are known."""


@runtime_checkable
class _NeedsLogin(Protocol):
    """An error of a connection, such as `WireLost`; see there for the attributes."""

    needs_login: bool
    login_url: str


def _up(event: Up, _: Mask) -> Event | None:
    log.info("%s is ready", event.name, extra=about(event.name))
    return None


def _queued(event: Queued, _: Mask) -> Event | None:
    return InstanceQueued(event.name)


def _starting(event: Starting, _: Mask) -> Event | None:
    return InstanceStarting(event.name)


def _delayed(event: Delayed, mask: Mask) -> Event | None:
    doing = mask(event.doing)
    shown = doing or "takes longer to start"
    # A server that fails in its start does the same at each try.
    level = logging.DEBUG if event.is_restart else logging.INFO
    limit = "" if event.limit_s is None else f"; it has {event.limit_s:.0f} s for that"
    log.log(level, "%s: %s%s", event.name, shown, limit, extra=about(event.name))
    return InstanceDelayed(event.name, doing)


def _lost(event: SessionLost, mask: Mask) -> Event | None:
    return msgspec.structs.replace(event, reason=mask(event.reason))


def _request_failed(event: RequestFailed, mask: Mask) -> Event | None:
    error = attrs.evolve(event.error, message=mask(event.error.message))
    return msgspec.structs.replace(event, error=error)


def _down(event: Down, mask: Mask) -> Event | None:
    reason = "" if event.error is None else mask(str(event.error))
    if event.retry_in_s == 0:
        log.info("%s is started anew", event.name, extra=about(event.name))
    elif event.retry_in_s is not None:
        text = "%s is down (%s); next try in %.1f s"
        log.warning(text, event.name, reason, event.retry_in_s, extra=about(event.name))
    login = login_needed(event)
    if login is None:
        return InstanceDown(event.name, reason, event.restarts, event.retry_in_s)
    log.warning("%s needs a login: %s", event.name, reason, extra=about(event.name))
    return InstanceDown(event.name, reason, event.restarts, None, True, login)


def login_needed(event: Down) -> str | None:
    """Return the page for the login that a child needs before it can be started.

    Returns:
        The URL, empty if there is no page; None if no login is needed.
    """
    if event.retry_in_s is not None or event.error is None:
        return None
    group = cast("ExceptionGroup[Exception]", event.error)
    errors = group.exceptions if isinstance(event.error, ExceptionGroup) else (event.error,)
    found = (one for one in errors if isinstance(one, _NeedsLogin) and one.needs_login)
    return next((one.login_url for one in found), None)


def _gave_up(event: GaveUp, mask: Mask) -> Event | None:
    reason = mask(str(event.error))
    # A server that stays failed is no news every minute, for months.
    level = logging.DEBUG if event.is_repeated else logging.ERROR
    text = "%s failed (%s); next probe in %.0f s"
    log.log(level, text, event.name, reason, event.probe_in_s, extra=about(event.name))
    return InstanceFailed(event.name, reason, event.restarts, event.probe_in_s)


def _stuck(event: Stuck, _: Mask) -> Event | None:
    text = "%s does not stop, although it was cancelled; it is left behind"
    log.error(text, event.name, extra=about(event.name))
    return None


def _barrier(event: Barrier, _: Mask) -> Event | None:
    event.pass_on()
    return None


TRANSLATE: Final[dict[type[Any], Callable[[Any, Mask], Event | None]]] = {
    Up: _up,
    Queued: _queued,
    Starting: _starting,
    Delayed: _delayed,
    SessionLost: _lost,
    RequestFailed: _request_failed,
    Down: _down,
    GaveUp: _gave_up,
    Stuck: _stuck,
    Barrier: _barrier,
}

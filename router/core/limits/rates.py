"""Refuses the calls of a token that makes more of them than its `rate` allows.

Requests that go to a server count: tools, prompts, resources, completions, tasks, and everything
that a transparent view passes on. Lists, pings and the router's own tools do not. Nor do requests
that end something or answer a question, so that a client can always make room.

Invariants:

- All sessions of a token count together, with its calls by REST.
- A request counts once, however often it waits, and is in flight until its answer; the call of a
  request that needs input, until its server has ended it.
- Other limits are in force for the next request. They end no session.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from router.core.bounded.usage import Usage
from router.messages.effects import LogLine
from router.messages.errors import OVERLOADED, RpcError

if TYPE_CHECKING:
    from router.core.bounded.usage import Shortage
    from router.core.state.clients import ClientRequest
    from router.core.state.routing_state import RoutingState
    from router.messages.rates import RateLimits

QUIET_S: Final = 60.0
"""The least time between two lines about one token."""


def count(state: RoutingState, request: ClientRequest) -> None:
    """Count a request against the limits of its token.

    Raises:
        RpcError: -32015, the token has reached one of them. `data` has `limit`, its name, and
            `retry_in_s`.
    """
    if request.usage is not None:
        return
    name = request.client.principal.name
    limits = state.settings.rates.get(name)
    if limits is None:
        return
    usage = state.usages.setdefault(name, Usage())
    shortage = usage.take(limits, state.now_s)
    if shortage is None:
        request.usage = usage
        return
    _tell(state, name, usage, shortage)
    # It is no matter of the tool that was called: HTTP has a status for it, whatever the tool.
    request.is_own_tool = False
    data: dict[str, Any] = {"limit": shortage.limit, "retry_in_s": round(shortage.retry_in_s, 3)}
    raise RpcError(OVERLOADED, _message(name, limits, shortage), data)


def _message(name: str, limits: RateLimits, shortage: Shortage) -> str:
    if shortage.limit == "concurrent_calls":
        reached = f"has {limits.concurrent_calls} calls in flight, as many as it may"
        then = "try again once one of them has ended"
    else:
        pace = f"{limits.calls_per_minute} a minute with a burst of {limits.burst}"
        reached = f"makes calls faster than {pace}"
        then = f"try again in {shortage.retry_in_s:.1f} s"
    return f"Token '{name}' {reached} (security.tokens.{name}.rate.{shortage.limit}); {then}"


def _tell(state: RoutingState, name: str, usage: Usage, shortage: Shortage) -> None:
    """Have the log tell of refused calls: of the first one, then of all in a minute."""
    if state.now_s < usage.tell_at_s:
        return
    times = usage.refused - usage.told
    usage.told, usage.tell_at_s = usage.refused, state.now_s + QUIET_S
    calls = "a call is refused" if times == 1 else f"{times:,} calls were refused"
    line = f"Token '{name}' has reached its {shortage.limit}; {calls}"
    state.effects.append(LogLine(logging.WARNING, line, instance=""))


def settings_changed(state: RoutingState) -> None:
    """Forget the use of tokens that have no limits any more."""
    for name in state.usages.keys() - state.settings.rates.keys():
        del state.usages[name]

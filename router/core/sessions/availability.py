"""Says why a call to an instance cannot be made now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.core.state.instances import InstanceState
from router.messages.errors import UNAVAILABLE, RpcError

if TYPE_CHECKING:
    from router.core.state.instances import Instance


def unavailable_error(instance: Instance, now_s: float) -> RpcError:
    """Return the error for a call that cannot be made now: -32013, with reason and retry."""
    if not instance.spec.is_active:
        message = f"Instance '{instance.name}' is not active"
        return RpcError(UNAVAILABLE, message, {"state": instance.state})
    if instance.state is InstanceState.NEEDS_LOGIN:
        return _login_error(instance)
    retry_in_s = instance.retry_in_s(now_s)
    reason = "; before that: ".join(filter(None, (instance.doing, instance.last_error)))
    why = f"{instance.state}: {reason}" if reason else str(instance.state)
    then = "" if retry_in_s is None else f" (next try in {retry_in_s:.1f} s)"
    if retry_in_s == 0:
        then = " (the next try is due)"  # it waits for its turn to start
    data = {"state": instance.state, "last_error": instance.last_error, "retry_in_s": retry_in_s}
    if instance.doing is not None:
        data["doing"] = instance.doing
    return RpcError(UNAVAILABLE, f"Instance '{instance.name}' not connected: {why}{then}", data)


def _login_error(instance: Instance) -> RpcError:
    """Return the error for an instance whose server asks for a login, with the way out."""
    reason = instance.last_error or "its server asks for that"
    way_out = f"mcp-router login {instance.name}"
    then = "" if way_out in reason else f"; run: {way_out}"
    message = f"Instance '{instance.name}' needs a login: {reason}{then}"
    data = {"state": instance.state, "last_error": instance.last_error, "retry_in_s": None}
    return RpcError(UNAVAILABLE, message, data)

"""Says why a call to an instance cannot be made now, in the form that its client can act on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from msgspec import Raw

from router.core.protocol.questions import check_may_ask
from router.core.state.instances import InstanceState
from router.messages.errors import UNAVAILABLE, URL_ELICITATION_REQUIRED, RpcError

if TYPE_CHECKING:
    from router.core.state.clients import Call, Client, ClientRequest
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
    data = {"state": instance.state, "last_error": instance.last_error, "retry_in_s": None}
    # The reason of a person's session leaves the way out to the page, which is theirs alone.
    way_out = f"; run: mcp-router login {instance.name}"
    then = "" if "mcp-router " in reason else way_out
    if instance.login_url:
        data["login_url"] = instance.login_url
        then = _log_in_at(instance.login_url)
    return RpcError(UNAVAILABLE, f"Instance '{instance.name}' needs a login: {reason}{then}", data)


def _log_in_at(url: str) -> str:
    return f"; log in at {url}"


# --- The login of a person -------------------------------------------------------------------

_MAY_ASK_FOR_INPUT: Final = frozenset({"tools/call", "prompts/get", "resources/read"})
"""Methods whose requests may be answered with `input_required` (MCP 2026-07-28)."""

_URL_MODE: Final = {"mode": Raw(b'"url"')}


def error_for(asked: ClientRequest | Call, error: RpcError) -> tuple[RpcError, bool]:
    """Return an error as its client can make use of it, and whether it is a result of a tool.

    A person who has to log in is sent to the page for that (MCP 2025-11-25, Elicitation, URL
    Elicitation Required Error; at 2026-07-28 `protocol.bridging` makes `input_required` of it). If
    the client cannot do that, the model reads the URL.
    """
    data: Any = error.data
    url = cast("dict[str, Any]", data).get("login_url") if isinstance(data, dict) else None
    if not isinstance(url, str):
        return error, asked.is_own_tool
    client = asked.client
    if _can_open_pages(client, asked.method):
        ticket = url.rpartition("/")[2]  # No other page has it.
        page = {"mode": "url", "elicitationId": ticket, "url": url, "message": error.message}
        return RpcError(URL_ELICITATION_REQUIRED, error.message, {"elicitations": [page]}), False
    return error, asked.is_own_tool or (asked.method == "tools/call" and client.era != "own")


def failure_of_person(row: Instance, error: RpcError) -> RpcError:
    """Return the error for a call that failed in a session, with the page of its person if any."""
    data: Any = error.data
    if row.person is None or not isinstance(data, dict):
        return RpcError(error.code, error.message)
    url = cast("dict[str, Any]", data).get("login_url")
    then = _log_in_at(url) if isinstance(url, str) else ""
    return RpcError(error.code, f"{error.message}{then}", error.data)


def _can_open_pages(client: Client, method: str) -> bool:
    if client.is_stateless and method not in _MAY_ASK_FOR_INPUT:
        return False
    try:
        check_may_ask("elicitation/create", _URL_MODE, client.revision, client.capabilities)
    except RpcError:
        return False
    return True

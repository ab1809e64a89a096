"""Words the errors for tools that there are not, with the names that are nearest.

A tool that waits for approval has an error of its own, for those to whom it would be shown.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from router.core.names.direct_names import direct_name
from router.core.text.nearest_names import did_you_mean
from router.core.views import listings
from router.messages.errors import INVALID_PARAMS, NOT_ALLOWED, TOOL_NOT_FOUND, RpcError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from router.core.state.clients import Client
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState
    from router.messages.events import SessionUp


def unknown_tool(
    state: RoutingState, client: Client, name: str, *, suggests: bool = True
) -> RpcError:
    """Return the error for a tool that there is not (MCP 2025-11-25, Tools, Error Handling).

    Args:
        suggests: True to suggest the nearest names, which takes 20 ms with thousands of tools.
    """
    withheld = _withheld_by_direct_name(state, client, name)
    if withheld is not None:
        return withheld
    names = _direct_names(state, client) if suggests else ()
    return RpcError(INVALID_PARAMS, f"Unknown tool: {name}" + did_you_mean(name, names))


def _direct_names(state: RoutingState, client: Client) -> Iterable[str]:
    """Return the direct names of all tools that this client may call now."""
    limit, admitted = state.settings.name_limit, state.view_of(client).profile.tools
    seen = state.seen_by(client)
    names = (name for instance in seen for name in instance.direct_names(limit))
    return names if admitted.admits_all else filter(admitted.admits, names)


def not_found_in(state: RoutingState, client: Client, instance: Instance, tool: str) -> RpcError:
    """Return the error for a tool that an instance does not show to a client."""
    for own in instance.offers.withheld or ():
        if _shown_name(instance, own) == tool:
            return _quarantined_if_seen(state, client, instance, tool, own)
    withheld = _withheld_by_direct_name(state, client, tool)
    return withheld or _not_listed(state, client, instance, tool)


def _not_listed(state: RoutingState, client: Client, instance: Instance, tool: str) -> RpcError:
    message = f"Tool '{tool}' not found in instance '{instance.name}'"
    names = listings.admitted_names(state, state.view_of(client), instance)
    return RpcError(TOOL_NOT_FOUND, message + did_you_mean(tool, sorted(names)))


# --- Tools that wait for approval ------------------------------------------------------------


def check_is_approved(
    state: RoutingState, instance: Instance, session: SessionUp, tool: str
) -> None:
    """Check that the very server that is to be called offers a tool as it was approved.

    An instance shows the tools of one of its sessions, and another one may list others.

    Args:
        tool: the name under which the instance lists the tool.

    Raises:
        RpcError: -32016, the tool waits for approval.
    """
    row = state.sessions.get(session.session)
    own = instance.offers.own_name(tool)
    if row is not None and own in (row.offers.withheld or ()):
        raise _quarantined(instance, own)


def _withheld_by_direct_name(state: RoutingState, client: Client, name: str) -> RpcError | None:
    """Return the error for a direct name of a tool that waits for approval, if it is one."""
    limit = state.settings.name_limit
    for instance in () if state.pins is None else state.seen_by(client):
        own = _withheld_names(instance, limit).get(name)
        if own is not None:
            shown = _shown_name(instance, own)
            return _quarantined_if_seen(state, client, instance, shown, own)
    return None


def _withheld_names(instance: Instance, limit: int) -> dict[str, str]:
    """Return the server's names of the tools that wait for approval, by their direct names.

    They are made once per change of the instance: there may be thousands.
    """
    key = ("withheld", limit)
    names: dict[str, str] | None = instance.encoded.get(key)
    if names is None:
        withheld = instance.offers.withheld or ()
        shown = ((_shown_name(instance, own), own) for own in withheld)
        names = {direct_name(instance.name, tool, limit): own for tool, own in shown}
        instance.encoded[key] = names
    return names


def _shown_name(instance: Instance, own: str) -> str:
    return instance.spec.exposure.rename.get(own, own)


def _quarantined_if_seen(
    state: RoutingState, client: Client, instance: Instance, shown: str, own: str
) -> RpcError:
    """Return the error for a tool that is withheld; nobody hears of what is not shown to them."""
    view, exposure = state.view_of(client), instance.spec.exposure
    limit = state.settings.name_limit
    if exposure.tools.admits(own) and view.admits_tool(instance.name, shown, limit):
        return _quarantined(instance, own)
    return _not_listed(state, client, instance, shown)


_PLAIN_WORD: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def _quarantined(instance: Instance, own: str) -> RpcError:
    pins = instance.pins
    if pins is not None and not pins.table.is_usable:
        why = pins.table.problem or "what was approved has not been read yet"
        return RpcError(NOT_ALLOWED, f"Tool '{own}' of '{instance.name}' is quarantined: {why}")
    # The name is the server's, and people copy commands: it must be one plain word, and no option.
    word = f" {own}" if _PLAIN_WORD.fullmatch(own) else ""
    pinned_as = instance.name if pins is None else pins.instance
    way_out = f"run: mcp-router tools approve {pinned_as}{word}"
    problem = "it is not as it was approved, or nobody has approved it"
    message = f"Tool '{own}' of '{instance.name}' is quarantined: {problem}; {way_out}"
    return RpcError(NOT_ALLOWED, message)

"""Lists the router's own tools to clients that search for the tools of servers.

Invariant: equal lists are the same object, so that a list that was encoded is known to be current.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.core.protocol.own_tools import router_tools, search_tools
from router.core.views.instance_views import line_about

if TYPE_CHECKING:
    from router.core.names.client_names import Spelling
    from router.core.state.instance_table import Instances
    from router.messages.catalog import Item
    from router.messages.core_settings import CoreSettings
    from router.messages.instances.exposure import Expose


def own_items(
    settings: CoreSettings, listed_as: Expose, spelling: Spelling, seen: Instances
) -> tuple[Item, ...]:
    """Return the tools that search, then those that change instances, where these are allowed.

    Args:
        listed_as: "search" or "code".
        spelling: the client's.
        seen: the instances that the client sees, for the description of `search`.
    """
    # Those that only fail for now stay, so that the list does not change with each restart.
    servers = tuple((row.name, line_about(row) or "") for row in seen if row.may_run)
    key = ("own items", listed_as, spelling, settings.allow_instance_management)
    kept: tuple[object, tuple[Item, ...]] | None = seen.encoded.get(key)
    if kept is not None and kept[0] == servers:
        return kept[1]
    items = search_tools.items(listed_as, spelling, search_tools.servers_line(servers))
    if settings.allow_instance_management:
        items += router_tools.management_items(spelling)
    seen.encoded[key] = (servers, items)
    return items

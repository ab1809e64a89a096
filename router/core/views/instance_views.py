"""Builds the JSON values that `list`, `use` and the REST API show of instances.

Invariant: the keys are those of MCP Router 1.1; keys may only be added.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from router.core.state.instances import InstanceState
from router.core.state.session_rows import ClientSession, SessionRow, replicas_of
from router.core.text.raw_json import EMPTY_OBJECT, is_object, optional_text_of
from router.core.text.sentences import cut_to_one_line, first_sentence
from router.messages.catalog import INSTRUCTIONS, Catalog
from router.messages.params import object_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from msgspec import Raw

    from router.core.state.instances import Instance
    from router.messages.catalog import Item, KnownServer


def summaries(instances: Iterable[Instance], now_s: float) -> list[dict[str, Any]]:
    """Return the value of `list`: one object for each instance."""
    return [summary(instance, now_s) for instance in instances]


def summary(instance: Instance, now_s: float) -> dict[str, Any]:
    """Return the object that `list` and the REST API show of one instance."""
    spec = instance.spec
    row: dict[str, Any] = {
        "name": spec.name,
        "provider": spec.provider,
        "display_name": spec.display_name,
        "active": spec.is_active,
        "connected": instance.is_connected,
        "transport_type": spec.type,
        "tools_count": len(instance.offers.catalog.tools),
        "metadata": spec.metadata,
        "summary": _about(instance, None if instance.is_awaited else instance.known),
        "state": instance.state,
        "in_state_s": round(now_s - instance.since_s, 1),
        "restarts": instance.restarts,
        "last_error": instance.last_error,
        "stale": instance.is_stale,
        **_what_comes(instance, now_s),
    }
    if instance.is_per_client:
        clients = instance.client_sessions.values()
        row["sessions"] = [
            _session(one, now_s) for one in clients if isinstance(one, ClientSession)
        ]
    if instance.spec.has_replicas:
        row["replicas"] = [_session(one, now_s) for one in replicas_of(instance)]
    return row


def _session(row: SessionRow, now_s: float) -> dict[str, Any]:
    """Return the object that is shown of a replica, or of the session of one client."""
    whose = {"client": row.client_name} if isinstance(row, ClientSession) else {}
    return {
        "name": row.spec.name,
        **whose,
        "state": row.state,
        "in_state_s": round(now_s - row.since_s, 1),
        "restarts": row.restarts,
        "last_error": row.last_error,
        **_what_comes(row, now_s),
    }


def _what_comes(row: Instance, now_s: float) -> dict[str, Any]:
    """Return what a start that takes long does, or the time of the next start, if there is one."""
    coming: dict[str, Any] = {}
    if row.doing is not None:
        coming["doing"] = row.doing
    retry_in_s = row.retry_in_s(now_s)
    if retry_in_s is not None:
        coming["retry_in_s"] = round(retry_in_s, 1)
    return coming


_LINE_ABOUT: Final = "line about"


def line_about(instance: Instance) -> str | None:
    """Return one line about a server, by its last known words even while it is not there.

    It is found out once per change of the instance.
    """
    made_of = (instance.known, instance.offers, instance.spec)
    kept = instance.encoded.get(_LINE_ABOUT)
    if kept is None or any(a is not b for a, b in zip(kept[0], made_of, strict=True)):
        kept = instance.encoded[_LINE_ABOUT] = (made_of, _about(instance, instance.known))
    return kept[1]


def _about(instance: Instance, described: KnownServer | None) -> str | None:
    """Return one line about a server: by its own words, else by those of its configuration.

    Args:
        described: what is known of the server; None if that is not to be shown.
    """
    texts: list[str | None] = []
    if described is not None:
        texts = [first_sentence(instructions(instance) or ""), _title(instance, described)]
    note = instance.spec.metadata.get("description")
    texts.append(note if isinstance(note, str) else None)
    return next((line for text in texts if text and (line := cut_to_one_line(text))), None)


def _title(instance: Instance, described: KnownServer) -> str | None:
    """Return the title of a server, unless what it says is to be approved: no pin has titles."""
    info = described.server_info
    if instance.pins is not None and instance.pins.withheld(described) is not None:
        return None
    return optional_text_of(object_of(info), "title") if is_object(info) else None


def instructions(instance: Instance) -> str | None:
    """Return the instructions of a server, unless they wait for approval (`security.pinning`)."""
    known = instance.known
    if known is None:
        return None
    withheld = None if instance.pins is None else instance.pins.withheld(known)
    return None if withheld and INSTRUCTIONS in withheld else known.instructions


def details(instance: Instance) -> dict[str, Any]:
    """Return what a server says of itself, as far as it is known, and the sizes of its lists."""
    known, shown = instance.known, instance.offers.catalog
    listed = Catalog() if known is None else known.catalog
    kinds = ("tools", "prompts", "resources", "templates")
    counts = {kind: len(getattr(shown, kind)) for kind in kinds}
    hidden = {kind: max(0, len(getattr(listed, kind)) - counts[kind]) for kind in kinds}
    has_lists = bool(counts["tools"] or not instance.is_awaited)
    return {
        "server": None if known is None else known.server_info or None,
        "protocol": None if known is None else known.revision,
        "capabilities": None if known is None else known.capabilities or None,
        "instructions": instructions(instance),
        "counts": counts,
        "hidden": hidden if has_lists else dict.fromkeys(kinds, 0),
    }


def resources(instance: Instance) -> dict[str, list[Raw]]:
    """Return the resources and templates of an instance, as its server describes them."""
    catalog = instance.offers.catalog
    return {
        "resources": [item.raw for item in catalog.resources],
        "templates": [item.raw for item in catalog.templates],
    }


def prompts(instance: Instance) -> list[Raw]:
    """Return the prompts of an instance, as its server describes them."""
    return [item.raw for item in instance.offers.catalog.prompts]


def tool_view(item: Item) -> dict[str, Any]:
    """Return the members of a tool that MCP Router 1.1 shows of it."""
    tool = object_of(item.raw, "tool")
    return {
        "name": item.key,
        "description": tool.get("description", ""),
        "inputSchema": tool.get("inputSchema", EMPTY_OBJECT),
    }


def selection(instance: Instance) -> dict[str, Any]:
    """Return the value of `use`, for a client whose choice is remembered."""
    return {
        "instance": instance.name,
        "tools": [item.key for item in instance.offers.catalog.tools],
        # One that is idle takes calls as well: the first one starts it.
        "active": instance.is_connected or instance.state is InstanceState.IDLE,
    }

"""Follows the pins of tools: reports what differs, shows it, and takes approvals.

Invariants:

- Each difference is reported once: a line in the log, and a record for the audit log.
- What is approved is what was shown: an approval names digests.
- An approval counts, and is answered, when it is on disk.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from router.core.pinning.pin_table import PinTable
from router.core.pinning.reviews import PinnedInstance, PinReview
from router.core.records import change_records
from router.core.state.instance_table import take_pins_of_persons, whole_of
from router.core.state.session_rows import rows_of
from router.core.text.raw_json import printable
from router.core.text.sentences import cut_to_one_line
from router.core.views import list_changes
from router.messages.commands import LOCAL_USER
from router.messages.effects import LogLine, Reply
from router.messages.errors import (
    ALREADY_EXISTS,
    INVALID_REQUEST,
    NOT_SAVED,
    TOOL_NOT_FOUND,
    RpcError,
)
from router.messages.events import AdminCommand  # noqa: TC001 - msgspec looks it up
from router.messages.instances.instance_spec import CLIENT_MARK

if TYPE_CHECKING:
    from collections.abc import Iterable

    from router.core.pinning.pin_table import Difference
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState
    from router.messages.commands import ApproveTools, Principal, ShowPins
    from router.messages.core_settings import PinningSetting
    from router.messages.instances.pin_events import PinsRead, ToolsPinned


class Approval(Struct, frozen=True, eq=False):
    """An approval that is on its way to the disk.

    Attributes:
        event: the command of whoever approves.
        instance: the name of the instance, or the address of a person's part of it.
        tools: the approved tools; None for one that is to be forgotten.
    """

    event: AdminCommand
    instance: str
    tools: dict[str, bytes | None]


# --- What happens ----------------------------------------------------------------------------


def mode_changed(state: RoutingState, pinning: PinningSetting) -> None:
    """Begin to compare tools, compare them with other consequences, or compare them no more."""
    table = state.pins
    if table is None:
        state.pins = PinTable(pinning)
    elif pinning == "off":
        for approval in (*table.sent_approvals, *table.approvals):
            _settle(state, table, approval, _SWITCHED_OFF)
        state.pins = None
    else:
        table.mode = pinning
    for instance in state.instances:
        instance.pins = state.pins_of(instance.name)
        take_pins_of_persons(instance)
    for row in _pinned(state):
        _show_anew(state, row)


_SWITCHED_OFF: Final = RpcError(INVALID_REQUEST, "Tools are not pinned any more")


def pins_read(state: RoutingState, event: PinsRead) -> None:
    """Take over what was approved, as it was on disk."""
    if state.pins is not None:
        state.pins.take_file(event.pins, event.problem)
        for row in _pinned(state):
            _show_anew(state, row)


def tools_pinned(state: RoutingState, event: ToolsPinned) -> None:
    """Take over digests, and answer those who approved something."""
    table = state.pins
    if table is None or not table.has_sent(event.key):
        return  # Pinning was switched off; what was approved meanwhile is approved on disk.
    waiting = [one for one in _pinned(state) if one.pins is not None and one.pins.is_waiting]
    table.batch_done(event.digests, event.flags, saved=event.problem is None)
    approvals, table.sent_approvals = table.sent_approvals, []
    for approval in approvals:
        _settle(state, table, approval, event.problem)
    for instance in waiting:
        _show_anew(state, instance)
    for row in _pinned(state) if event.flags else ():
        _report_flags(state, row, event.flags)


def report_and_save(state: RoutingState, table: PinTable) -> None:
    """Report some of what differs, and give the store of pins what it is to do next."""
    for name, found in table.take_news():
        is_blocked = table.mode == "block"
        change_records.tool_changed(state, name, found, is_quarantined=is_blocked)
        way_out = f"see it: mcp-router tools approve {name}"
        text = f"{_sentence(name, found, is_blocked=is_blocked)}; {way_out}"
        state.effects.append(LogLine(logging.WARNING, text, name.partition(CLIENT_MARK)[0]))
    batch = table.take_batch(state.next_key())
    if batch is not None:
        state.effects.append(batch)


def _settle(
    state: RoutingState, table: PinTable, approval: Approval, problem: RpcError | None
) -> None:
    """Answer an approval that was written, or was not."""
    why = "" if problem is None else problem.message
    change_records.approved(state, approval.event, approval.instance, why)
    if problem is None:
        pins = table.of(approval.instance)
        pins.apply(approval.tools)
        for row in _pinned(state):
            if row.pins is pins:
                _show_anew(state, row)
    else:
        table.drop_unsaved(approval.instance, approval.tools)
    value = approval.instance if problem is None else problem
    state.effects.append(Reply(approval.event.reply_to, value))


def _pinned(state: RoutingState) -> list[Instance]:
    """Return what has pins of its own: the instances, and the parts of them that persons have."""
    return [row for one in state.instances for row in (one, *one.persons.values())]


def _show_anew(state: RoutingState, instance: Instance) -> None:
    """Show the lists of an instance as its pins are now, and notify its clients of changes."""
    with list_changes.noticing(state, instance):
        for row in _rows(instance):
            row.record_spec(row.spec)


def _rows(instance: Instance) -> Iterable[Instance]:
    return {id(row): row for row in (instance, *rows_of(instance))}.values()


# --- What differs ----------------------------------------------------------------------------


def differences(instance: Instance) -> dict[str, Difference]:
    """Return what differs from what was approved, in any session of an instance, by name."""
    found: dict[str, Difference] = {}
    if instance.spec.is_per_person and instance.person is None:
        return found  # Its sessions are persons' own, and compared with what they have approved.
    if instance.pins is not None and instance.pins.table.is_usable:
        for row in _rows(instance):
            if row.known is not None:
                found = instance.pins.compare(row.known) | found
    return found


def _sentence(instance: str, found: Difference, *, is_blocked: bool) -> str:
    what = "is new" if found.change == "new" else "is not the one that was approved"
    digests = f"{found.approved_sha256[:12] or 'none'} -> {found.sha256[:12]}"
    blocked = ", and is quarantined" if is_blocked else ""
    # All readers of the log see this, and a person's tools are nobody else's business.
    tool = "A tool" if CLIENT_MARK in instance else f"Tool '{cut_to_one_line(found.tool)}'"
    return f"{tool} of {instance} {what} ({digests}){blocked}"


def _report_flags(
    state: RoutingState, instance: Instance, flags: dict[bytes, tuple[str, ...]]
) -> None:
    """Log what is suspicious in tools that were looked at for the first time."""
    for item in () if instance.known is None else instance.known.catalog.tools:
        for flag in flags.get(bytes(item.raw), ()):
            text = f"Tool '{cut_to_one_line(item.key)}' of {instance.name}: {printable(flag)}"
            if instance.person is not None:
                text = f"A tool of {_name_of(instance)} has hidden text, which its person is shown"
            state.effects.append(LogLine(logging.WARNING, text, instance.name))


def unapproved(instance: Instance) -> list[str]:
    """Return the tools that wait for approval, by the server's names."""
    return [name for name, one in differences(instance).items() if one.now is not None]


def warnings_of(instance: Instance) -> list[str]:
    """Return sentences for the row of an instance: what is quarantined, or has changed."""
    pins = instance.pins
    if pins is None or not pins.table.is_usable:
        problem = None if pins is None else pins.table.problem
        return [] if problem is None else [f"its tools cannot be compared: {problem}"]
    what = "quarantined" if pins.table.mode == "block" else "not as approved"
    persons = [one for one in instance.persons.values() if unapproved(one)]
    if persons:
        one = "1 person has tools" if len(persons) == 1 else f"{len(persons)} persons have tools"
        return [f"{one} that are {what}; on this machine, run: mcp-router tools approve"]
    names = [cut_to_one_line(name) for name in unapproved(instance)]
    if not names:
        return []
    shown = ", ".join(names[:MAX_NAMES]) + (", ..." if len(names) > MAX_NAMES else "")
    one = "1 tool is" if len(names) == 1 else f"{len(names)} tools are"
    return [f"{one} {what} ({shown}); run: mcp-router tools approve {instance.name}"]


MAX_NAMES: Final = 5
"""Names of tools in a warning."""


# --- Commands --------------------------------------------------------------------------------


def show_pins(state: RoutingState, event: AdminCommand, _: ShowPins) -> None:
    """Answer with everything that a review needs, for the instances that the sender sees.

    Those of which each person has a part are shown to each as their own. Only the user who runs the
    router sees the parts of others: the tools in them that differ.
    """
    table = state.pins
    shown = () if table is None else state.shown_to(event.principal)
    instances = {
        one.name: PinnedInstance(
            {} if one.known is None else {item.key: item.raw for item in one.known.catalog.tools},
            list(differences(one).values()),
        )
        for one in shown
    }
    if event.principal.name == LOCAL_USER:
        parts = [part for one in shown for part in whole_of(one).persons.values()]
        for part in parts:
            if part.person != LOCAL_USER and (found := differences(part)):
                instances[_name_of(part)] = PinnedInstance({}, list(found.values()))
    problem = None if table is None else table.problem
    review = PinReview(state.settings.pinning, problem, instances)
    state.effects.append(Reply(event.reply_to, review))


def approve(state: RoutingState, event: AdminCommand, what: ApproveTools) -> None:
    """Have tools saved as approved; the command is answered after that.

    Raises:
        RpcError: -32010, there is no such instance; -32600, pinning is off; -32019, the file of
            pins cannot be used; -32014, a tool does not differ; -32018, it changed after it was
            shown.
    """
    instance = _find(state, event.principal, what.name)
    name = _name_of(instance)
    try:
        tools = _checked(state, instance, what)
    except RpcError as error:
        change_records.approved(state, event, name, error.message)
        raise
    assert state.pins is not None, "checked"
    state.pins.save(name, tools)
    state.pins.approvals.append(Approval(event, name, tools))


def _find(state: RoutingState, principal: Principal, name: str) -> Instance:
    """Return the instance of this name, or the part of one that a person has.

    Raises:
        RpcError: -32010, the principal sees no such instance, or it is another person's.
    """
    seen = state.shown_to(principal)
    whole = seen.by_name.get(name.partition(CLIENT_MARK)[0])
    for part in () if whole is None else whole_of(whole).persons.values():
        if _name_of(part) == name and principal.name in (part.person, LOCAL_USER):
            return part
    return seen.find(name)


def _name_of(row: Instance) -> str:
    """Return the name of what has pins: of an instance, or its address where it is a person's."""
    return row.name if row.pins is None else row.pins.instance


def _checked(
    state: RoutingState, instance: Instance, what: ApproveTools
) -> dict[str, bytes | None]:
    table = state.pins
    if table is None:
        raise RpcError(INVALID_REQUEST, "Tools are not pinned; set security.pinning")
    if not table.is_usable:
        raise RpcError(NOT_SAVED, table.problem or "What was approved has not been read yet")
    if not what.tools:
        raise RpcError(INVALID_REQUEST, "No tool is named")
    differing = differences(instance)
    tools: dict[str, bytes | None] = {}
    for name, sha256 in what.tools.items():
        found = differing.get(name)
        if found is None:
            problem = f"Tool '{name}' of '{instance.name}' does not differ from what was approved"
            raise RpcError(TOOL_NOT_FOUND, problem)
        if not found.is_settled or (found.sha256 or None) != sha256:
            problem = f"Tool '{name}' of '{instance.name}' changed after it was shown; look again"
            raise RpcError(ALREADY_EXISTS, problem)
        tools[name] = found.now
    return tools

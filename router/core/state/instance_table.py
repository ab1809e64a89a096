"""Makes the rows of instances, keeps them in their order, and finds one by its name or by a direct
name.

Invariant: a table is made anew when the configuration changes, so what was derived from it can be
told from what is out of date.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import attrs
from msgspec import Struct

from router.core.names import direct_names
from router.core.state.instances import Instance, InstanceState, NamedKind
from router.core.text.raw_json import printable
from router.messages.errors import INSTANCE_NOT_FOUND, RpcError
from router.messages.instances.instance_spec import CLIENT_MARK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from router.core.pinning.pin_table import PinnedTools
    from router.messages.catalog import KnownServer
    from router.messages.commands import Principal
    from router.messages.instances.instance_spec import InstanceSpec


def new_instance(
    spec: InstanceSpec,
    now_s: float,
    known: KnownServer | None = None,
    *,
    is_lazy: bool = False,
    pins: PinnedTools | None = None,
) -> Instance:
    """Return the row of an instance that was just configured.

    Args:
        spec: its configuration.
        now_s: monotonic second of the event.
        known: what is known of a server with this configuration; it is not shown where each person
            has lists of their own.
        is_lazy: True to have its first use start it, if it is known what it offers.
        pins: its approved tools, unless pinning is off.
    """
    if not spec.is_active:
        return Instance(spec, InstanceState.DISABLED, now_s, pins=pins)
    if spec.problem is not None:
        problem = printable(spec.problem)
        return Instance(spec, InstanceState.FAILED, now_s, last_error=problem, pins=pins)
    waits_for_use = spec.sessions == "per_client" or (is_lazy and known is not None)
    state = InstanceState.IDLE if waits_for_use else InstanceState.STARTING
    instance = Instance(spec, state, now_s, pins=pins)
    if known is not None and not spec.is_per_person:
        instance.record_known(known)
    return instance


class PersonalPart(Instance, eq=False, kw_only=True):
    """The part of an instance that one person has: the own sessions, and the lists of their server.

    It stands for the instance in whatever this person sees. Its `spec` is that of the instance,
    with the `person`; its state sums up the sessions of this person.

    Attributes:
        instance: the configured instance, which sums up all sessions and shows no lists.
    """

    instance: Instance

    @property
    def task_scope(self) -> str:
        """The scope of this person's session."""
        return _personal_address(self.instance, self.person or "")


MAX_PERSONS: Final = 10_000
"""Persons whose parts of an instance are kept; beyond them, one without a session is forgotten."""


def part_of(instance: Instance, person: str) -> Instance:
    """Return the part of an instance that a person has.

    Args:
        instance: has a session for each person; it, or any part of it.
        person: the name of a principal; empty for one without a name, who has no part. Then the
            result is the instance, which shows no lists and serves nobody.
    """
    whole = whole_of(instance)
    part = whole.persons.get(person)
    if part is not None or not person:
        return part or whole
    if len(whole.persons) >= MAX_PERSONS:
        unused = next((name for name, one in whole.persons.items() if not one.client_sessions), "")
        whole.persons.pop(unused, None)
    if instance.person == person:
        part = instance  # It was forgotten, but is what this person sees.
    else:
        state = InstanceState.IDLE if whole.may_run else whole.state
        spec = attrs.evolve(whole.spec, person=person)
        part = PersonalPart(spec, state, whole.since_s, last_error=whole.last_error, instance=whole)
        _take_pins(part, whole)
    whole.persons[person] = part
    return part


def take_pins_of_persons(instance: Instance) -> None:
    """Give the parts of an instance the pins that are theirs, after its own were set."""
    for part in instance.persons.values():
        _take_pins(part, instance)


def _take_pins(part: Instance, whole: Instance) -> None:
    # Of its own: the tools of one person are no matter of another, and approved by neither.
    address = _personal_address(whole, part.person or "")
    part.pins = None if whole.pins is None else whole.pins.table.of(address)


def whole_of(instance: Instance) -> Instance:
    """Return the configured instance of which this may be a part."""
    return instance.instance if isinstance(instance, PersonalPart) else instance


def _personal_address(whole: Instance, person: str) -> str:
    """Return the address of a person's sessions, which names the pins of this person as well."""
    return address_of(whole.name, ("person", person))


def address_of(name: str, key: tuple[str, ...]) -> str:
    """Return the address of the sessions of an instance that serve whom this key names.

    Two keys never have one address: what others have chosen, such as a name, is quoted.
    """
    return f"{name}{CLIENT_MARK}{':'.join(quote(part, safe='') for part in key)}"


class Instances(Struct):
    """All configured instances, or those that somebody sees, in their order of configuration.

    Attributes:
        by_name: the rows.
        encoded: what was made of all their lists, kept until one changes; see `core.views`.
    """

    by_name: dict[str, Instance] = {}
    encoded: dict[Any, Any] = {}

    def __iter__(self) -> Iterator[Instance]:
        return iter(self.by_name.values())

    def seen_by(self, principal: Principal) -> Instances:
        """Return the instances that this principal may see."""
        if principal.instances is None:
            return self
        seen = principal.instances
        return Instances({name: row for name, row in self.by_name.items() if name in seen})

    def find(self, wanted: str) -> Instance:
        """Return the instance with this name, else the only instance of this provider.

        Raises:
            RpcError: -32010, no instance matches, or the provider has several.
        """
        found = self.by_name.get(wanted)
        if found is not None:
            return found
        of_provider = [row for row in self.by_name.values() if row.spec.provider == wanted]
        if len(of_provider) == 1:
            return of_provider[0]
        if of_provider:
            names = _quoted(row.name for row in of_provider)
            raise RpcError(
                INSTANCE_NOT_FOUND,
                f"Provider '{wanted}' has several instances; name one of them: {names}",
            )
        raise RpcError(
            INSTANCE_NOT_FOUND,
            f"Instance not found: {wanted}. Available instances: {_quoted(self.by_name)}",
        )

    def find_direct(
        self, name: str, limit: int, kind: NamedKind = "tools"
    ) -> tuple[Instance, str] | None:
        """Return the instance whose tool or prompt has this direct name, and the name in its list.

        Args:
            name: any text.
            limit: the greatest length of a direct name in characters.
            kind: the list.

        Returns:
            None if none has it now.
        """
        # The usual case: without a hash, the first separator stands behind the instance.
        owner = self.by_name.get(name.partition(direct_names.SEPARATOR)[0])
        if owner is not None:
            found = owner.direct_names(limit, kind).get(name)
            if found is not None:
                return owner, found
        for row in self._owners_of(name, limit):
            found = row.direct_names(limit, kind).get(name)
            if found is not None:
                return row, found
        return None

    def find_ready_owner(self, name: str, limit: int) -> tuple[Instance, str] | None:
        """Return the ready instance that a direct name without a hash names, and the rest of it.

        The server has nothing of this name in its lists, and says so in its own words.
        """
        owner = direct_names.instance_in(name, limit)
        row = None if owner is None else self.by_name.get(owner)
        if row is None or row.is_awaited:
            return None
        return row, name.removeprefix(row.name + direct_names.SEPARATOR)

    def find_awaited_owner(self, name: str, limit: int) -> Instance | None:
        """Return an instance without a session that may have a tool of this direct name."""
        owners = [row for row in self._owners_of(name, limit) if row.is_awaited]
        awaited = [row for row in owners if direct_names.may_be_of(row.name, name, limit)]
        # Of several, one that will be ready: the others would refuse the call.
        return next((row for row in awaited if row.may_become_ready()), next(iter(awaited), None))

    def _owners_of(self, name: str, limit: int) -> Iterable[Instance]:
        """Return the instances that may have a tool of this direct name."""
        if direct_names.is_hashed(name, limit):
            return self
        row = self.by_name.get(direct_names.instance_in(name, limit) or "")
        return () if row is None else (row,)


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "none"

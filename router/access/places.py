"""The views that have a place of their own (`/mcp/{name}`), and who finds which of them.

Each profile is a place, and so is each instance, also one that is disabled or cannot be started.

Invariants:

- Where a profile and an instance have the same name, the place shows the profile. That is a problem
  of the configuration, which stands in `problems`, and once in the log.
- A session at a place ends with that place.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Protocol, TypeVar
from weakref import WeakSet

import trio

from router.config.profiles import find_shared_names, find_unknown_view

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from router.config.settings import Settings
    from router.messages.commands import Principal
    from router.messages.instances.instance_spec import InstanceSpec

log = logging.getLogger("mcp_router.places")

FIRST_READING_S: Final = 10.0
"""How long a request waits for the first reading of `data/`, as the core's early requests do."""


class PlacedEndpoint(Protocol):
    """An endpoint whose clients may have sessions or streams open at places."""

    def end_vanished(self, is_place: Callable[[str, Principal], bool], /) -> None:
        """End everything at places that are not there any more."""
        ...


E = TypeVar("E", bound=PlacedEndpoint)


class Places:
    """The places of the moment. A part that applies new settings, see `LivePart`.

    Args:
        settings: in force at the start; `profiles` has the names of the profiles.
        file: the name of the config file in messages.
        view: the view that the command line names with `--view`; None if it names none.

    Attributes:
        problems: names that are taken twice or are missing, one line each.
        forwarded_names: the names, in lower case, of the headers that some instance forwards.
        forwarding_changed: is called when these names are others.
    """

    def __init__(self, settings: Settings, file: str, view: str | None = None) -> None:
        self.problems: tuple[str, ...] = ()
        self.forwarded_names: frozenset[str] = frozenset()
        self.forwarding_changed: Callable[[], None] | None = None
        self._file = file
        self._view = view
        self._profiles = settings.profiles
        self._sources: dict[str, str] = {}  # name of an instance -> its file
        self._instances_known = trio.Event()
        # Weak: an endpoint belongs to its listener, and is forgotten once that has ended.
        self._endpoints: WeakSet[PlacedEndpoint] = WeakSet()

    def register(self, endpoint: E) -> E:
        """Register an endpoint so that sessions end with their places; returns it."""
        self._endpoints.add(endpoint)
        return endpoint

    # --- As listeners see it -----------------------------------------------------------------

    def has(self, name: str, principal: Principal, /) -> bool:
        """Return whether there is a view of this name for this principal, as far as is known."""
        if principal.profile is not None:
            return name == principal.profile and name in self._profiles
        if name in self._profiles:
            return True
        is_seen = principal.instances is None or name in principal.instances
        return is_seen and name in self._sources

    def is_instance(self, name: str) -> bool:
        """Return whether an instance has this name, as far as is known."""
        return name in self._sources

    async def wait_for_instances(self) -> None:
        """Wait for the first reading of `data/`, within limits."""
        with trio.move_on_after(FIRST_READING_S):
            await self._instances_known.wait()

    # --- Changes -----------------------------------------------------------------------------

    def prepare(self, new: Settings) -> None:
        """Do nothing: other profiles cannot fail."""

    def apply(self, new: Settings) -> None:
        """Go by the profiles of these settings from now on."""
        self._profiles = new.profiles
        self._changed()

    def take_instances(self, specs: Iterable[InstanceSpec]) -> None:
        """Go by these instances from now on; the actor has been told of them already."""
        specs = tuple(specs)
        self._sources = {spec.name: spec.source for spec in specs}
        before = self.forwarded_names
        self.forwarded_names = frozenset(name for spec in specs for name in spec.forward_headers)
        if self.forwarded_names != before and self.forwarding_changed is not None:
            self.forwarding_changed()
        self._instances_known.set()
        self._changed()

    def _changed(self) -> None:
        if self._instances_known.is_set():
            self._note_problems()
        for endpoint in list(self._endpoints):
            endpoint.end_vanished(self.has)

    def _note_problems(self) -> None:
        problems = (
            *map(str, find_shared_names(self._profiles, self._sources, self._file)),
            *map(str, find_unknown_view(self._view, self._profiles, self._sources)),
        )
        for problem in problems:
            if problem not in self.problems:
                log.error("%s", problem)
        self.problems = problems

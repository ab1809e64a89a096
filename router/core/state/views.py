"""Resolves the place that a client asked for to a view: the part of the router that it sees.

A place is named like a profile or like an instance; the default place has no name.

Invariants:

- A client sees no instance that its view or its principal leaves out, whichever way it asks.
- A place that is gone is gone for the clients that are there as well.
- Of an instance in which each person has a session, a client sees the part of its own principal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from router.core.names.direct_names import SEPARATOR, direct_name
from router.core.state.instance_table import Instances, part_of
from router.messages.errors import INSTANCE_NOT_FOUND, RpcError
from router.messages.instances.exposure import Profile, matches_any

if TYPE_CHECKING:
    from collections.abc import Hashable

    from router.core.state.instances import Instance
    from router.messages.commands import Principal
    from router.messages.core_settings import CoreSettings
    from router.messages.instances.exposure import Expose


MAX_SEEN: Final = 1000
"""Principals for which a view keeps the instances they see; they are found out anew at no loss."""


class Selection(Struct, eq=False):
    """The instance chosen with `mcp.router.use`, whose tools are listed beside the router's.

    A selection belongs to a session, or to a connection on stdio, whose requests share it. A lone
    HTTP request never has one, so no client changes what another client sees and calls.

    Attributes:
        instance: the name of the instance; None before the first `use`.
    """

    instance: str | None = None


class View(Struct, eq=False):
    """The part of the router that one place shows.

    Attributes:
        profile: the kind of the view, its instances, tools, title and instructions.
        instance: the name of the only instance, if the view is transparent; None otherwise.
        expose: its kind.
        is_transparent: True if it shows one instance as if the router were not there.
        is_direct: True if everything of all its instances has direct names and URIs, whether all
            tools are listed or searched.
        shows_all_tools: True if the profile leaves out no tool.
        approve: patterns for the tools of the profile whose calls wait for a yes.
    """

    profile: Profile
    instance: str | None = None
    expose: Expose = "router"
    is_transparent: bool = False
    is_direct: bool = False
    shows_all_tools: bool = True
    approve: tuple[str, ...] = ()
    # The instances that each principal sees here, since the last change: by the names it may see,
    # and by its own name where that matters.
    _seen: dict[Hashable, Instances] = {}
    _all: Instances | None = None
    _is_personal: bool = False

    def __post_init__(self) -> None:
        self.expose = self.profile.expose
        self.is_transparent = self.instance is not None
        self.is_direct = not self.is_transparent and self.expose != "router"
        self.shows_all_tools = self.profile.tools.admits_all
        self.approve = self.profile.tools.approve

    def seen_by(self, instances: Instances, principal: Principal) -> Instances:
        """Return the instances that this view shows to a principal.

        Args:
            instances: all of them; another object after each change of the configuration.
            principal: its own limit applies as well.
        """
        if self._all is not instances:
            self._all = instances
            self._seen.clear()
            self._is_personal = any(row.spec.is_per_person for row in instances)
        key: Hashable = principal.instances
        if self._is_personal:
            key = (principal.instances, principal.name)
        seen = self._seen.get(key)
        if seen is None:
            if len(self._seen) >= MAX_SEEN:
                self._seen.clear()
            shown = self.overseen_by(instances, principal)
            if self._is_personal:
                person = principal.name
                shown = {
                    name: part_of(row, person) if row.spec.is_per_person else row
                    for name, row in shown.items()
                }
            seen = self._seen[key] = Instances(shown)
        return seen

    def overseen_by(self, instances: Instances, principal: Principal) -> dict[str, Instance]:
        """Return the instances that this view shows to a principal, as they are for everybody.

        That is for those who look after the router, and want to know how all sessions are.
        """
        rows = instances.seen_by(principal).by_name.items()
        return {name: row for name, row in rows if self._shows(name)}

    def _shows(self, name: str) -> bool:
        if self.instance is not None:
            return name == self.instance
        return matches_any(name, self.profile.instances)

    def admits_tool(self, instance: str, tool: str, limit: int) -> bool:
        """Return whether the profile of this view shows a tool.

        The profile's patterns are for the names that the view shows, or may be called by in it:
        those of the server in a transparent view, direct names in all others.

        Args:
            instance: the name of the tool's instance.
            tool: the name in the list of that instance.
            limit: the greatest length of a direct name in characters.
        """
        if self.shows_all_tools:
            return True
        shown = tool if self.is_transparent else direct_name(instance, tool, limit)
        return self.profile.tools.admits(shown)

    def wants_approval(self, instance: str, tool: str, limit: int) -> bool:
        """Return whether the profile of this view has calls of a tool wait for a yes.

        Args:
            instance, tool, limit: see `admits_tool`. A direct name that is cut counts with what was
                cut off as well, so that a long name does not escape a pattern for its end.
        """
        if self.is_transparent:
            return matches_any(tool, self.approve)
        return matches_any(direct_name(instance, tool, limit), self.approve) or matches_any(
            f"{instance}{SEPARATOR}{tool}", self.approve
        )

    def the_instance(self, instances: Instances, principal: Principal) -> Instance:
        """Return the one instance of a transparent view.

        Raises:
            RpcError: -32010, it is gone, or this principal may not see it.
        """
        seen = self.seen_by(instances, principal)
        for row in seen:
            return row
        raise RpcError(INSTANCE_NOT_FOUND, f"Instance not found: {self.instance}")


ALL: Final = View(Profile("router"))
"""The view of a command whose token has no profile: everything, whatever clients see."""


class ListChoice(Struct, frozen=True):
    """The list of tools that a client of an `auto` view gets.

    Attributes:
        kind: "direct" or "search".
        reason: why, in words; it may hold the name that the client gives itself.
        is_final: False while it may change in the same session, since lists are missing.
        client: name and version that the client gives itself, in one line.
        place: the place of its view; None for the default one.
    """

    kind: Expose
    reason: str
    is_final: bool
    client: str
    place: str | None


class Sight(Struct, frozen=True, eq=False):
    """A view as one client sees it, kept with its row until the configuration changes.

    Attributes:
        view: the view at its place.
        seen: the instances that this view shows to its principal.
        settings, instances: what both follow from: others are other objects.
    """

    view: View
    seen: Instances
    settings: CoreSettings
    instances: Instances


class Views(Struct, eq=False):
    """The views by their place, as the settings define them."""

    _by_place: dict[str | None, View] = {}
    _settings: CoreSettings | None = None

    def find(self, place: str | None, settings: CoreSettings, instances: Instances) -> View | None:
        """Return the view at a place; None if there is no such place.

        Args:
            place: the name of a profile or an instance; None for the default view.
            settings: define the profiles and the default view.
            instances: all of them.
        """
        if settings is not self._settings:
            self._settings = settings
            self._by_place.clear()
        view = self._by_place.get(place)
        if view is None:
            view = _view(place, settings, instances)
            if view is not None:
                self._by_place[place] = view
        elif view.instance is not None:
            name = settings.view if place is None else place
            if name not in settings.profiles and name not in instances.by_name:
                return None  # The instance is gone, and with it the place of its name.
        return view


_DEFAULTS: Final[dict[str, Profile]] = {
    "router": Profile("router"),
    "direct": Profile("direct"),
    "search": Profile("search"),
    "auto": Profile("auto"),
}
"""The views that need no definition (`config.profiles.DEFAULT_VIEWS`). Profiles come first."""


def _view(place: str | None, settings: CoreSettings, instances: Instances) -> View | None:
    name = settings.view if place is None else place
    profile = settings.profiles.get(name)
    if profile is not None:
        return View(profile, profile.instances[0] if profile.expose == "transparent" else None)
    if place is None and name in _DEFAULTS:
        return View(_DEFAULTS[name])
    if name in instances.by_name:
        return View(Profile("transparent"), name)
    return None

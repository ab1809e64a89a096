"""The places of an endpoint: its own path, and one path below it for each view that has a name.

`/mcp` is the default place, `/mcp/{name}` the place of a profile or an instance. No I/O.

Invariant: a place that a client may not see and one that does not exist are refused alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from router.messages.errors import HttpRefusal

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from router.messages.commands import Principal


class Places(Protocol):
    """The views that have a place of their own, and what their instances want of requests.

    Attributes:
        forwarded_names: the names, in lower case, of the headers that some instance forwards.
    """

    @property
    def forwarded_names(self) -> Collection[str]: ...

    def has(self, name: str, principal: Principal, /) -> bool:
        """Return whether there is a view of this name for this principal, as far as is known."""
        ...

    async def wait_for_instances(self) -> None:
        """Wait, within limits, until `has` knows all names; no checkpoint if it does already."""
        ...


class _OnlyTheDefault:
    forwarded_names: Collection[str] = ()

    def has(self, _name: str, _principal: Principal, /) -> bool:
        return False

    async def wait_for_instances(self) -> None:
        pass


ONLY_THE_DEFAULT: Final[Places] = _OnlyTheDefault()
"""No view has a place of its own."""


def view_at(path: str, default_place: str) -> str | None:
    """Return the name of the view that a path asks for; None for the default place.

    Args:
        path: of a request, percent-decoded; it may hold anything.
        default_place: the path of the endpoint, such as `/mcp`.

    Raises:
        HttpRefusal: 404, the path is none of this endpoint.
    """
    if path == default_place:
        return None
    name = path.removeprefix(f"{default_place}/")
    # No name holds a slash, so neither a path below a place nor `%2F` in a name is a place.
    if name == path or not name or "/" in name:
        raise HttpRefusal(404, "Not found")
    return name


def check_place(places: Places, view: str | None, principal: Principal) -> None:
    """Check that a view, as `view_at` returns it, is there for this principal.

    Raises:
        HttpRefusal: 404, it is not.
    """
    if view is not None and not places.has(view, principal):
        raise no_such_view()


async def wait_for_place(
    places: Places, view: str, principal: Principal, admit: Callable[[], Principal]
) -> Principal:
    """Wait for a place that may be known only once all instances have been read.

    Args:
        places: the places that there are.
        view: as `view_at` returns it.
        principal: the sender of the request.
        admit: admits the request again after the wait, because rules change meanwhile.

    Returns:
        The principal of the request, as it is now.

    Raises:
        HttpRefusal: as `admit`; 404, there is no such place for the principal.
    """
    if places.has(view, principal):
        return principal
    await places.wait_for_instances()
    principal = admit()
    check_place(places, view, principal)
    return principal


def no_such_view() -> HttpRefusal:
    """Refuse a request at a place that is not there, or not for its sender."""
    return HttpRefusal(404, "Not found: there is no profile or instance of this name for you")

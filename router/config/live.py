"""Keys of `config.json` that take effect while the router runs.

A key is declared live once, by `live()` in the class that holds it. The list of live keys, the
settings of the core, and the keys that restart the REST listener are derived from that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

_LIVE: Final = "live"
_CORE: Final = "core"
_RESTARTS_API: Final = "restarts_api"


def live(
    default: T | None = None,
    *,
    factory: Callable[[], T] | None = None,
    repr: bool = True,  # noqa: A002 - as `attrs.field` calls it
    core: str | None = None,
    restarts_api: bool = False,
) -> T:
    """Declare a key that takes effect without a restart of the program.

    Args:
        default: the value of the key if the file has none.
        factory: makes the default, in place of `default`.
        repr: False for a secret, which the `repr` of the settings does not show.
        core: the attribute of `CoreSettings` that gets the value; None if it is not for the core.
        restarts_api: True if the REST listener reads the key only when it starts.
    """
    metadata = {_LIVE: True, _CORE: core, _RESTARTS_API: restarts_api}
    if factory is not None:
        return attrs.field(factory=factory, repr=repr, metadata=metadata)
    return attrs.field(default=cast("T", default), repr=repr, metadata=metadata)


def changed_keys(old: Any, new: Any) -> tuple[str, ...]:
    """Return the keys in which two settings differ, such as `api.port`, in their order."""
    pairs = zip(_keys(old), _keys(new), strict=True)
    return tuple(key for (key, _, before), (_, _, after) in pairs if before != after)


def live_keys(settings: Any) -> frozenset[str]:
    """Return the keys that take effect without a restart of the program."""
    return frozenset(key for key, metadata, _ in _keys(settings) if _LIVE in metadata)


def values_for_core(settings: Any) -> dict[str, Any]:
    """Return the values for the core, by the attributes of `CoreSettings`."""
    found = ((metadata.get(_CORE), value) for _, metadata, value in _keys(settings))
    return {name: value for name, value in found if name is not None}


def values_at_api_start(settings: Any) -> tuple[Any, ...]:
    """Return the values that the REST listener reads only when it starts."""
    return tuple(value for _, metadata, value in _keys(settings) if metadata.get(_RESTARTS_API))


def _keys(settings: Any, path: str = "") -> Iterator[tuple[str, dict[Any, Any], Any]]:
    """Yield each key with its metadata and value; a section is taken apart into its keys."""
    for attribute in attrs.fields(cast("type[attrs.AttrsInstance]", type(settings))):
        key, value = f"{path}{attribute.name}", getattr(settings, attribute.name)
        if attrs.has(cast("type[Any]", type(value))):
            yield from _keys(value, f"{key}.")
        else:
            yield key, attribute.metadata, value

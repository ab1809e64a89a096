"""stub: replaced by branch `filters`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from router.messages.catalog import Catalog

if TYPE_CHECKING:
    from msgspec import Raw

    from router.messages.exposure import Exposure


def _no_names() -> dict[str, str]:
    return {}


def _no_fixed() -> dict[str, dict[str, Raw]]:
    return {}


@attrs.frozen(eq=False)
class ExposedCatalog:
    """The lists of an instance as clients see them."""

    catalog: Catalog = Catalog()
    own_names: dict[str, str] = attrs.field(factory=_no_names)
    fixed: dict[str, dict[str, Raw]] = attrs.field(factory=_no_fixed)
    unknown: tuple[str, ...] = ()
    hides_tools: bool = False


NOTHING: Final = ExposedCatalog()


def expose(catalog: Catalog, exposure: Exposure) -> ExposedCatalog:
    """Return the lists as clients see them."""
    return ExposedCatalog(catalog, {item.key: item.key for item in catalog.tools})


def with_fixed(arguments: Raw | None, fixed: dict[str, Raw]) -> Raw:
    """Put fixed arguments into a call."""
    raise NotImplementedError

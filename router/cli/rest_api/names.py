"""Says which name was meant where there is no instance, tool, resource or prompt of a name."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from router.cli.rest_api.requests import Refused, get_json, route
from router.core.text.nearest_names import nearest_names
from router.logs.record_text import one_line
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from router.cli.rest_api.rest_client import RestApi

NOT_FOUND: Final = 404
UNFIT: Final = 422


def no_such(kind: str, name: str, names: Iterable[str], where: str = "") -> ConfigError:
    """Return the error for a name that there is not, with the nearest names, or where to look.

    Args:
        kind: such as "instance".
        name: as it was given.
        names: those that there are.
        where: such as " in example".
    """
    known = list(names)
    quoted = ", ".join(map(one_line, nearest_names(name, known)))
    then = f". Did you mean {quoted}?" if quoted else f"; there are no {kind}s{where}"
    return ConfigError(one_line(name), f"there is no such {kind}{where}{then}")


@contextmanager
def known_instance(api: RestApi, name: str) -> Generator[None]:
    """Word the refusal of an instance that there is not.

    Raises:
        ConfigError: a request inside was refused because there is no instance of this name.
    """
    try:
        yield
    except Refused as error:
        if error.status not in (NOT_FOUND, UNFIT):
            raise
        names = [row["name"] for row in get_json(api, route("instances"))]
        if name in names:
            raise
        raise no_such("instance", name, names) from None

"""Gives each literal secret of an entry a name, and leaves `${secret:NAME}` in its place.

Invariants: pure, but for the function that it is given to look secrets up. The same value gets the
same name, so that a second import finds the first one's. A secret that is there keeps its value,
unless nobody else refers to it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct, field

from router.client_files.importing.secret_values import replace_secrets
from router.client_files.reading.references import secret_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from router.client_files.importing.secret_values import Literal

_GENERAL: Final = frozenset(
    {
        *("TOKEN", "KEY", "API_KEY", "APIKEY", "SECRET", "PASSWORD", "AUTH", "AUTHORIZATION"),
        *("X_API_KEY", "COOKIE", "ARGUMENT", "URL_PASSWORD", "ACCESS_TOKEN", "AUTH_TOKEN", "PAT"),
    }
)
"""Names that say nothing of the server, whose name is then put in front."""

_TRIES: Final = 1000


def _no_secrets() -> dict[str, str]:
    return {}


class SecretMoves(Struct):
    """The secrets that an import sets.

    Attributes:
        look_up: returns the value of a secret that is there already; None for none.
        new: name -> value, of those that have to be set.
    """

    look_up: Callable[[str], str | None]
    new: dict[str, str] = field(default_factory=_no_secrets)

    def move(
        self, server: str, entry: Mapping[str, Any], own: Collection[str] = ()
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """Take the secrets out of an entry.

        A placeholder, such as `<YOUR_TOKEN>`, becomes a reference to a secret that is not set.

        Args:
            server: its name.
            entry: in the router's keys.
            own: names of secrets that only this server refers to, which may get a new value.

        Returns:
            The entry with references, and the secrets to be set for it.
        """
        moved: dict[str, str] = {}

        def reference(found: Literal) -> str:
            name = self._name_for(server, found, own)
            if found.value and self.look_up(name) != found.value:
                moved[name] = self.new[name] = found.value
            return "${secret:" + name + "}"

        return replace_secrets(entry, reference), moved

    def _name_for(self, server: str, found: Literal, own: Collection[str]) -> str:
        for name in _candidates(server, found.label):
            there = self.new.get(name)
            if there is None and name not in own:
                there = self.look_up(name)
            if there is None or not found.value or there == found.value:
                return name
        raise AssertionError("there are more names than values")


def _candidates(server: str, label: str) -> Iterator[str]:
    """Yield names for a secret, the best one first."""
    short = _upper(label)
    if short == "AUTHORIZATION":
        short = "TOKEN"
    long = f"{_upper(server)}_{short}"
    if short not in _GENERAL and "_" in short:
        yield secret_name(short)
    yield secret_name(long)
    for number in range(2, _TRIES):
        yield secret_name(f"{long}_{number}")


def _upper(text: str) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)
    return re.sub(r"[^A-Za-z0-9]+", "_", words).strip("_").upper() or "SERVER"

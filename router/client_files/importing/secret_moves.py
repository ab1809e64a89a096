"""Gives each literal secret of an entry a name, and leaves `${secret:NAME}` in its place.

Invariants: pure, but for the function that it is given to look secrets up. The same value gets the
same name, so that a second import finds the first one's. A secret that is there keeps its value,
unless nobody else refers to it.
"""

from __future__ import annotations

import itertools
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
        *(
            "X_API_KEY",
            "COOKIE",
            "ARGUMENT",
            "URL_PASSWORD",
            "URL_TOKEN",
            "ACCESS_TOKEN",
            "AUTH_TOKEN",
            "PAT",
        ),
    }
)
"""Names that say nothing of the server, whose name is then put in front."""


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
        names: dict[str, str] = {}

        def give_name(found: Literal) -> str:
            if found.value:
                name = names[found.value] = self._name_for(server, found, own)
                if self.look_up(name) != found.value:
                    moved[name] = self.new[name] = found.value
            return ""

        def reference(found: Literal) -> str:
            name = names.get(found.value) or _name_of_unknown(server, found, names.values())
            return "${secret:" + name + "}"

        replace_secrets(entry, give_name)
        return replace_secrets(entry, reference), moved

    def _name_for(self, server: str, found: Literal, own: Collection[str]) -> str:
        """Return the name that has this value, else one that may be given it."""
        replaceable: str | None = None
        names = _candidates(server, found.label)
        while True:
            name = next(names)
            there = self.new.get(name) or self.look_up(name)
            if there == found.value:
                return name
            if there is None:
                return replaceable or name
            if replaceable is None and name in own and name not in self.new:
                replaceable = name


def _name_of_unknown(server: str, found: Literal, taken: Collection[str]) -> str:
    """Return a name for a value that is not there yet.

    It is of this server alone: another server's secret must not get there because of its name.
    """
    names = _candidates(server, found.label, is_general=True)
    return next(name for name in names if name not in taken)


def _candidates(server: str, label: str, *, is_general: bool = False) -> Iterator[str]:
    """Yield names for a secret, the best one first; of a general one all name the server."""
    short = _upper(label)
    if short == "AUTHORIZATION":
        short = "TOKEN"
    long = f"{_upper(server)}_{short}"
    if not is_general and short not in _GENERAL and "_" in short:
        yield secret_name(short)
    yield secret_name(long)
    for number in itertools.count(2):
        yield secret_name(f"{long}_{number}")


def _upper(text: str) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)
    return re.sub(r"[^A-Za-z0-9]+", "_", words).strip("_").upper() or "SERVER"

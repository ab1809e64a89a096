"""Takes the values of one server's entry, key by key, and knows which keys are left.

Invariants: pure; JSON null is an absent key; no message quotes a value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from msgspec import Struct, field

from router.files.json_files import kind_of, quote_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Unreadable(Exception):
    """A value that makes no sense, so that the server cannot be imported; the text says why."""


def _no_keys() -> set[str]:
    return set()


class Members(Struct):
    """The members of an entry.

    Attributes:
        values: as they were read.
        taken: the keys that were asked for.
    """

    values: Mapping[str, Any]
    taken: set[str] = field(default_factory=_no_keys)

    def take(self, *keys: str) -> tuple[str, Any]:
        """Return the first of these keys that is there, and its value; ("", None) if none is."""
        self.taken.update(keys)
        for key in keys:
            if self.values.get(key) is not None:
                return key, self.values[key]
        return "", None

    def take_text(self, *keys: str) -> str:
        """Return the text under the first of these keys that is there; empty if none is.

        Raises:
            Unreadable: it is no text.
        """
        key, value = self.take(*keys)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise Unreadable(f"{key}: expected a string, got {kind_of(value)}")
        return value

    def take_texts(self, *keys: str) -> list[str]:
        """Return the texts under the first of these keys that is there; numbers become texts.

        Raises:
            Unreadable: it is no array of texts.
        """
        key, value = self.take(*keys)
        if value is None:
            return []
        if not isinstance(value, list):
            raise Unreadable(f"{key}: expected an array, got {kind_of(value)}")
        items = cast("list[Any]", value)
        return [_text(f"{key}[{index}]", item) for index, item in enumerate(items)]

    def take_table(self, *keys: str) -> dict[str, str]:
        """Return the texts by name under these keys, all put together; null is left out.

        Raises:
            Unreadable: one is no object of texts.
        """
        table: dict[str, str] = {}
        for key in keys:
            table.update(self._texts_under(key))
        return table

    def take_flag(self, key: str) -> bool | None:
        """Return true or false; None if the key is not there, or holds something else."""
        _, value = self.take(key)
        return value if isinstance(value, bool) else None

    def left(self) -> list[str]:
        """Return the keys that nobody has asked for, as messages name them."""
        return [
            quote_key(key)
            for key, value in self.values.items()
            if key not in self.taken and value is not None
        ]

    def _texts_under(self, key: str) -> Iterator[tuple[str, str]]:
        _, value = self.take(key)
        if value is None:
            return
        if not isinstance(value, dict):
            raise Unreadable(f"{key}: expected an object, got {kind_of(value)}")
        for name, item in cast("dict[str, Any]", value).items():
            if item is not None:
                yield name, _text(f"{key}.{quote_key(name)}", item)


def _text(step: str, value: Any) -> str:
    """Return a text, or a number or a flag as one: clients pass these on as texts."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise Unreadable(f"{step}: expected a string, got {kind_of(value)}")

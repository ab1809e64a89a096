"""Notes which listeners are up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Iterable


class UpListeners(Struct, eq=False):
    """The listeners that are up at the moment.

    Attributes:
        all_were_up: set once all have been up at the same time.
    """

    all_were_up: trio.Event = field(default_factory=trio.Event)
    _expected: frozenset[str] = frozenset()
    _up: set[str] = set()

    def expect(self, names: Iterable[str]) -> None:
        """Say which listeners there are."""
        self._expected = frozenset(names)

    def note_up(self, name: str) -> bool:
        """Note that a listener is up; return True if with it all are up for the first time."""
        self._up.add(name)
        if self.all_were_up.is_set() or not self.are_all_up():
            return False
        self.all_were_up.set()
        return True

    def note_down(self, name: str) -> None:
        """Note that a listener has ended or failed."""
        self._up.discard(name)

    def are_all_up(self) -> bool:
        """Return whether all listeners are up."""
        return self._expected <= self._up

"""The keys by which the process of an instance is confined. Pure."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace


class Sandbox(Struct, frozen=True):
    """The key `sandbox` of an instance with a command.

    Attributes:
        read: absolute paths of files and folders that its process may read and execute, besides
            those that every program needs.
        write: likewise, that it may read, change, create and remove.
        network: False to forbid all sockets of the network.
        required: True to refuse the start where the system cannot confine processes so.
    """

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    network: bool = True
    required: bool = False

    def replacing(self, text: str, by: str) -> Sandbox:
        """Return the same with other text in all of its paths."""
        return replace(
            self,
            read=tuple(path.replace(text, by) for path in self.read),
            write=tuple(path.replace(text, by) for path in self.write),
        )

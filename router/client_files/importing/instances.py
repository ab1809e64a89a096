"""Reads the entries in `data/`, in the form in which found servers are.

Invariant: nothing is written. A broken file hides its instances and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import attrs

from router.client_files.clients.client import Dialect
from router.client_files.reading.entries import Origin, read_server
from router.files.json_files import decode_object, read_bytes
from router.files.names import INSTANCE_FILE_NAME
from router.instance_files.reader import FILE_LIMIT_BYTES, folders_in, read_entries, source_of
from router.messages.errors import ConfigError
from router.references.expander import Expander

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from router.instance_files.entry.entry_location import EntryLocation


@attrs.frozen
class PresentInstance:
    """An instance of the router.

    Attributes:
        name: of the instance.
        entry: in the form of `FoundServer.entry`.
        written: the entry as it is in the file.
        source: the file, for messages.
    """

    name: str
    entry: dict[str, Any] = attrs.field(repr=False)
    written: dict[str, Any] = attrs.field(repr=False)
    source: str


@attrs.frozen
class PresentInstances:
    """The content of `data/`.

    Attributes:
        instances: in the order of the reader; of two with the same name the first.
        folders: the folders of providers.
        problems: of files that cannot be read, one line each.
    """

    instances: tuple[PresentInstance, ...] = ()
    folders: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    def named(self, name: str) -> PresentInstance | None:
        """Return the instance of this name; names that differ in case alone count as equal."""
        folded = name.casefold()
        return next((one for one in self.instances if one.name.casefold() == folded), None)


def read_present(data_dir: Path) -> PresentInstances:
    """Return all instances. Blocks on disk.

    Raises:
        ConfigError: the folder cannot be read.
    """
    try:
        folders = folders_in(data_dir)
    except FileNotFoundError:
        return PresentInstances()
    present: dict[str, PresentInstance] = {}
    problems: list[str] = []
    for folder in folders:
        try:
            for instance in _instances_of(data_dir, folder):
                present.setdefault(instance.name, instance)
        except FileNotFoundError:
            continue
        except ConfigError as exc:
            problems.append(str(exc))
    return PresentInstances(tuple(present.values()), tuple(folders), tuple(problems))


def _instances_of(data_dir: Path, folder: str) -> Iterator[PresentInstance]:
    source = source_of(data_dir, folder)
    path = data_dir / folder / INSTANCE_FILE_NAME
    members = decode_object(read_bytes(path, source, FILE_LIMIT_BYTES), source)
    for location, spec in read_entries(members, source, folder, Expander(None)):
        if isinstance(spec, ConfigError):
            continue
        written = _entry_at(members, location)
        origin = Origin("", Dialect(), path, "user", location.path)
        yield PresentInstance(
            spec.name, read_server(spec.name, written, origin).entry, written, source
        )


def _entry_at(members: Mapping[str, Any], location: EntryLocation) -> dict[str, Any]:
    if not location.path:
        return dict(members)
    outer_key = location.path.partition(".")[0]
    return cast("dict[str, Any]", members[outer_key][location.name])

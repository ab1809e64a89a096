"""Reads all instances from `data/{provider}/mcp_settings.json`.

Invariants:

- A broken file or entry never affects another, and the instances that it held before stay in
  force.
- Names are unique: the first in the order of folders, then of entries, stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from msgspec import Struct

from router.files.json_files import decode_object, kind_of, quote_key, read_bytes
from router.files.names import INSTANCE_FILE_NAME
from router.instance_files.entry.entries import read_entry
from router.instance_files.entry.entry_location import EntryLocation
from router.instance_files.entry.entry_secrets import secrets_of
from router.messages.commands import OUTER_KEYS
from router.messages.errors import ConfigError
from router.messages.instances.instance_spec import InstanceSpec
from router.references.secret_files import StoredSecrets, expander_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from router.references.expander import Expander

FILE_LIMIT_BYTES: Final = 5 * 1024 * 1024

_IN_FORCE: Final = "; what was there before stays in force"
"""Ends the message about a file or an entry that has become invalid."""


class LoadedInstances(Struct, frozen=True):
    """The content of `data/`.

    Attributes:
        specs: in the order of folders, then as in the file; unusable ones have a `problem`.
        problems: of files and entries that gave no spec at all.
        secrets: values that must not appear in a log.
    """

    specs: tuple[InstanceSpec, ...] = ()
    problems: tuple[ConfigError, ...] = ()
    secrets: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        # Without the secrets.
        return f"LoadedInstances({self.specs!r}, {self.problems!r})"

    def startable_in(self, source: str) -> Iterator[InstanceSpec]:
        """Yield the instances of a file that can be started."""
        return (spec for spec in self.specs if spec.source == source and spec.problem is None)


def load_instances(
    data_dir: Path,
    environ: Mapping[str, str],
    last: LoadedInstances | None = None,
    *,
    secrets_file: Path | None = None,
) -> LoadedInstances:
    """Read all instances. Blocks on disk: not for the event loop.

    Args:
        data_dir: the folder of providers; a missing folder has none.
        environ: the values of `${VAR}`, and where the credentials are.
        last: the result of the reading before. Its instances stay in the place of files and
            entries that have become invalid, and all of them if the folder itself is gone.
        secrets_file: the file that `${secret:NAME}` refers to; None where no secret is needed.
    """
    used = set[str]()
    stored = None if secrets_file is None else StoredSecrets(secrets_file, environ)

    def expander_in(folder: str) -> Expander:
        return expander_for(data_dir / folder, environ, used, stored=stored)

    specs: dict[str, InstanceSpec] = {}
    problems: list[ConfigError] = []
    for found in _read_folders(data_dir, expander_in, last or LoadedInstances()):
        if isinstance(found, InstanceSpec) and found.name in specs:
            problems.append(duplicate_name_error(found, specs[found.name]))
        elif isinstance(found, InstanceSpec):
            specs[found.name] = found
        else:
            problems.append(found)
    secrets = frozenset(used).union(*map(secrets_of, specs.values()))
    return LoadedInstances(tuple(specs.values()), tuple(problems), secrets)


def _read_folders(
    data_dir: Path, expander_in: Callable[[str], Expander], last: LoadedInstances
) -> Iterator[InstanceSpec | ConfigError]:
    try:
        folders = folders_in(data_dir)
    except ConfigError as exc:
        yield ConfigError(exc.place, exc.problem + _IN_FORCE) if last.specs else exc
        yield from last.specs
        return
    except FileNotFoundError:
        if last.specs:
            yield ConfigError(data_dir.name, f"is gone{_IN_FORCE}")
        yield from last.specs
        return
    for folder in folders:
        source = source_of(data_dir, folder)
        previous = {spec.name: spec for spec in last.startable_in(source)}
        try:
            yield from _read_file(data_dir, folder, expander_in(folder), previous)
        except FileNotFoundError:
            continue  # The folder holds no provider, or was removed just now.
        except ConfigError as exc:
            yield ConfigError(exc.place, exc.problem + _IN_FORCE) if previous else exc
            yield from previous.values()


def _read_file(
    data_dir: Path, folder: str, expander: Expander, previous: Mapping[str, InstanceSpec]
) -> Iterator[InstanceSpec | ConfigError]:
    source = source_of(data_dir, folder)
    data = read_bytes(data_dir / folder / INSTANCE_FILE_NAME, source, FILE_LIMIT_BYTES)
    members = decode_object(data, source)
    for location, found in read_entries(members, source, folder, expander):
        yield from _or_previous(found, location, previous)


def _or_previous(
    found: InstanceSpec | ConfigError, location: EntryLocation, previous: Mapping[str, InstanceSpec]
) -> Iterator[InstanceSpec | ConfigError]:
    """Yield the finding; for an unusable entry, its problem and the instance that stood there."""
    if isinstance(found, ConfigError):
        name, problem = location.name, found
    elif found.problem is None or not found.is_active:
        # An invalid entry that is switched off is taken as it is: nothing would start it.
        yield found
        return
    else:
        name, problem = found.name, problem_of(found)
    if name in previous:
        yield ConfigError(problem.place, problem.problem + _IN_FORCE)
        yield previous[name]
    else:
        yield found


# --- Parts that `edits` and `mcp-router add` share --------------------------------------------


def folders_in(data_dir: Path) -> list[str]:
    """Return the names of the folders that may hold a provider, in order.

    Raises:
        FileNotFoundError: there is no such folder.
        ConfigError: the folder cannot be read.
    """
    try:
        return sorted(path.name for path in data_dir.iterdir() if path.is_dir())
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise ConfigError(data_dir.name, f"cannot be read: {exc.strerror or exc}") from None


def source_of(data_dir: Path, folder: str) -> str:
    """Return a provider's file as messages name it."""
    return f"{data_dir.name}/{quote_key(folder)}/{INSTANCE_FILE_NAME}"


def read_entries(
    members: Mapping[str, Any], source: str, folder: str, expander: Expander
) -> Iterator[tuple[EntryLocation, InstanceSpec | ConfigError]]:
    """Yield each entry of a file: the instance, or an error if it cannot even be listed."""
    for location, entry in _locate_entries(members, source, folder):
        if isinstance(entry, dict):
            yield location, read_entry(cast("dict[str, Any]", entry), location, expander)
        else:
            problem = f"expected an object, got {kind_of(entry)}"
            yield location, ConfigError(location.place(), problem)


def _locate_entries(
    members: Mapping[str, Any], source: str, folder: str
) -> Iterator[tuple[EntryLocation, object]]:
    """Yield the entries of a file, or the values in their place."""
    outer_keys = [key for key in OUTER_KEYS if key in members]
    if not outer_keys:
        yield EntryLocation(source, "", folder, folder), members
    for outer_key in outer_keys:
        entries = members[outer_key]
        if not isinstance(entries, dict):
            yield EntryLocation(source, outer_key, folder, folder), entries
            continue
        for name, entry in cast("dict[str, Any]", entries).items():
            yield EntryLocation(source, f"{outer_key}.{quote_key(name)}", folder, name), entry


def problem_of(spec: InstanceSpec) -> ConfigError:
    """Return the problem of an instance that cannot be started as an error of its own."""
    return ConfigError(spec.source, (spec.problem or "").removeprefix(f"{spec.source}: "))


def duplicate_name_error(late: InstanceSpec, first: InstanceSpec) -> ConfigError:
    """Return the error for an instance whose name an earlier instance has."""
    return ConfigError(
        late.source,
        f'the name "{late.name}" is already taken in {first.source}, which stays; '
        "give one of them another name",
    )

"""`data/{provider}/mcp_settings.json`: all instances there are.

Job: find and read the files. Neighbours: `changes` and `tidying`, which write them, and the
composition root above; `entries` (what an entry means) and `files` (how a file is read) below.

Invariants: a broken file or entry never affects another one, and what was read of it before stays
in force; names are unique, the first in the order of folders, then of entries, stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from router.files.json_files import decode_object, kind_of, path_step, read_bytes
from router.files.names import INSTANCE_FILE_NAME
from router.instance_files.entries import Where, read_entry, secrets_of
from router.instance_files.variables import Expander
from router.messages.commands import OUTER_KEYS
from router.messages.errors import ConfigError
from router.messages.instance_spec import InstanceSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

FILE_LIMIT_BYTES: Final = 5 * 1024 * 1024


@attrs.frozen
class Loaded:
    """What `data/` says.

    Attributes:
        specs: in the order of folders, then as in the file; unusable ones have a `problem`.
        problems: files and entries that gave no spec at all.
        secrets: values that must not appear in a log.
    """

    specs: tuple[InstanceSpec, ...] = ()
    problems: tuple[ConfigError, ...] = ()
    secrets: frozenset[str] = attrs.field(default=frozenset(), repr=False)

    def good_in(self, source: str) -> Iterator[InstanceSpec]:
        """Those of a file that can be started."""
        return (spec for spec in self.specs if spec.source == source and spec.problem is None)


NOTHING: Final = Loaded()

STAYS: Final = "; what was there before stays in force"


def load_instances(data_dir: Path, environ: Mapping[str, str], last: Loaded = NOTHING) -> Loaded:
    """Read all instances. Blocks on disk: not for the event loop.

    Args:
        data_dir: the folder of providers; one that does not exist has none.
        environ: what `${VAR}` stands for.
        last: what was read before. Of files and entries that have become invalid, what stands
            there stays, and of a folder that is gone, all of it.
    """
    expander = Expander(environ)
    specs: dict[str, InstanceSpec] = {}
    problems: list[ConfigError] = []
    for found in _instances(data_dir, expander, last):
        if isinstance(found, InstanceSpec) and found.name in specs:
            problems.append(duplicate(found, specs[found.name]))
        elif isinstance(found, InstanceSpec):
            specs[found.name] = found
        else:
            problems.append(found)
    secrets = frozenset(expander.values).union(*map(secrets_of, specs.values()))
    return Loaded(tuple(specs.values()), tuple(problems), secrets)


def duplicate(late: InstanceSpec, first: InstanceSpec) -> ConfigError:
    """What to say where two instances have the same name."""
    return ConfigError(
        late.source,
        f'the name "{late.name}" is already taken in {first.source}, which stays; '
        "give one of them another name",
    )


def _instances(
    data_dir: Path, expander: Expander, last: Loaded
) -> Iterator[InstanceSpec | ConfigError]:
    try:
        folders = folders_in(data_dir)
    except ConfigError as exc:
        yield ConfigError(exc.place, exc.problem + STAYS) if last.specs else exc
        yield from last.specs
        return
    except FileNotFoundError:
        if last.specs:
            yield ConfigError(data_dir.name, f"is gone{STAYS}")
        yield from last.specs
        return
    for folder in folders:
        source = source_of(data_dir, folder)
        good = {spec.name: spec for spec in last.good_in(source)}
        try:
            yield from _in_file(data_dir, folder, expander, good)
        except FileNotFoundError:
            continue  # Not every folder need hold a provider, and this one may just be gone.
        except ConfigError as exc:
            yield ConfigError(exc.place, exc.problem + STAYS) if good else exc
            yield from good.values()


def folders_in(data_dir: Path) -> list[str]:
    """The names of the folders that may hold a provider, in order.

    Raises:
        FileNotFoundError: there is no such folder.
        ConfigError: it cannot be read.
    """
    try:
        return sorted(path.name for path in data_dir.iterdir() if path.is_dir())
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise ConfigError(data_dir.name, f"cannot be read: {exc.strerror or exc}") from None


def _in_file(
    data_dir: Path, folder: str, expander: Expander, good: Mapping[str, InstanceSpec]
) -> Iterator[InstanceSpec | ConfigError]:
    source = source_of(data_dir, folder)
    data = read_bytes(data_dir / folder / INSTANCE_FILE_NAME, source, FILE_LIMIT_BYTES)
    for where, entry in entries_in(decode_object(data, source), source, folder):
        if isinstance(entry, dict):
            found = read_entry(cast("dict[str, Any]", entry), where, expander)
        else:
            found = ConfigError(where.place(), f"expected an object, got {kind_of(entry)}")
        yield from _or_before(found, where, good)


def _or_before(
    found: InstanceSpec | ConfigError, where: Where, good: Mapping[str, InstanceSpec]
) -> Iterator[InstanceSpec | ConfigError]:
    """What was found; in the place of what cannot be used, what was there before."""
    if isinstance(found, ConfigError):
        name, problem = where.name, found
    elif found.problem is None or not found.is_active:
        yield found
        return
    else:
        name, problem = found.name, problem_of(found)
    before = good.get(name)
    if before is None:
        yield found
    else:
        yield ConfigError(problem.place, problem.problem + STAYS)
        yield before


def problem_of(spec: InstanceSpec) -> ConfigError:
    """Why it cannot be started, as an error of its own."""
    return ConfigError(spec.source, (spec.problem or "").removeprefix(f"{spec.source}: "))


def entries_in(
    members: Mapping[str, Any], source: str, folder: str
) -> Iterator[tuple[Where, object]]:
    """The entries of a file, or what stands in their place."""
    outer_keys = [key for key in OUTER_KEYS if key in members]
    if not outer_keys:
        yield Where(source, "", folder, folder), members
    for outer in outer_keys:
        table = members[outer]
        if not isinstance(table, dict):
            yield Where(source, outer, folder, folder), table
            continue
        for name, entry in cast("dict[str, Any]", table).items():
            yield Where(source, f"{outer}.{path_step(name)}", folder, name), entry


def source_of(data_dir: Path, folder: str) -> str:
    """A provider's file as messages name it."""
    return f"{data_dir.name}/{path_step(folder)}/{INSTANCE_FILE_NAME}"

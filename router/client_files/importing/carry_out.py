"""Carries out the rows of a plan, one after the other, and says what became of each.

Invariants:

- A secret is set before the entry that refers to it is written. If the entry cannot be written, the
  secrets that were set for it are as they were before, but for new ones that an instance needs.
- A row that fails changes nothing, and does not keep the others from being carried out, unless the
  disk is what failed.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

import attrs

from router.client_files.importing.instances import read_present
from router.client_files.importing.missing import secrets_in
from router.instance_files.edits import apply_change
from router.messages.errors import ConfigError, RpcError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from router.client_files.importing.plan import Row
    from router.messages.commands import Change


class Secrets(Protocol):
    """Keeps secrets; see `router.secret_store.store.SecretStore`."""

    def names(self) -> tuple[str, ...]: ...
    def get(self, name: str) -> str: ...
    def set(self, name: str, value: str) -> object: ...
    def remove(self, name: str) -> None: ...


@attrs.frozen
class Outcome:
    """The end of one row.

    Attributes:
        row: of the plan.
        problem: the reason why it was not carried out; None if it was.
        secrets: the names of the secrets that were set for it.
    """

    row: Row
    problem: str | None = None
    secrets: tuple[str, ...] = ()


def carry_out(rows: Iterable[Row], data_dir: Path, store: Secrets) -> list[Outcome]:
    """Carry out rows that have a change. Blocks on disk, and on a keyring.

    Args:
        rows: of a plan.
        data_dir: the folder of providers.
        store: keeps the secrets.
    """
    outcomes: list[Outcome] = []
    broken: str | None = None
    for row in rows:
        if row.change is None:
            continue
        if broken is not None:
            outcomes.append(Outcome(row, f"was not tried after that: {broken}"))
            continue
        try:
            outcomes.append(_carry_out_one(row, row.change, data_dir, store))
        except (ConfigError, RpcError) as exc:
            outcomes.append(Outcome(row, str(exc)))
        except OSError as exc:
            broken = str(exc)
            outcomes.append(Outcome(row, broken))
    return outcomes


def _carry_out_one(row: Row, change: Change, data_dir: Path, store: Secrets) -> Outcome:
    there = set(store.names()) if row.secrets else set[str]()
    before = {name: store.get(name) if name in there else None for name in row.secrets}
    was_set: list[str] = []
    try:
        for name, value in row.secrets.items():
            if before[name] != value:
                store.set(name, value)
                was_set.append(name)
        apply_change(data_dir, change, may_refer=True)
    except BaseException:
        needed = _secrets_in_use(data_dir) if was_set else set[str]()
        for name in was_set:
            if before[name] is not None or name not in needed:
                _set_back(store, name, before[name])
        raise
    return Outcome(row, None, tuple(was_set))


def _secrets_in_use(data_dir: Path) -> set[str]:
    """Return the secrets of all instances: another import may have added this one meanwhile."""
    with suppress(ConfigError, OSError):
        return secrets_in([one.written for one in read_present(data_dir).instances])
    return set()


def _set_back(store: Secrets, name: str, value: str | None) -> None:
    with suppress(ConfigError, OSError):
        if value is None:
            store.remove(name)
        else:
            store.set(name, value)

"""The lock files: everything pinned and hashed, and nothing about where packages come from."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PEERS = [ROOT / "tests" / "peers", ROOT / "benchmarks" / "peers"]
NPM_FOLDERS = [*PEERS, ROOT / "benchmarks" / "search" / "servers"]
LOCKS = [
    ROOT / "requirements.txt",
    ROOT / "requirements-dev.txt",
    ROOT / "benchmarks" / "search" / "semantic.txt",
    *(lock for folder in PEERS for lock in sorted(folder.glob("*.txt"))),
]


def _requirements(lock: Path) -> list[str]:
    """Return the requirements of a lock, each with its hashes, without comments."""
    text = re.sub(r" *#.*", "", lock.read_text())
    return re.findall(r"^(?! ).+(?:\n .+)*", text, re.MULTILINE)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_requirement_is_pinned_and_hashed(lock: Path) -> None:
    requirements = _requirements(lock)
    assert requirements
    for requirement in requirements:
        assert re.match(r"[a-z0-9-]+(\[.*\])?==\S+", requirement), requirement
        assert "--hash=sha256:" in requirement


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_lock_names_no_index_and_no_host(lock: Path) -> None:
    assert not re.findall(r"^-.*|.*://.*", lock.read_text(), re.MULTILINE)


@pytest.mark.parametrize("folder", NPM_FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_npm_lock_names_no_registry_and_has_integrity_for_all(folder: Path) -> None:
    packages = json.loads((folder / "package-lock.json").read_text())["packages"]
    others = {name: package for name, package in packages.items() if name}
    assert others
    assert not [name for name, package in others.items() if "resolved" in package]
    assert not [name for name, package in others.items() if "integrity" not in package]


def test_what_both_environments_have_they_have_in_the_same_version() -> None:
    served, developed = (
        dict(re.match(r"(.+?)==(\S+)", one).groups() for one in _requirements(lock))  # type: ignore[union-attr]
        for lock in LOCKS[:2]
    )
    both = served.keys() & developed.keys()
    assert {"trio", "mcp"} <= both
    assert {name: served[name] for name in both} == {name: developed[name] for name in both}

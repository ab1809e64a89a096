"""The cache folder of routers that run one after the other, and what they keep in it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import attrs
from msgspec import Raw

from router.instance_files.catalogue_files import hash_entry, name_file
from router.instance_files.catalogue_folder import CatalogueFolder
from router.messages.catalog import Catalog, Item, KnownServer
from router.messages.instances.instance_spec import InstanceSpec

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def spec(name: str, **changes: Any) -> InstanceSpec:
    settings: dict[str, Any] = {"name": name, "provider": "acme", "command": "npx"}
    return InstanceSpec(**settings | changes)


def known(*tools: str) -> KnownServer:
    items = tuple(Item(name, Raw(b'{"name":"%b"}' % name.encode())) for name in tools)
    return KnownServer("2025-11-25", Raw(b"{}"), Raw(b"{}"), None, Catalog(tools=items))


A, B = spec("a"), spec("b")


@attrs.define
class Site:
    """A cache folder, and the routers that use it one after the other."""

    cache: Path

    @property
    def path(self) -> Path:
        return self.cache / "catalogues"

    def start(self, *specs: InstanceSpec) -> CatalogueFolder:
        """Return the folder as a router that was just started has it, for these instances."""
        folder = CatalogueFolder(self.cache)
        folder.read(specs)
        return folder

    def after_restart(self, *specs: InstanceSpec) -> dict[str, KnownServer]:
        """Return what the next router reads."""
        return CatalogueFolder(self.cache).read(specs)

    def file_of(self, spec: InstanceSpec) -> Path:
        return self.path / name_file(hash_entry(spec))

    def names(self) -> set[str]:
        return {file.name for file in self.path.iterdir()}


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.WARNING]

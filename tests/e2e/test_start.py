"""A router on stdio loads no module before its first answer that it can do without."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.internals.imports import unwanted
from benchmarks.internals.starting import imported

if TYPE_CHECKING:
    from tests.e2e.workspace import Workspace


def test_nothing_heavy_is_imported_to_serve_stdio_upstreams_on_stdio(workspace: Workspace) -> None:
    modules = imported(workspace.add_chaos("plain"))
    assert "router.core.core" in {one.name for one in modules}
    assert not unwanted(modules)

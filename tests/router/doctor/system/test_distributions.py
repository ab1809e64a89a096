"""Other distributions with packages of the router's names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.doctor.system.distributions import find_foreign

if TYPE_CHECKING:
    from pathlib import Path


def install(folder: Path, name: str, *files: str) -> None:
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))


def test_distribution_with_a_package_of_ours_is_named(tmp_path: Path) -> None:
    install(tmp_path, "express", "router/__init__.py", "router/x.py", "express/__init__.py")
    install(tmp_path, "mcp-router", "router/__init__.py")
    install(tmp_path, "other", "routers/__init__.py", "router.py")
    assert find_foreign([str(tmp_path)]) == (
        'the distribution express 1.0 has the package "router" as well',
    )

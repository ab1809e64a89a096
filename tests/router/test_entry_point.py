"""Packages of other distributions in the place of ours, which a start has to notice."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Final

import pytest

from router.entry_point import OWN_FILES, find_foreign_package, main
from router.version import VERSION

OWN_ENVIRONMENT: Final = (
    "give mcp-router an environment of its own, such as by uv tool install or pipx install"
)


def put(folder: Path, package: str, *, init: str | None = "", own_file: bool = False) -> Path:
    """Make a package; `own_file` puts the file there that only ours has."""
    place = folder / package
    place.mkdir(parents=True)
    if init is not None:
        (place / "__init__.py").write_text(init)
    if own_file:
        path = place.joinpath(*OWN_FILES[package])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return place


def record(folder: Path, name: str, *files: str) -> None:
    """Make the metadata of a distribution that has these files."""
    info = folder / f"{name}-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))


def found(folder: Path) -> str | None:
    """Return the problem where this folder comes before all others."""
    return find_foreign_package([str(folder), *sys.path])


def test_our_own_packages_are_as_the_check_takes_them() -> None:
    for name, own_file in OWN_FILES.items():
        init = import_module(name).__file__
        assert init is not None
        assert Path(init).read_bytes() == b""
        assert Path(init).parent.joinpath(*own_file).exists()
    assert find_foreign_package() is None


def test_where_no_package_is_found_another_finder_may_know_it(tmp_path: Path) -> None:
    assert find_foreign_package([str(tmp_path)]) is None


@pytest.mark.parametrize("name", list(OWN_FILES))
@pytest.mark.parametrize("init", ["", "x = 1\n"])
def test_package_that_comes_before_ours_is_named(tmp_path: Path, name: str, init: str) -> None:
    place = put(tmp_path, name, init=init)
    assert found(tmp_path) == (
        f'the package "{name}" in {place} is not that of mcp-router, and comes first; start in '
        "another folder, or without it in PYTHONPATH"
    )


def test_folder_without_code_hides_a_package_only_where_ours_is_missing(tmp_path: Path) -> None:
    place = put(tmp_path, "transports", init=None)
    assert found(tmp_path) is None
    problem = find_foreign_package([str(tmp_path)])
    assert problem is not None
    assert problem.startswith(f'the package "transports" in {place} is not that of mcp-router')


def test_module_in_the_place_of_a_package_is_named(tmp_path: Path) -> None:
    (tmp_path / "transports.py").touch()
    problem = found(tmp_path)
    assert problem is not None
    assert problem.startswith(f'the package "transports" in {tmp_path}/transports.py is not that')


def test_distribution_that_was_installed_over_ours_is_named(tmp_path: Path) -> None:
    for name in OWN_FILES:
        put(tmp_path, name, own_file=True)
    record(tmp_path, "mcp-router", *(f"{name}/__init__.py" for name in OWN_FILES))
    record(tmp_path, "bus", "bus.py", "../../bin/bus")
    record(tmp_path, "freight", "transports/__init__.py", "transports/ship.py")
    assert found(tmp_path) is None
    (tmp_path / "transports" / "__init__.py").write_text("from transports.ship import Ship\n")
    assert found(tmp_path) == (
        f'the package "transports" in {tmp_path}/transports belongs to the distribution freight '
        f"1.5; {OWN_ENVIRONMENT}"
    )


def test_name_of_a_folder_cannot_forge_a_line(tmp_path: Path) -> None:
    put(tmp_path / "a\nb", "transports", init="x = 1\n")
    problem = found(tmp_path / "a\nb")
    assert problem is not None
    assert "\n" not in problem


def test_program_runs_only_with_its_own_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["mcp-router", "--version"])
    assert main() == 0
    assert capsys.readouterr() == (f"MCP Router v{VERSION}\n", "")
    put(tmp_path, "supervisors", init="x = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main() == 1
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith('mcp-router: the package "supervisors" in ')
    monkeypatch.setattr(sys, "stderr", None)
    assert main() == 1

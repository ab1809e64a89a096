"""The Debian package: its content, and that it runs with the Python of the system."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from router.version import VERSION
from tests.e2e.peers import program
from tests.e2e.processes import RouterProcess
from tests.e2e.raw_client import HttpClient
from tests.e2e.workspace import Workspace

ROOT: Final = Path(__file__).parents[2]
LIMIT_S: Final = 120.0
PYTHON: Final = "/usr/bin/python3"
FOREIGN: Final = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
"""Variables with which the package would find libraries that it does not have itself."""


def run(*words: str | Path) -> str:
    environ = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    ran = subprocess.run(
        [str(word) for word in words],
        env=environ | {"SOURCE_DATE_EPOCH": "1700000000"},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def minor_version() -> int:
    """Return the minor version of the system's Python 3."""
    return int(run(PYTHON, "-c", "import sys; print(sys.version_info.minor)"))


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program("dpkg-deb")
    if minor_version() < 11:
        pytest.skip(f"The router does not run with the {PYTHON} of this machine")
    folder = tmp_path_factory.mktemp("deb")
    run(sys.executable, ROOT / "deploy" / "debian" / "build_package.py", folder)
    (path,) = folder.glob("mcp-router_*.deb")
    return path


@pytest.fixture(scope="module")
def tree(package: Path) -> Path:
    """The package, unpacked with its control files."""
    folder = package.with_name("tree")
    run("dpkg-deb", "--raw-extract", package, folder)
    return folder


def test_package_is_for_one_version_of_python_and_one_architecture(package: Path) -> None:
    minor = minor_version()
    fields = run("dpkg-deb", "--field", package, "Package", "Version", "Architecture", "Depends")
    assert fields.splitlines() == [
        "Package: mcp-router",
        f"Version: {VERSION}",
        f"Architecture: {run('dpkg', '--print-architecture').strip()}",
        f"Depends: python3 (>= 3.{minor}), python3 (<< 3.{minor + 1}), libc6, libgcc-s1",
    ]


def test_files_are_of_root_and_at_one_date(package: Path) -> None:
    rows = [line.split(maxsplit=5) for line in run("dpkg-deb", "--contents", package).splitlines()]
    assert {row[1] for row in rows} == {"root/root"}
    assert {row[3] for row in rows} == {"2023-11-14"}
    assert {row[0] for row in rows} == {"drwxr-xr-x", "-rw-r--r--", "-rwxr-xr-x"}
    programs = {row[5] for row in rows if row[0] == "-rwxr-xr-x" and not row[5].endswith(".so")}
    assert programs == {"./usr/bin/mcp-router", "./usr/bin/mcp-router-example"}


def test_package_has_its_libraries_and_nothing_of_the_machine_that_built_it(tree: Path) -> None:
    files = [path for path in tree.rglob("*") if path.is_file()]
    traces = (str(ROOT).encode(), str(tree.parent).encode(), b"/tmp/tmp")
    assert [path for path in files if any(trace in path.read_bytes() for trace in traces)] == []
    assert "direct_url.json" not in {path.name for path in files}
    tag = run(PYTHON, "-c", "import sys; print(sys.implementation.cache_tag)").strip()
    bytecode = [path.name for path in files if path.parent.name == "__pycache__"]
    assert bytecode
    assert all(name.endswith(f".{tag}.pyc") for name in bytecode)
    library = tree / "usr" / "lib" / "mcp-router"
    for absent in ("bin", "hatchling", "editables", "pip", "jsonschema/tests"):
        assert not (library / absent).exists()
    settings = [path for path in files if path.is_relative_to(tree / "etc")]
    conffiles = (tree / "DEBIAN" / "conffiles").read_text().splitlines()
    assert conffiles == sorted(f"/{path.relative_to(tree)}" for path in settings)
    assert conffiles == ["/etc/logrotate.d/mcp-router", "/etc/mcp-router/config.json"]


def test_check_sums_are_those_of_the_files(tree: Path) -> None:
    sums = (tree / "DEBIAN" / "md5sums").read_text()
    subprocess.run(
        ["md5sum", "--check", "--strict", "--quiet"], cwd=tree, input=sums, text=True, check=True
    )


def test_systemd_finds_nothing_wrong_with_its_units(tree: Path, tmp_path: Path) -> None:
    analyze = program("systemd-analyze")
    units = [tree / "usr/lib/systemd/system" / f"mcp-router.{one}" for one in ("service", "socket")]
    service = units[0].read_text()
    assert "\nExecStart=/usr/bin/mcp-router serve --transport http\n" in service
    assert not any("Put" in unit.read_text() for unit in units)
    # Verified with a program that exists: the package is not installed here.
    for unit in units:
        text = unit.read_text().replace("/usr/bin/mcp-router", str(tree / "usr/bin/mcp-router"))
        (tmp_path / unit.name).write_text(text)
    run(analyze, "verify", "--man=no", *(tmp_path / unit.name for unit in units))


def test_unpacked_program_checks_its_settings_and_serves_the_example(
    package: Path, tmp_path: Path
) -> None:
    run("dpkg-deb", "-x", package, tmp_path)
    command = tmp_path / "usr" / "bin" / "mcp-router"
    assert run(command, "--version") == f"MCP Router v{VERSION}\n"
    workspace = Workspace(tmp_path)
    workspace.add_command("example", f"{command}-example")
    shutil.copy(tmp_path / "etc" / "mcp-router" / "config.json", workspace.config_file)
    run(command, "check", *workspace.words)
    workspace.configure()
    words = ["serve", "--transport", "http", *workspace.words]
    with RouterProcess(words, program=[str(command)]) as router:
        client = HttpClient(router.url("/mcp"))
        client.initialize()
        answer = client.call(1, "example", "add", a=2, b=3)
        client.close()
    assert "5" in answer["content"][0]["text"]

"""The wheel: its content, and that the programs which install tools can install it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final
from zipfile import ZipFile

import pytest

from router.version import VERSION
from tests.e2e.raw_client import StdioRouter
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT: Final = Path(__file__).parents[2]
LOCK: Final = ROOT / "requirements.txt"
PROGRAMS: Final = Path(sys.executable).parent
LIMIT_S: Final = 120.0
PACKAGES: Final = ("router", "supervisors", "transports")


def run(folder: Path, *words: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a folder, which is also its home.

    uv takes packages from its cache or, as pip does, from the index of this machine.
    """
    environ |= {"PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"}
    if index := os.environ.get("PIP_INDEX_URL"):
        environ.setdefault("UV_DEFAULT_INDEX", index)
    return subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env=dict(os.environ) | environ,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def done(ran: subprocess.CompletedProcess[str]) -> str:
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    words: Sequence[str] = ("--wheel", "--no-build-isolation", "--python", sys.executable)
    done(run(ROOT, "uv", "build", *words, "--out-dir", folder))
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the commands that `uv tool install` made."""
    folder = tmp_path_factory.mktemp("uv")
    tools = {"UV_TOOL_DIR": str(folder / "tools"), "UV_TOOL_BIN_DIR": str(folder / "bin")}
    python = ("--python", sys.executable, "--constraints", LOCK)
    done(run(folder, "uv", "tool", "install", *python, wheel, **tools))
    return folder / "bin"


def test_wheel_has_our_packages_with_their_types_and_nothing_else(wheel: Path) -> None:
    names = set(ZipFile(wheel).namelist())
    code = {name for name in names if ".dist-info/" not in name}
    tracked = done(run(ROOT, "git", "ls-files", *PACKAGES)).splitlines()
    assert code == {*tracked, "mcp_router_entry_point.py"} - {"router/entry_point.py"}
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    assert {path.name for path in map(Path, names - code)} == {
        *("METADATA", "WHEEL", "RECORD", "entry_points.txt", "LICENSE", "vocabulary.LICENSE"),
    }


def test_tool_that_uv_installed_serves_its_example(programs: Path, tmp_path: Path) -> None:
    python = programs.parent / "tools" / "mcp-router" / "bin" / "python"
    for command in ([programs / "mcp-router"], [python, "-m", "router"]):
        assert done(run(tmp_path, *command, "--version")) == f"MCP Router v{VERSION}\n"
    workspace = Workspace(tmp_path)
    workspace.add_command("example", str(programs / "mcp-router-example"))
    command = [str(programs / "mcp-router"), "stdio", *workspace.words]
    with StdioRouter(command, cwd=tmp_path) as router:
        router.initialize()
        answer = router.call("example", "add", a=2, b=3)
    assert "5" in answer["content"][0]["text"]


def test_package_of_another_in_the_place_of_ours_ends_the_start_with_a_line(
    programs: Path, tmp_path: Path
) -> None:
    for package in PACKAGES:
        other = tmp_path / package / package
        other.mkdir(parents=True)
        (other / "__init__.py").write_text("raise SystemExit('the code of another ran')\n")
        ran = run(
            tmp_path, programs / "mcp-router", "--version", PYTHONPATH=str(tmp_path / package)
        )
        assert (ran.returncode, ran.stdout) == (1, "")
        (line,) = ran.stderr.splitlines()
        assert line.startswith(f'mcp-router: the package "{package}" in {other} is not that of')


def test_pipx_installs_it(wheel: Path, tmp_path: Path) -> None:
    places = {"PIPX_HOME": str(tmp_path / "pipx"), "PIPX_BIN_DIR": str(tmp_path / "bin")}
    words = ("--backend", "uv", "--pip-args", f"--constraint {LOCK}", "--python", sys.executable)
    done(run(tmp_path, "pipx", "install", *words, wheel, **places))
    said = done(run(tmp_path, tmp_path / "bin" / "mcp-router", "--version"))
    assert said == f"MCP Router v{VERSION}\n"

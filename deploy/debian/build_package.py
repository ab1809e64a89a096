"""Builds `dist/mcp-router_VERSION_ARCHITECTURE.deb`, for the Debian on which it runs: `make deb`.

Invariants: the libraries are wheels from the lock, with its hashes; nothing is compiled here but
Python's bytecode. The same source, lock and Debian give the same package, byte for byte.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from router.service_manager.units import Service, service_unit, socket_unit
from router.version import VERSION

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parents[1]
PYTHON: Final = "/usr/bin/python3"
LIBRARY: Final = "usr/lib/mcp-router"
COMMANDS: Final = {"mcp-router": "mcp_router_entry_point", "mcp-router-example": "router.example"}
UNIT_TEXTS: Final = {
    "/etc/systemd/system/": "/usr/lib/systemd/system/",
    "Put it there, then:": "To start it:",
    "Put\n# it beside mcp-router.service, then:": "To\n# have that:",
    " drop-ins/": " /usr/share/doc/mcp-router/drop-ins/",
}
"""Comments of the units that are for those who write them by hand, and those of the package."""


def run(*words: str | Path) -> str:
    return subprocess.run(words, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def runtime_lock() -> str:
    """Return the part of the lock that the router runs with, without what builds its wheel."""
    blocks = re.split(r"\n(?=\S)", (ROOT / "requirements.txt").read_text())
    needed, kept = {"mcp-router (pyproject.toml)"}, set[str]()
    # A package may have several blocks, for several versions of Python.
    while found := {block for block in blocks if block not in kept and _needed_by(block) & needed}:
        kept |= found
        needed |= {block.partition("==")[0] for block in found}
    return "\n".join(sorted(kept))


def _needed_by(block: str) -> set[str]:
    return set(re.findall(r"^    # (?:via )? *([^ ].*)$", block, re.MULTILINE))


def install_library(tree: Path, scratch: Path) -> None:
    """Install the router and its libraries into the package, by the Python of the system."""
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", scratch, ROOT)
    (wheel,) = scratch.glob("*.whl")
    own = f"mcp-router=={VERSION} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}"
    lock = scratch / "requirements.txt"
    lock.write_text(f"{runtime_lock()}\n{own}\n")
    # By its name and not by its path, which pip would write down in the package.
    words = ("--no-compile", "--only-binary", ":all:", "--require-hashes", "--find-links", scratch)
    target = tree / LIBRARY
    run(*pip, "--python", PYTHON, "install", *words, "--target", target, "-r", lock)
    for folder in (target / "bin", *target.glob("*/tests")):
        shutil.rmtree(folder)
    for module in target.rglob("*.py"):
        module.chmod(0o644)  # one library has a module that is marked as a program
    # Bytecode for the only Python that the package is for. Its validity hangs on no time stamp.
    compiled = ("compileall", "-q", "--invalidation-mode", "unchecked-hash", "-s", tree, "-p", "/")
    run(PYTHON, "-m", *compiled, target)


def write_files(tree: Path) -> None:
    for name, module in COMMANDS.items():
        launcher = (HERE / "launcher").read_text().format(module=module)
        write(tree / "usr/bin" / name, launcher, 0o755)
    units = {
        "service": service_unit(Service("/usr/bin/mcp-router"), is_user=False),
        "socket": socket_unit({"http": ("127.0.0.1", 3000)}, is_user=False),
    }
    for kind, text in units.items():
        for by_hand, packaged in UNIT_TEXTS.items():
            text = text.replace(by_hand, packaged)
        write(tree / f"usr/lib/systemd/system/mcp-router.{kind}", text)
    documents = tree / "usr/share/doc/mcp-router"
    license_text = (ROOT / "LICENSE").read_text()
    write(documents / "copyright", (HERE / "copyright").read_text() + license_text)
    write(documents / "README.Debian", (HERE / "README.Debian").read_text())
    for file in (ROOT / "deploy/systemd/drop-ins").iterdir():
        write(documents / "drop-ins" / file.name, file.read_text())
    write(tree / "etc/mcp-router/config.json", (HERE / "config.json").read_text())
    rotation = (ROOT / "deploy/logrotate/mcp-router").read_text()
    write(tree / "etc/logrotate.d/mcp-router", rotation)


def write_control(tree: Path, architecture: str, minor: int) -> None:
    files = sorted(path for path in tree.rglob("*") if path.is_file())
    control = (
        (HERE / "control")
        .read_text()
        .format(
            version=VERSION,
            architecture=architecture,
            size_kib=sum(-(-file.stat().st_size // 1024) for file in files),
            python=f"3.{minor}",
            next_python=f"3.{minor + 1}",
        )
    )
    sums = (
        f"{hashlib.md5(file.read_bytes()).hexdigest()}  {file.relative_to(tree)}\n"
        for file in files
        if file.parts[len(tree.parts)] != "etc"  # those are for the administrator to change
    )
    write(tree / "DEBIAN/control", control)
    write(tree / "DEBIAN/md5sums", "".join(sums))
    write(tree / "DEBIAN/conffiles", (HERE / "conffiles").read_text())
    write(tree / "DEBIAN/prerm", (HERE / "prerm").read_text(), 0o755)


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "dist").absolute()
    os.umask(0o022)
    # The date that the wheel has by default. No file in the package is younger.
    os.environ.setdefault("SOURCE_DATE_EPOCH", "1580601600")
    os.environ["PYTHONHASHSEED"] = "0"  # bytecode has sets in their order
    architecture = run("dpkg", "--print-architecture").strip()
    minor = int(run(PYTHON, "-c", "import sys; print(sys.version_info.minor)"))
    if minor < 11:
        sys.exit(f"{PYTHON} is 3.{minor}, and the router needs 3.11: build on Debian 12 or newer")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch, "tree")
        tree.mkdir(mode=0o755)
        install_library(tree, Path(scratch))
        write_files(tree)
        write_control(tree, architecture, minor)
        package = folder / f"mcp-router_{VERSION}_{architecture}.deb"
        # With xz, its default, a build takes three times as long.
        run("dpkg-deb", "--root-owner-group", "-Zzstd", "--build", tree, package)
    sys.stdout.write(f"{package}\n")


if __name__ == "__main__":
    main()

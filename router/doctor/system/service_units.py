"""Finds what services of systemd get from the units that are installed.

Invariants: only reads; a unit of another configuration is none of this router's.
"""

from __future__ import annotations

import shlex
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

from router.doctor.facts import Surroundings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

UNIT: Final = "mcp-router.service"

SYSTEM_FOLDERS: Final = ("/etc/systemd/system", "/usr/local/lib/systemd/system")
SYSTEM_FOLDERS_OF_PACKAGES: Final = ("/usr/lib/systemd/system", "/lib/systemd/system")

SYSTEM_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
"""The `PATH` that systemd gives a service that names none (systemd.exec(5))."""

_CREDENTIAL_SETTINGS: Final = frozenset(
    {"LoadCredential", "LoadCredentialEncrypted", "SetCredential", "SetCredentialEncrypted"}
)

_CONFIG_OPTIONS: Final = ("-c", "--config")


def surroundings(
    config: Path, environ: Mapping[str, str], home: Path, root: Path = Path("/")
) -> tuple[Surroundings, ...]:
    """Return those that each installed unit gives which serves this configuration.

    Args:
        config: the path of `config.json`.
        environ: the environment of this shell, which counts where there is no such unit.
        home: the user's home folder.
        root: the folder in which the folders of the system lie.
    """
    found = tuple(_of_units(config, environ, home, root))
    return found or (Surroundings("this shell", environ.get("PATH", "")),)


def _of_units(
    config: Path, environ: Mapping[str, str], home: Path, root: Path
) -> Iterator[Surroundings]:
    users = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    groups = (
        ([users / "systemd" / "user", root / "etc/systemd/user"], users),
        (
            [
                root / folder.lstrip("/")
                for folder in (*SYSTEM_FOLDERS, *SYSTEM_FOLDERS_OF_PACKAGES)
            ],
            root / "etc",
        ),
    )
    for folders, config_home in groups:
        unit = next((folder / UNIT for folder in folders if (folder / UNIT).is_file()), None)
        if unit is None:
            continue
        lines = list(_lines(unit))
        if _config_of(lines, config_home) == _resolved(config):
            variables = _variables(lines)
            yield Surroundings(
                str(unit),
                variables.get("PATH") or SYSTEM_PATH,
                frozenset(variables),
                frozenset(_credentials(lines)),
                is_unit=True,
            )


def _lines(unit: Path) -> Iterator[tuple[str, str]]:
    """Yield the settings of a unit and of its drop-ins, by their names."""
    dropins = sorted(unit.with_name(f"{unit.name}.d").glob("*.conf"))
    for path in (unit, *dropins):
        try:
            text = path.read_text(errors="replace").replace("\\\n", " ")
        except OSError:
            continue
        for line in text.splitlines():
            name, equals, value = line.partition("=")
            if equals and not line.startswith(("#", ";")):
                yield name.strip(), value.strip()


def _credentials(lines: list[tuple[str, str]]) -> Iterator[str]:
    """Yield the names of the credentials that a unit passes (systemd.exec(5))."""
    for name, value in lines:
        if name in _CREDENTIAL_SETTINGS and value:
            yield value.partition(":")[0]


def _variables(lines: list[tuple[str, str]]) -> dict[str, str]:
    """Return the variables of `Environment=` and `EnvironmentFile=`.

    An empty `Environment=` forgets those before it.
    """
    variables: dict[str, str] = {}
    for name, value in lines:
        if name == "EnvironmentFile":
            variables |= _variables_in(value.removeprefix("-"))
        if name != "Environment":
            continue
        if not value:
            variables.clear()
        for word in _split(value):
            key, _, text = word.partition("=")
            variables[key] = text.replace("%%", "%")
    return variables


def _variables_in(path: str) -> dict[str, str]:
    """Return the variables of a file, as far as it can be read."""
    try:
        text = Path(path).read_text(errors="replace")
    except (OSError, ValueError):
        return {}
    assignments = (line.strip().partition("=") for line in text.splitlines())
    return {
        name: value.strip("\"'")
        for name, equals, value in assignments
        if equals and name and name[0] not in "#;"
    }


def _config_of(lines: list[tuple[str, str]], config_home: Path) -> Path:
    """Return the config file that a unit reads."""
    commands = [value for name, value in lines if name == "ExecStart" and value]
    words = [word.replace("%%", "%").replace("$$", "$") for word in _split((commands or [""])[-1])]
    for word, following in pairwise(words):
        if word in _CONFIG_OPTIONS:
            return _resolved(Path(following))
    named = _variables(lines).get("MCP_ROUTER_CONFIG")
    return _resolved(Path(named) if named else config_home / "mcp-router" / "config.json")


def _split(value: str) -> list[str]:
    try:
        return shlex.split(value)
    except ValueError:  # a quote that does not end
        return value.split()


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except OSError:
        return path

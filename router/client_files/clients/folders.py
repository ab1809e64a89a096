"""Finds the folders in which clients keep their settings. Pure: the machine is given as data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from router.client_files.clients.client import Machine


def path_of_variable(machine: Machine, name: str) -> Path | None:
    """Return the path that an environment variable names; None if it is not set or empty."""
    value = machine.environ.get(name)
    return machine.cwd / Path(value) if value else None


def xdg_config(machine: Machine) -> Path:
    """Return the base folder of the XDG Base Directory Specification.

    Some clients use it on all systems. A relative path in the variable is to be ignored.
    """
    value = machine.environ.get("XDG_CONFIG_HOME", "")
    return Path(value) if value and Path(value).is_absolute() else machine.home / ".config"


def application_support(machine: Machine) -> Path:
    """Return the folder in which applications keep their settings.

    It is `appData` of Electron, and the folder of Rust's `dirs::config_dir`.
    """
    if machine.platform == "darwin":
        return machine.home / "Library" / "Application Support"
    if machine.platform == "win32":
        roaming = machine.home / "AppData" / "Roaming"
        return path_of_variable(machine, "APPDATA") or roaming
    return xdg_config(machine)


def local_application_data(machine: Machine) -> Path:
    """Return the folder of Windows for settings that stay on one machine."""
    local = machine.home / "AppData" / "Local"
    return path_of_variable(machine, "LOCALAPPDATA") or local


def code_user_folder(machine: Machine) -> Path:
    """Return the folder of the default profile of VS Code.

    code.visualstudio.com/docs/configure/settings, Settings file locations.
    """
    return application_support(machine) / "Code" / "User"

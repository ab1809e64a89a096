"""The `PATH` of services that are installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from router.doctor.facts import Surroundings
from router.doctor.system.service_units import SYSTEM_PATH, surroundings
from router.service_manager.units import Service, service_unit

if TYPE_CHECKING:
    from pathlib import Path

SHELL = {"PATH": "/shell"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def put(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def test_without_a_unit_it_is_that_of_the_shell(tmp_path: Path, home: Path) -> None:
    found = surroundings(tmp_path / "config.json", SHELL, home, tmp_path / "root")
    assert found == (Surroundings("this shell", "/shell"),)


def test_unit_that_the_router_wrote_for_a_user_is_read_back(tmp_path: Path, home: Path) -> None:
    config = tmp_path / "my files" / "config.json"
    service = Service("/bin/mcp-router", ("--config", str(config)), "/home/a/50% bin:/usr/bin")
    unit = put(
        home / ".config/systemd/user/mcp-router.service", service_unit(service, is_user=True)
    )
    found = surroundings(config, SHELL, home, tmp_path / "root")
    assert found == (
        Surroundings(unit, "/home/a/50% bin:/usr/bin", frozenset({"PATH"}), is_unit=True),
    )
    other = surroundings(tmp_path / "config.json", SHELL, home, tmp_path / "root")
    assert other == (Surroundings("this shell", "/shell"),)


def test_unit_of_the_system_reads_the_file_in_etc_and_has_its_own_path(
    tmp_path: Path, home: Path
) -> None:
    root = tmp_path / "root"
    unit = put(
        root / "etc/systemd/system/mcp-router.service",
        service_unit(Service("/usr/local/bin/mcp-router"), is_user=False),
    )
    config = root / "etc/mcp-router/config.json"
    (found,) = surroundings(config, SHELL, home, root)
    assert (found.whose, found.path, found.is_unit) == (unit, SYSTEM_PATH, True)
    assert found.variables >= {"HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"}
    assert not found.credentials
    put(
        root / f"{unit}.d/more.conf",
        '[Service]\nEnvironment="PATH=/opt/node/bin:/usr/bin"\n'
        "LoadCredential=router-token:/etc/x\nLoadCredentialEncrypted=key:/etc/y\n",
    )
    (found,) = surroundings(config, SHELL, home, root)
    assert found.path == "/opt/node/bin:/usr/bin"
    assert found.credentials == {"router-token", "key"}


def test_variable_names_the_file_and_an_empty_setting_forgets_variables(
    tmp_path: Path, home: Path
) -> None:
    config = tmp_path / "config.json"
    put(tmp_path / "variables", "# A comment\nTOKEN='x'\n\n=x\nnothing\n")
    text = (
        "[Service]\nExecStart=mcp-router 'serve\nEnvironment=PATH=/old\nEnvironment=\n"
        f"Environment=MCP_ROUTER_CONFIG={config} \\\n  A=b\n#Environment=PATH=/comment\n"
        f"EnvironmentFile=-{tmp_path}/variables\nEnvironmentFile=/none\n"
    )
    unit = put(home / ".config/systemd/user/mcp-router.service", text)
    (found,) = surroundings(config, SHELL, home, tmp_path / "root")
    assert (found.whose, found.path) == (unit, SYSTEM_PATH)
    assert found.variables == {"MCP_ROUTER_CONFIG", "A", "TOKEN"}

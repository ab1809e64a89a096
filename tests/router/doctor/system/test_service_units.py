"""The `PATH` of services that are installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from router.doctor.facts import SearchPath
from router.doctor.system.service_units import SYSTEM_PATH, search_paths
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
    found = search_paths(tmp_path / "config.json", SHELL, home, tmp_path / "root")
    assert found == (SearchPath("this shell", "/shell"),)


def test_unit_that_the_router_wrote_for_a_user_is_read_back(tmp_path: Path, home: Path) -> None:
    config = tmp_path / "my files" / "config.json"
    service = Service("/bin/mcp-router", ("--config", str(config)), "/home/a/50% bin:/usr/bin")
    unit = put(
        home / ".config/systemd/user/mcp-router.service", service_unit(service, is_user=True)
    )
    found = search_paths(config, SHELL, home, tmp_path / "root")
    assert found == (SearchPath(unit, "/home/a/50% bin:/usr/bin"),)
    other = search_paths(tmp_path / "config.json", SHELL, home, tmp_path / "root")
    assert other == (SearchPath("this shell", "/shell"),)


def test_unit_of_the_system_reads_the_file_in_etc_and_has_its_own_path(
    tmp_path: Path, home: Path
) -> None:
    root = tmp_path / "root"
    unit = put(
        root / "etc/systemd/system/mcp-router.service",
        service_unit(Service("/usr/local/bin/mcp-router"), is_user=False),
    )
    config = root / "etc/mcp-router/config.json"
    assert search_paths(config, SHELL, home, root) == (SearchPath(unit, SYSTEM_PATH),)
    put(root / f"{unit}.d/path.conf", '[Service]\nEnvironment="PATH=/opt/node/bin:/usr/bin"\n')
    assert search_paths(config, SHELL, home, root) == (SearchPath(unit, "/opt/node/bin:/usr/bin"),)


def test_variable_names_the_file_and_an_empty_setting_forgets_variables(
    tmp_path: Path, home: Path
) -> None:
    config = tmp_path / "config.json"
    text = (
        "[Service]\nExecStart=mcp-router 'serve\nEnvironment=PATH=/old\nEnvironment=\n"
        f"Environment=MCP_ROUTER_CONFIG={config} \\\n  A=b\n#Environment=PATH=/comment\n"
    )
    unit = put(home / ".config/systemd/user/mcp-router.service", text)
    found = search_paths(config, SHELL, home, tmp_path / "root")
    assert found == (SearchPath(unit, SYSTEM_PATH),)

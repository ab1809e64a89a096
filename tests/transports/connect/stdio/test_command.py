"""Finding the command of a stdio upstream."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from router.messages.instances.instance_spec import InstanceSpec
from transports.connect.stdio.command import environment, find_command
from transports.connect.wire import WireLost

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.name != "posix", reason="commands are found another way there")

BESIDE_US = os.path.dirname(sys.executable)


def _spec(command: str, *args: str, **more: Any) -> InstanceSpec:
    return InstanceSpec("test", "test", command=command, args=args, **more)


def _script(folder: Path, name: str, mode: int = 0o755) -> Path:
    folder.mkdir(exist_ok=True)
    script = folder / name
    script.write_text("#!/bin/sh\n")
    script.chmod(mode)
    return script


def _reason(spec: InstanceSpec) -> str:
    with pytest.raises(WireLost) as lost:
        find_command(spec)
    return str(lost.value)


def test_the_environment_is_minimal_and_what_the_instance_names() -> None:
    ours = {"PATH": "/bin", "HOME": "/h", "LC_ALL": "C", "LC_TIME": "C", "SECRET": "s", "LD_X": "x"}
    assert environment(ours, {"API_KEY": "k", "HOME": "/other"}) == {
        "PATH": f"/bin:{BESIDE_US}",
        "HOME": "/other",
        "LC_ALL": "C",
        "LC_TIME": "C",
        "API_KEY": "k",
    }


def test_our_own_folder_comes_last_in_any_path() -> None:
    assert environment({"PATH": "/bin"}, {"PATH": "/mine"})["PATH"] == f"/mine:{BESIDE_US}"
    assert environment({}, {})["PATH"] == f"{os.defpath}:{BESIDE_US}"


def test_a_command_is_looked_up_in_the_path_of_the_instance(tmp_path: Path) -> None:
    script = _script(tmp_path / "bin", "tool")
    found = find_command(_spec("tool", "-x", "a b", "$HOME", env={"PATH": str(script.parent)}))
    assert found.path == str(script)
    assert found.argv == ("tool", "-x", "a b", "$HOME")


def test_what_is_installed_beside_the_router_is_found() -> None:
    name = os.path.basename(sys.executable)
    assert find_command(_spec(name, env={"PATH": "/nonexistent"})).path == sys.executable


def test_a_relative_command_is_looked_up_in_the_folder_of_the_instance(tmp_path: Path) -> None:
    script = _script(tmp_path / "bin", "tool")
    assert find_command(_spec("bin/tool", cwd=str(tmp_path))).path == str(script)


def test_a_missing_command_is_named_with_what_to_do() -> None:
    assert _reason(_spec("no-such-tool")) == (
        "command not found: 'no-such-tool'; install it, give its full path, or add its folder to "
        'PATH in "env"'
    )


def test_a_folder_is_no_command(tmp_path: Path) -> None:
    assert _reason(_spec(str(tmp_path))) == (
        f"'{tmp_path}' is a folder, no command; give the full path of the program in it"
    )


def test_a_missing_file_is_named_in_full(tmp_path: Path) -> None:
    assert _reason(_spec("bin/tool", cwd=str(tmp_path))) == (
        f"command not found: 'bin/tool'; there is no file '{tmp_path}/bin/tool'"
    )


def test_a_file_without_permission_is_named_with_what_to_do(tmp_path: Path) -> None:
    script = _script(tmp_path, "tool", 0o644)
    assert _reason(_spec(str(script))) == (
        f"permission denied: '{script}' may not be executed; see `chmod +x`"
    )


def test_a_missing_folder_is_named_with_what_to_do(tmp_path: Path) -> None:
    assert _reason(_spec("sh", cwd=f"{tmp_path}/gone")) == (
        f"folder not found: '{tmp_path}/gone'; create it, or correct \"cwd\""
    )


def test_the_values_of_the_environment_are_not_shown() -> None:
    assert "canary" not in repr(find_command(_spec("sh", env={"TOKEN": "canary"})))

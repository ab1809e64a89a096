"""Commands that the service would not find."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.doctor.facts import Surroundings
from router.doctor.rules.commands import judge
from router.messages.instances.sandbox import Sandbox
from tests.router.doctor.made_facts import facts, lines, spec
from transports.connect.stdio.sandbox import confinement

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def program(folder: Path, name: str, mode: int = 0o755) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    return path


def test_command_that_only_this_shell_finds_says_what_the_unit_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "mine", "npx")
    program(tmp_path / "all", "uvx")
    monkeypatch.setenv("PATH", str(tmp_path / "mine"))
    unit = Surroundings("/etc/mcp-router.service", str(tmp_path / "all"), is_unit=True)
    found = facts(
        specs=(
            spec("a", command="npx"),
            spec("b", command="uvx"),
            spec("c", command="npx", env={"PATH": str(tmp_path / "mine")}),
            spec("d", command="nix"),
            spec("off", command="nix", is_active=False),
            spec("far", type="http", command="", url="https://x.test"),
        ),
        surroundings=(unit,),
    )
    mine = tmp_path / "mine"
    assert lines(judge, found) == [
        "error a: the command npx is not found with the PATH of /etc/mcp-router.service -> "
        f"add {mine} to Environment=PATH= in /etc/mcp-router.service, or give the path {mine}/npx",
        "error d: the command nix is not found with the PATH of /etc/mcp-router.service -> "
        'install nix, or give its full path as "command"',
    ]


def test_path_that_is_missing_or_may_not_be_executed_is_named(tmp_path: Path) -> None:
    path = program(tmp_path, "tool", 0o644)
    good = program(tmp_path, "good")
    found = facts(
        specs=(
            spec("a", command=str(path)),
            spec("b", command="./none", cwd=str(tmp_path)),
            spec("c", command=str(good)),
        )
    )
    assert lines(judge, found) == [
        f"error a: {path} may not be executed -> chmod +x {path}",
        f"error b: there is no file {tmp_path}/none -> install it, or correct its path",
    ]


def test_sandbox_that_this_system_cannot_keep_is_an_error_where_it_is_required(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    none = confinement.System(0, "x86_64", "its kernel has no Landlock")
    monkeypatch.setattr(confinement, "this_system", lambda: none)
    command = str(program(tmp_path, "tool"))
    found = facts(
        specs=(
            spec("a", command=command, sandbox=Sandbox(required=True)),
            spec("b", command=command, sandbox=Sandbox(read=("/no/such/folder",))),
        )
    )
    why = "this system cannot confine processes: its kernel has no Landlock"
    assert lines(judge, found) == [
        f"error a: {why} -> see docs/sandbox.md",
        f"warning b: {why} -> see docs/sandbox.md",
    ]

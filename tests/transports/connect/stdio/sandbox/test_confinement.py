"""The rights of a confined process, as they are decided."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Final

import pytest

from router.messages.instances.instance_spec import InstanceSpec
from router.messages.instances.sandbox import Sandbox
from transports.connect.stdio.sandbox.confinement import (
    System,
    confinement_of,
    sandbox_problems,
)
from transports.connect.stdio.sandbox.landlock import CONTROL, READ, WRITE, ruleset_for
from transports.connect.stdio.sandbox.needed_paths import files_of_program
from transports.connect.stdio.sandbox.network_filter import call_filter

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there is no sandbox on Windows")

NAMED: Final = READ | WRITE | CONTROL
SYSTEM: Final = System(7, "x86_64")
ENV: Final = {"HOME": "/home/me", "PATH": "/usr/bin:relative:/home/me:/home/me/bin"}


def _rules(sandbox: Sandbox, cwd: str | None = None) -> dict[str, int]:
    found = confinement_of(sandbox, SYSTEM, "/usr/bin/tool", ENV, cwd)
    return {path: rights for rights, path in found.rules}


def test_paths_are_relative_to_the_home_and_the_folder_of_the_process() -> None:
    rules = _rules(Sandbox(read=("~/in", "./data", "/srv"), write=("~", "..")), "/work/here")
    assert {path: rules[path] for path in ("/home/me/in", "/work/here/data", "/srv")} == {
        "/home/me/in": READ,
        "/work/here/data": READ,
        "/srv": READ,
    }
    assert (rules["/home/me"], rules["/work"]) == (NAMED, NAMED)
    assert rules["/work/here"] == READ


def test_devices_that_are_named_may_be_controlled_where_the_kernel_asks() -> None:
    sandbox = Sandbox(write=("/dev/ptmx",))
    for abi, rights in ((4, READ | WRITE), (5, NAMED)):
        found = confinement_of(sandbox, System(abi, "x86_64"), "/usr/bin/tool", ENV, None)
        assert (rights, "/dev/pts/ptmx") in found.rules or (rights, "/dev/ptmx") in found.rules
        assert (READ | WRITE, "/dev/tty") in found.rules


def test_programs_are_found_but_a_home_is_not_shown() -> None:
    rules = _rules(Sandbox())
    assert rules["/home/me/bin"] == READ
    assert "/home/me" not in rules
    assert not any("relative" in path for path in rules)


def test_configurations_and_secrets_in_etc_are_not_shown() -> None:
    rules = _rules(Sandbox())
    assert "/etc" not in rules
    assert not any(path.startswith(("/etc/mcp", "/root", "/home/me/.")) for path in rules)


def test_libraries_beside_a_program_come_with_it(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "lib").mkdir()
    (tmp_path / "private").mkdir()
    tool = tmp_path / "bin" / "tool"
    tool.symlink_to(tmp_path / "lib" / "cli.js")
    assert list(files_of_program(str(tool))) == [str(tmp_path / "bin"), str(tmp_path / "lib")]
    found = confinement_of(Sandbox(), SYSTEM, str(tool), ENV, None)
    assert (READ, str(tmp_path / "lib" / "cli.js")) in found.rules
    assert not any("private" in path for _, path in found.rules)


@pytest.mark.parametrize("link", ["in", "cwd", "bin", "tool", "deep"])
def test_a_link_that_the_process_may_change_allows_nothing(tmp_path: Path, link: str) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "work").mkdir()
    work = tmp_path / "work"
    sandbox = Sandbox((f"{work}/in",), (str(work), f"{work}/deep"))
    (work / link).symlink_to(tmp_path / "secrets")
    env = {"HOME": "/home/me", "PATH": f"{work}/bin"}
    found = confinement_of(sandbox, SYSTEM, f"{work}/tool", env, f"{work}/cwd")
    assert (NAMED, str(work)) in found.rules
    assert not any("secrets" in path for _, path in found.rules)


@pytest.mark.parametrize("may_be_changed", [False, True])
def test_the_interpreter_of_a_script_comes_with_it_unless_the_process_wrote_the_script(
    tmp_path: Path, *, may_be_changed: bool
) -> None:
    for folder in ("tool/bin", "python/bin", "python/lib"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "tool/bin/python").symlink_to(tmp_path / "python/bin/python")
    script = tmp_path / "tool/bin/server"
    script.write_text(f"#!{tmp_path}/tool/bin/python -I\n")
    written = (f"{tmp_path}/tool/bin/server",) if may_be_changed else ()
    found = confinement_of(Sandbox((), written), SYSTEM, str(script), ENV, None)
    python = {(READ, f"{tmp_path}/python/{name}") for name in ("bin", "lib")}
    assert (python & set(found.rules)) == (set() if may_be_changed else python)


def test_a_check_names_the_paths_that_allow_nothing_and_leaves_those_of_clients(
    tmp_path: Path,
) -> None:
    (tmp_path / "link").symlink_to("/usr")
    sandbox = Sandbox(("${roots.0}/src", "/no/such"), (str(tmp_path), f"{tmp_path}/link"))
    spec = InstanceSpec("a", "a", command="tool", sandbox=sandbox)
    found = [each for each in sandbox_problems(spec, ENV) if each.startswith("sandbox.")]
    assert found == [
        "sandbox.read: there is no /no/such, so it allows nothing; create it, or take it out",
        f"sandbox.write: a link in {tmp_path}/link is where the process may write, "
        "so it allows nothing",
    ]


def test_other_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    rules = _rules(Sandbox((f"{tmp_path}/link/..",), (f"{tmp_path}/link",)))
    assert rules[f"{tmp_path}/there"] == NAMED
    assert rules[str(tmp_path)] == READ


def test_the_ruleset_is_as_long_as_the_kernel_knows_it() -> None:
    assert {abi: len(ruleset_for(abi)) for abi in (3, 4, 5, 6, 7)} == {
        3: 8,
        4: 8,
        5: 8,
        6: 24,
        7: 24,
    }
    (files,) = struct.unpack("=Q", ruleset_for(3))
    assert files == 0x7FFF


@pytest.mark.parametrize("machine", ["x86_64", "aarch64", "riscv64"])
@pytest.mark.parametrize(
    ("call", "family", "allowed"),
    [
        ("read", 0, True),
        ("socket", 1, True),
        ("socket", 16, True),
        ("socket", 2, False),
        ("socket", 10, False),
        ("socket", 17, False),
        ("io_uring_setup", 0, False),
    ],
)
def test_the_filter_lets_through_all_but_sockets_of_the_network(
    machine: str, call: str, family: int, allowed: bool
) -> None:
    arch, socket = {
        "x86_64": (0xC000003E, 41),
        "aarch64": (0xC00000B7, 198),
        "riscv64": (0xC00000F3, 198),
    }[machine]
    number = {"read": 0, "socket": socket, "io_uring_setup": 425}[call]
    assert _is_allowed(call_filter(machine, network=False) or b"", arch, number, family) == allowed
    assert not _is_allowed(
        call_filter(machine, network=False) or b"", 0x40000003, number, family
    )  # i386


def test_the_second_numbers_of_system_calls_are_refused() -> None:
    assert not _is_allowed(
        call_filter("x86_64", network=False) or b"", 0xC000003E, 0x40000000 | 41, 2
    )


@pytest.mark.parametrize(
    ("machine", "arch", "prlimit"),
    [
        ("x86_64", 0xC000003E, 302),
        ("x86_64", 0x40000003, 340),
        ("aarch64", 0xC00000B7, 261),
        ("aarch64", 0x40000028, 369),
        ("riscv64", 0xC00000F3, 261),
    ],
)
def test_with_the_network_only_the_limits_of_others_are_refused(
    machine: str, arch: int, prlimit: int
) -> None:
    program = call_filter(machine, network=True) or b""
    assert _is_allowed(program, arch, prlimit, 0)
    assert not _is_allowed(program, arch, prlimit, 4711)
    assert _is_allowed(program, arch, 41, 2)
    assert _is_allowed(program, arch, 425, 4)
    assert _is_allowed(program, 0xC0000015, prlimit, 4711)  # a program that cannot run here


def _is_allowed(program: bytes, arch: int, number: int, argument: int) -> bool:
    """Run a filter as the kernel does (bpf(4)), for one system call."""
    operations = list(struct.iter_unpack("=HBBI", program))
    at = accumulator = 0
    while True:
        code, then, otherwise, value = operations[at]
        at += 1
        if code == 0x20:
            accumulator = {0: number, 4: arch, 16: argument}[value]
        elif code == 0x15:
            at += then if accumulator == value else otherwise
        elif code == 0x35:
            at += then if accumulator >= value else otherwise
        else:
            return value == 0x7FFF0000

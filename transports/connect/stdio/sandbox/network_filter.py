"""Makes the filter of system calls of a confined process. Pure.

A process may set the limits of all others of its user, such as the number of open files of the
guard that is to kill it, and needs no signal for that. So prlimit(2) is for the process itself.

Without the network: Landlock refuses connections by TCP alone. This filter refuses every socket but
Unix sockets and netlink, by which a program asks what addresses it has, so neither UDP nor DNS gets
out. `io_uring` makes sockets without that system call, so it is refused as well (seccomp(2),
bpf(4)). Programs of another machine have other numbers, so nothing of them is let through.
"""

from __future__ import annotations

import errno
import struct
from typing import Final

from msgspec import Struct


class _Machine(Struct, frozen=True):
    """A machine as `struct seccomp_data` names it.

    Attributes:
        arch: its AUDIT_ARCH.
        socket, prlimit: the numbers of socket(2) and prlimit(2).
        arch_32, prlimit_32: the same of the machine of 32 bits whose programs run there as well.
        has_x32: True if numbers from `_X32` on are the same system calls once more.
    """

    arch: int
    socket: int
    prlimit: int
    arch_32: int
    prlimit_32: int
    has_x32: bool = False


_MACHINES: Final = {
    "x86_64": _Machine(0xC000003E, 41, 302, 0x40000003, 340, has_x32=True),
    "aarch64": _Machine(0xC00000B7, 198, 261, 0x40000028, 369),
    "riscv64": _Machine(0xC00000F3, 198, 261, 0x400000F3, 261),
}
_IO_URING_SETUP: Final = 425
_X32: Final = 0x40000000
_AF_UNIX: Final = 1
_AF_NETLINK: Final = 16

# Places in `struct seccomp_data`; the machines above have the low half of an argument first.
_NUMBER: Final = 0
_ARCH: Final = 4
_FIRST_ARGUMENT: Final = 16

_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_IF_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_IF_AT_LEAST: Final = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_RETURN: Final = 0x06  # BPF_RET | BPF_K

_ALLOW: Final = 0x7FFF0000
_REFUSE: Final = 0x00050000


def call_filter(machine: str, *, network: bool) -> bytes | None:
    """Return the filter as an array of `struct sock_filter`; None for an unknown machine.

    Args:
        machine: its name, as `os.uname` has it.
        network: True if the process may use the network.
    """
    known = _MACHINES.get(machine)
    if known is None:
        return None
    other_machine = _programs_of_32_bits(known) if network else (_refuse(errno.EPERM),)
    return b"".join(
        (
            _op(_LOAD, _ARCH),
            _op(_IF_EQUAL, known.arch, then=len(other_machine)),
            *other_machine,
            _op(_LOAD, _NUMBER),
            _op(_IF_AT_LEAST, _X32 if known.has_x32 else 0xFFFFFFFF, otherwise=1),
            _refuse(errno.EPERM),
            *_own_limits(known.prlimit),
            *(() if network else _no_network(known.socket)),
            _op(_RETURN, _ALLOW),
        )
    )


def _programs_of_32_bits(known: _Machine) -> tuple[bytes, ...]:
    calls = (_op(_LOAD, _NUMBER), *_own_limits(known.prlimit_32))
    return (
        _op(_IF_EQUAL, known.arch_32, otherwise=len(calls)),
        *calls,
        _op(_RETURN, _ALLOW),
    )


def _own_limits(prlimit: int) -> tuple[bytes, ...]:
    return (
        _op(_IF_EQUAL, prlimit, otherwise=4),
        _op(_LOAD, _FIRST_ARGUMENT),
        _op(_IF_EQUAL, 0, otherwise=1),
        _op(_RETURN, _ALLOW),
        _refuse(errno.EPERM),
    )


def _no_network(socket: int) -> tuple[bytes, ...]:
    return (
        _op(_IF_EQUAL, _IO_URING_SETUP, otherwise=1),
        _refuse(errno.ENOSYS),
        _op(_IF_EQUAL, socket, otherwise=4),
        _op(_LOAD, _FIRST_ARGUMENT),
        _op(_IF_EQUAL, _AF_UNIX, then=2),
        _op(_IF_EQUAL, _AF_NETLINK, then=1),
        _refuse(errno.EACCES),
    )


def _refuse(number: int) -> bytes:
    return _op(_RETURN, _REFUSE | number)


def _op(code: int, value: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    """Return a `struct sock_filter`; `then` and `otherwise` are the instructions to leap over."""
    return struct.pack("=HBBI", code, then, otherwise, value)

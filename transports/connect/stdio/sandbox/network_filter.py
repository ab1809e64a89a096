"""Makes the filter of system calls that keeps a confined process from the network. Pure.

Landlock refuses connections by TCP alone. This filter refuses every socket but Unix sockets and
netlink, by which a program asks what addresses it has, so neither UDP nor DNS gets out. `io_uring`
makes sockets without that system call, so it is refused as well (seccomp(2), bpf(4)).
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
        socket: the number of socket(2).
        has_x32: True if numbers from `_X32` on are the same system calls once more.
    """

    arch: int
    socket: int
    has_x32: bool = False


_MACHINES: Final = {
    "x86_64": _Machine(0xC000003E, 41, has_x32=True),
    "aarch64": _Machine(0xC00000B7, 198),
    "riscv64": _Machine(0xC00000F3, 198),
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


def network_filter(machine: str) -> bytes | None:
    """Return the filter as an array of `struct sock_filter`; None for an unknown machine.

    Args:
        machine: its name, as `os.uname` has it.
    """
    known = _MACHINES.get(machine)
    if known is None:
        return None
    return b"".join(
        (
            _op(_LOAD, _ARCH),
            # Programs of another machine have other numbers, so nothing of them is let through.
            _op(_IF_EQUAL, known.arch, then=1),
            _refuse(errno.EPERM),
            _op(_LOAD, _NUMBER),
            _op(_IF_AT_LEAST, _X32 if known.has_x32 else 0xFFFFFFFF, otherwise=1),
            _refuse(errno.EPERM),
            _op(_IF_EQUAL, _IO_URING_SETUP, otherwise=1),
            _refuse(errno.ENOSYS),
            _op(_IF_EQUAL, known.socket, otherwise=4),
            _op(_LOAD, _FIRST_ARGUMENT),
            _op(_IF_EQUAL, _AF_UNIX, then=2),
            _op(_IF_EQUAL, _AF_NETLINK, then=1),
            _refuse(errno.EACCES),
            _op(_RETURN, _ALLOW),
        )
    )


def _refuse(number: int) -> bytes:
    return _op(_RETURN, _REFUSE | number)


def _op(code: int, value: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    """Return a `struct sock_filter`; `then` and `otherwise` are the instructions to leap over."""
    return struct.pack("=HBBI", code, then, otherwise, value)

"""Lists the files that a program needs to run at all, besides those that its user names.

Invariants: nothing in the home of the user is among them but the program itself and its libraries;
of `/etc` only what libraries read is, because configurations there hold secrets.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_IN_ETC: Final = (
    *(
        "alternatives",
        "ca-certificates",
        "ca-certificates.conf",
        "crypto-policies",
        "debian_version",
    ),
    *("fonts", "gai.conf", "group", "host.conf", "hosts", "ld.so.cache", "ld.so.conf"),
    *("ld.so.conf.d", "locale.alias", "locale.conf", "localtime", "magic", "mime.types"),
    *("nsswitch.conf", "os-release", "passwd", "pki", "protocols", "resolv.conf", "services"),
    *("ssl", "terminfo", "timezone"),
)
READABLE: Final = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"),
    *("/proc", "/sys", "/nix/store", "/snap"),
    # The name servers, where the file in `/etc` is a link.
    *("/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager/resolv.conf"),
    *(f"/etc/{name}" for name in _IN_ETC),
)
DEVICES: Final = (
    *("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"),
)
_BESIDE_BIN: Final = ("lib", "lib64", "libexec", "pyvenv.cfg")
"""A program in `…/bin` has its libraries beside that folder; so has a virtual environment."""

_LINE_BYTES: Final = 256
"""Of a first line, as much as the system reads (execve(2))."""


def files_of_program(path: str) -> Iterator[str]:
    """Yield the folder of a program, and those of its libraries, as far as they are there.

    Args:
        path: its absolute path. Where that is a link, the program behind it needs its own as well.
    """
    folder = os.path.dirname(path)
    if os.path.basename(folder) not in ("bin", "sbin"):
        # Who keeps a program among other files has not asked to show those.
        yield path
        return
    yield folder
    for name in _BESIDE_BIN:
        beside = os.path.join(os.path.dirname(folder), name)
        if os.path.exists(beside):
            yield beside


def interpreter_of(path: str) -> str | None:
    """Return the absolute path of the program in the first line of a script; None for others."""
    try:
        with open(path, "rb") as file:
            line = file.readline(_LINE_BYTES)
    except OSError:
        return None
    words = line[2:].split() if line.startswith(b"#!") else []
    return os.fsdecode(words[0]) if words and words[0].startswith(b"/") else None

"""Reads and writes `secrets.json`, the file of secrets beside `config.json`.

Names are readable without a key. Values are encrypted, or plain where there was no key.

Invariants:

- A file of another user, or one that others may write, is refused, and so is one with plain values
  that others may read.
- The file is replaced in one step; no message quotes a value.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from router.files.json_files import decode_object
from router.files.safe_folder import NEW_FILE_MODE
from router.messages.errors import ConfigError
from router.secret_store.sealing import Sealed  # noqa: TC001 - msgspec looks it up
from router.secret_store.secret_rules import NAME_RULE, is_secret_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from router.files.safe_folder import SafeFolder

VERSION: Final = 1

FILE_LIMIT_BYTES: Final = 5 * 1024 * 1024

Protection: TypeAlias = Literal["none", "keyring", "credential"]
"""The place of the key: in a keyring, in a credential of systemd, or none, for plain values."""

_OTHERS_MAY_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_OTHERS_MAY_READ: Final = stat.S_IRGRP | stat.S_IROTH


class SecretFile(Struct, frozen=True, forbid_unknown_fields=True):
    """The content of the file.

    Attributes:
        version: of the format.
        protection: the place of the key.
        key_id: of the key; empty for plain values.
        keyring_of: the user and the machine whose keyring has the key.
        keep_plain: True if the user wants plain values, although there may be a key.
        secrets: the values by name, plain or encrypted.
    """

    version: int = VERSION
    protection: Protection = "none"
    key_id: str = ""
    keyring_of: str = ""
    keep_plain: bool = False
    secrets: dict[str, str | Sealed] = {}

    def with_secrets(self, secrets: Mapping[str, str | Sealed]) -> SecretFile:
        """Return the same with these values, in the order of names."""
        return replace(self, secrets=dict(sorted(secrets.items())))

    def __repr__(self) -> str:
        return f"SecretFile(protection={self.protection!r}, names={list(self.secrets)!r})"


def read_file(path: Path) -> SecretFile:
    """Return the content; that of an empty file where there is none. Blocks on disk.

    Raises:
        ConfigError: the file cannot be read or understood, or is not safe.
    """
    place = str(path)
    try:
        data, status = _read(path)
    except FileNotFoundError:
        return SecretFile()
    except OSError as exc:
        is_link = exc.errno == errno.ELOOP
        reason = "it is a symbolic link; put the file itself there" if is_link else exc.strerror
        raise ConfigError(place, f"cannot be read: {reason}") from None
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(place, "cannot be read: it is no regular file")
    _check_owner(place, status)
    if len(data) > FILE_LIMIT_BYTES:
        raise ConfigError(place, f"is larger than {FILE_LIMIT_BYTES // (1024 * 1024)} MB")
    content = _decode(data, place)
    _check_mode(place, status.st_mode, is_plain=content.protection == "none")
    return content


def write_file(folder: SafeFolder, name: str, content: SecretFile) -> None:
    """Replace the file, while the lock of its folder is held.

    Raises:
        ConfigError: it would be too large to be read; it is as it was.
        OSError: as `SafeFolder.write`.
    """
    path = folder.path / name
    data = msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"
    if len(data) > FILE_LIMIT_BYTES:
        limit = f"{FILE_LIMIT_BYTES // (1024 * 1024)} MB"
        raise ConfigError(str(path), f"would become larger than {limit}, and is left as it was")
    if content.protection == "none" and path.exists():
        # A file with encrypted values may be readable for others, and keeps its mode.
        path.chmod(NEW_FILE_MODE)
    # A process that was killed while it wrote has left its values in a file that nobody needs; the
    # lock says that no other process writes now.
    for left in folder.path.glob(f".{name}.*.tmp"):
        folder.remove(left.name)
    folder.write(name, data)


def _read(path: Path) -> tuple[bytes, os.stat_result]:
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0)
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # a pipe would wait
    fd = os.open(path, flags)
    with os.fdopen(fd, "rb") as file:
        status = os.fstat(fd)
        data = file.read(FILE_LIMIT_BYTES + 1) if stat.S_ISREG(status.st_mode) else b""
        return data, status


def _check_owner(place: str, status: os.stat_result) -> None:
    # Windows has no such owners. What root has written is safe for everybody.
    if not hasattr(os, "geteuid") or status.st_uid in (os.geteuid(), 0):
        return
    owner, ours = _user_name(status.st_uid), _user_name(os.geteuid())
    way_out = f"run this as {owner}, or make it the file of {ours}: chown {ours} {place}"
    raise ConfigError(place, f"belongs to another user ({owner}); {way_out}")


def _check_mode(place: str, mode: int, *, is_plain: bool) -> None:
    if not hasattr(os, "geteuid"):
        return
    way_out = f"chmod 600 {place}"
    if mode & _OTHERS_MAY_WRITE:
        raise ConfigError(place, f"can be written by other users; run: {way_out}")
    if is_plain and mode & _OTHERS_MAY_READ:
        problem = "can be read by other users, and is not encrypted"
        raise ConfigError(place, f"{problem}; run: {way_out}, and exchange the secrets in it")


def _user_name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _decode(data: bytes, place: str) -> SecretFile:
    members = decode_object(data, place)
    if members.get("version") != VERSION:
        problem = f"is of another version of the format than {VERSION}"
        raise ConfigError(place, f"{problem}: use the version of MCP Router that wrote it")
    try:
        content = msgspec.convert(members, SecretFile)
    except msgspec.ValidationError as exc:
        raise ConfigError(place, f"cannot be understood: {exc}") from None
    for name, value in content.secrets.items():
        if not is_secret_name(name):
            raise ConfigError(place, f"has a secret whose name is not {NAME_RULE}")
        if isinstance(value, str) is not (content.protection == "none"):
            kind = "plain" if isinstance(value, str) else "encrypted"
            raise ConfigError(place, f'{name} is {kind}, but protection "{content.protection}"')
    return content

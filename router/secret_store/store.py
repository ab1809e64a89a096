"""Keeps the secrets that `${secret:NAME}` stands for, in `secrets.json` beside `config.json`.

The values are encrypted with the key in a credential of systemd where there is one, else with one
in the system's keyring, else they are plain. Each write uses what there is by then: a plain file
is encrypted once there is a key, and an encrypted one gets the credential's key.

Invariants:

- Two processes that write at the same time lose nothing: between reading and writing, the lock of
  the folder is held. The keyring, which may wait for a person, is asked outside of it.
- A file whose key cannot be had is never written with another one.
- A key that has encrypted values stays in its keyring: copies of the file may need it.
- A keyring is asked only when an encrypted value is read, or when values are written.
"""

from __future__ import annotations

import getpass
import os
import platform
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

import attrs
from msgspec import Struct
from msgspec.structs import replace

from router.core.text.nearest_names import likely_meant
from router.files.names import SECRETS_FILE_NAME
from router.files.safe_folder import NEW_FOLDER_MODE, SafeFolder, locked
from router.messages.errors import ConfigError
from router.secret_store.keys import (
    CREDENTIAL,
    CREDENTIALS_VARIABLE,
    KEYRING,
    NoKey,
    key_from_credential,
    new_key_in_keyring,
    remove_from_keyring,
)
from router.secret_store.sealing import Key, WrongSeal
from router.secret_store.secret_file import SecretFile, read_file, write_file
from router.secret_store.secret_rules import check_name, check_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from router.secret_store import secret_file
    from router.secret_store.sealing import Sealed

PATIENCE_S: Final = 10.0
"""The time that a start may wait for a keyring, which answers within a second if it is open."""

COMMAND_PATIENCE_S: Final = 60.0
"""The time that a command may wait: a keyring that is locked asks its user for a password."""

_TRIES: Final = 5
"""Each further try needs another process that changed the key of the file in that moment."""


class FilesOfRouter(Protocol):
    """Says where the config file is; see `router.config.options.Paths`."""

    @property
    def config(self) -> Path: ...


class MissingSecret(ConfigError):
    """There is no secret of this name; `problem` is the whole sentence."""


class Saved(Struct, frozen=True):
    """The state of the file after a change.

    Attributes:
        protection: the place of the key that encrypts the values; "none" where they are plain.
        before: the same before the change.
        why_plain: the reason why the values are plain, as the end of a sentence.
    """

    protection: secret_file.Protection
    before: secret_file.Protection
    why_plain: str = ""


class _Target(Struct, frozen=True):
    """The protection that a change gives the file, with the key for it and the key so far."""

    header: SecretFile
    new: Key | None
    old: Key | None
    why_plain: str = ""
    is_fresh: bool = False


@attrs.define(eq=False)
class SecretStore:
    """The secrets of one router.

    All methods block on disk, and those that need a key may wait for the keyring.

    Attributes:
        path: of the file, which need not be there.
        environ: says where credentials are.
        patience_s: the time to wait for the keyring.
        without_key: what to do where a value cannot be decrypted, for a file that the commands of
            `mcp-router secret` do not change; empty for theirs.
    """

    path: Path
    environ: Mapping[str, str] = attrs.field(repr=False)
    patience_s: float = PATIENCE_S
    without_key: str = ""
    _no_keyring: NoKey | None = attrs.field(init=False, default=None)

    @classmethod
    def open(
        cls,
        paths: FilesOfRouter,
        environ: Mapping[str, str] = os.environ,
        *,
        patience_s: float = PATIENCE_S,
    ) -> SecretStore:
        """Return the store beside `paths.config`. Nothing is read yet."""
        return cls(paths.config.with_name(SECRETS_FILE_NAME), environ, patience_s)

    def names(self) -> tuple[str, ...]:
        """Return the names of all secrets, in their order; this takes no key.

        Raises:
            ConfigError: the file cannot be used.
        """
        return tuple(read_file(self.path).secrets)

    def protection(self) -> secret_file.Protection:
        """Return the place of the key that encrypts the values; "none" where they are plain.

        Raises:
            ConfigError: the file cannot be used.
        """
        return read_file(self.path).protection

    def get(self, name: str) -> str:
        """Return the value of a secret.

        Raises:
            MissingSecret: there is no such secret.
            ConfigError: the file cannot be used, or the key cannot be had.
        """
        content = read_file(self.path)
        value = content.secrets.get(name)
        if value is None:
            raise self._missing(name, content.secrets, f"mcp-router secret set {name}")
        return self._plain(name, value, None if isinstance(value, str) else self._key_of(content))

    def get_all(self, prefix: str) -> dict[str, str]:
        """Return the values of all secrets whose names begin so, by their names.

        Raises:
            ConfigError: the file cannot be used, or the key cannot be had.
        """
        content = read_file(self.path)
        found = {name: value for name, value in content.secrets.items() if name.startswith(prefix)}
        is_plain = all(isinstance(value, str) for value in found.values())
        key = None if is_plain else self._key_of(content)
        return {name: self._plain(name, value, key) for name, value in found.items()}

    def set(self, name: str, value: str) -> Saved:
        """Keep a secret, in the place of one of the same name; see `set_all`."""
        return self.set_all({name: value})

    def set_all(self, values: Mapping[str, str]) -> Saved:
        """Keep secrets by their names, all of them in one write or none.

        Raises:
            ConfigError: no secret may have this name or value, the file cannot be used, or its
                key cannot be had; nothing was changed.
            OSError: the file could not be written, and is as it was.
        """
        for name, value in values.items():
            check_name(name)
            check_value(value)
        return self._change(values)

    def remove(self, name: str) -> None:
        """Remove a secret, for good; this takes no key.

        Raises:
            MissingSecret: there is no such secret.
            ConfigError: the file cannot be used; nothing was changed.
            OSError: the file could not be written, and is as it was.
        """
        if name not in self.names():  # also where there is no folder that could be locked
            raise self._missing(name, self.names(), "")
        with SafeFolder.open(self.path.parent) as folder, locked(folder):
            content = read_file(self.path)
            left = {key: value for key, value in content.secrets.items() if key != name}
            write_file(folder, self.path.name, content.with_secrets(left))

    def encrypt(self) -> Saved:
        """Encrypt all values if there is a key; from now on every write does so.

        Raises:
            ConfigError: as `set`.
            OSError: as `set`.
        """
        return self._change({}, keep_plain=False)

    def decrypt(self) -> Saved:
        """Write all values plain, and keep them so; for a router that starts without a keyring.

        Raises:
            ConfigError: as `set`.
            OSError: as `set`.
        """
        return self._change({}, keep_plain=True)

    # --- Changing ---

    def _change(self, new: Mapping[str, str], *, keep_plain: bool | None = None) -> Saved:
        """Put these values, and give the file the protection that it should have by now."""
        self.path.parent.mkdir(NEW_FOLDER_MODE, parents=True, exist_ok=True)
        for _ in range(_TRIES):
            before = read_file(self.path)
            target = self._target(before, keep_plain)
            is_written = False
            try:
                is_written = self._write(before, target, new)
            finally:
                if target.is_fresh and target.new is not None and not is_written:
                    self._forget_unused(target.new)
            if is_written:
                return Saved(target.header.protection, before.protection, target.why_plain)
        raise ConfigError(str(self.path), "is changed by other processes all the time; try again")

    def _write(self, before: SecretFile, target: _Target, new: Mapping[str, str]) -> bool:
        """Write the change, unless another process has given the file another key since."""
        with SafeFolder.open(self.path.parent) as folder, locked(folder):
            now = read_file(self.path)
            if _header(now) != _header(before):
                return False
            content = target.header.with_secrets(self._resealed(now, target, new))
            write_file(folder, self.path.name, content)
            return True

    def _target(self, before: SecretFile, keep_plain: bool | None) -> _Target:
        """Return the protection for the next write; it needs the old key where that changes."""
        keep = before.keep_plain if keep_plain is None else keep_plain
        plain = SecretFile(keep_plain=keep)
        credential = key_from_credential(self.environ)
        if keep:
            old = None if before.protection == "none" else self._key_of(before)
            return _Target(plain, None, old, "it was asked to be so")
        if credential is not None:
            header = SecretFile(protection="credential", key_id=credential.id)
            is_other = before.protection != "none" and before.key_id != credential.id
            old = self._key_of(before) if is_other else credential
            return _Target(header, credential, old)
        if before.protection != "none":
            key = self._key_of(before)
            return _Target(_header(before), key, key)
        try:
            key = self._new_key()
        except NoKey as exc:
            return _Target(plain, None, None, str(exc))
        header = SecretFile(protection="keyring", key_id=key.id, keyring_of=_keyring_owner())
        return _Target(header, key, None, is_fresh=True)

    def _resealed(
        self, now: SecretFile, target: _Target, new: Mapping[str, str]
    ) -> dict[str, str | Sealed]:
        """Return all values as the file is to have them."""
        if target.header.key_id == now.key_id:
            kept = now.secrets
        else:
            kept = {
                name: _sealed(name, self._plain(name, value, target.old), target.new)
                for name, value in now.secrets.items()
            }
        return kept | {name: _sealed(name, value, target.new) for name, value in new.items()}

    def _forget_unused(self, key: Key) -> None:
        """Remove a new key from the keyring, unless the file came to need it all the same."""
        # The keyring may be gone as well; then the key stays there, and opens nothing.
        with suppress(ConfigError, NoKey):
            if read_file(self.path).key_id != key.id:
                remove_from_keyring(key, self.patience_s)

    def _missing(self, name: str, names: Iterable[str], command: str) -> MissingSecret:
        """Return the error for a secret that is not there, with the command that would help."""
        check_name(name)
        problem = f"there is no secret {name}"
        if meant := likely_meant(name, names):
            problem += f"; did you mean {meant}?"
            return MissingSecret(str(self.path), problem + (command and f" Else run: {command}"))
        return MissingSecret(str(self.path), problem + (command and f"; set it with: {command}"))

    # --- Keys ---

    def _plain(self, name: str, value: str | Sealed, key: Key | None) -> str:
        if isinstance(value, str):
            return value
        try:
            if key is not None:
                return key.unseal(name, value)
        except WrongSeal:
            pass
        problem = f"{name} was changed by other hands and cannot be decrypted"
        way_out = self.without_key or f"set it anew: mcp-router secret set {name}"
        raise ConfigError(str(self.path), f"{problem}; {way_out}")

    def _key_of(self, content: SecretFile) -> Key:
        """Return the key of an encrypted file.

        Raises:
            ConfigError: it cannot be had.
        """
        credential = key_from_credential(self.environ)
        if credential is not None and credential.id == content.key_id:
            return credential
        if content.protection == "credential":
            has = "has another key" if credential else "is not passed to this process"
            problem = f"is encrypted, and its key is in the credential {CREDENTIAL}, which {has}"
            way_out = f"pass it with LoadCredential=, or name its folder in {CREDENTIALS_VARIABLE}"
            way_out += self.without_key and f", or {self.without_key}"
            raise ConfigError(str(self.path), f"{problem}; {way_out}")
        try:
            return KEYRING.get(content.key_id, self.patience_s)
        except NoKey as exc:
            problem = f"is encrypted, and its key is in the keyring of {content.keyring_of}: {exc}"
            command = "run where it is open: mcp-router secret decrypt"
            way_out = f"unlock that keyring, or {self.without_key or command}"
            raise ConfigError(str(self.path), f"{problem}; {way_out}") from None

    def _new_key(self) -> Key:
        """Return a new key that is in the keyring; a keyring that failed is not asked again."""
        if self._no_keyring is not None:
            raise self._no_keyring
        try:
            return new_key_in_keyring(self.patience_s)
        except NoKey as exc:
            self._no_keyring = exc
            raise


def _sealed(name: str, value: str, key: Key | None) -> str | Sealed:
    return value if key is None else key.seal(name, value)


def _header(content: SecretFile) -> SecretFile:
    """Return the content without its secrets."""
    return replace(content, secrets={})


def _keyring_owner() -> str:
    """Return the user and the machine, for the message where the key is missing."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):  # no name for this user id
        user = "this user"
    return f"{user} on {platform.node() or 'this machine'}"

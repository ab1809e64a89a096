"""Reads the secrets that `${file:/path}`, `${credential:NAME}` and `${secret:NAME}` stand for.

A secret is the text of a regular file, without the line break at its end. A relative path begins
at the folder of the file that refers to it. A credential is a file that systemd passes to a service
(`LoadCredential=` in systemd.exec(5)). The others are kept by `secret_store`.

Invariants: each use reads the file anew, so a secret that was exchanged counts from the next
reading on; no message quotes a secret.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from router.files.json_files import quote_key, read_bytes
from router.messages.errors import ConfigError
from router.references.expander import Expander, Unresolved

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.secret_store.store import SecretStore

SECRET_LIMIT_BYTES: Final = 64 * 1024
"""More than any token or key has. A larger file was not meant."""

CREDENTIALS_VARIABLE: Final = "CREDENTIALS_DIRECTORY"
"""The environment variable in which systemd names the folder of a service's credentials."""

_CREDENTIAL_NAME: Final = re.compile(r"(?!\.{1,2}\Z)[!-.0-9;-~]{1,255}")
"""Printable ASCII without spaces, slashes and colons, as systemd allows, but for "." and ".."."""


@attrs.define(eq=False)
class StoredSecrets:
    """The secrets of the router's own file, for one reading of the files that refer to them.

    Attributes:
        path: of the file of secrets, which need not be there.
        environ: the router's environment.
    """

    path: Path
    environ: Mapping[str, str] = attrs.field(repr=False)
    _store: SecretStore | None = attrs.field(init=False, default=None)

    def get(self, name: str) -> str:
        """Return a secret. Blocks on disk, and some seconds where a keyring does not answer.

        Raises:
            Unresolved: there is no such secret, or it cannot be read.
        """
        # For start-up time: most routers keep no secrets there.
        try:
            from router.secret_store.store import MissingSecret, SecretStore
        except ModuleNotFoundError as exc:
            missing = f"secrets are not part of this installation ({exc.name} is missing)"
            raise Unresolved(missing) from None

        if self._store is None:
            self._store = SecretStore(self.path, self.environ)
        try:
            return self._store.get(name)
        except MissingSecret as exc:
            raise Unresolved(exc.problem) from None
        except ConfigError as exc:
            raise Unresolved(f"{quote_key(exc.place)} {exc.problem}") from None


@attrs.frozen
class SecretFiles:
    """The secrets that a file may refer to.

    Attributes:
        folder: of the file that refers to them.
        environ: the router's environment.
        stored: the secrets of the router's own file; None where there can be none.
    """

    folder: Path
    environ: Mapping[str, str] = attrs.field(repr=False)
    stored: StoredSecrets | None = None

    def read(self, kind: str, name: str) -> str:
        """Return a secret. Blocks on disk: not for the event loop.

        Args:
            kind: "file", "credential" or "secret".
            name: the path of the file, or the name of the credential or the secret.

        Raises:
            Unresolved: there is no such secret, it is empty, or it cannot be read.
        """
        if kind == "file":
            return self._file(name)
        if kind == "credential":
            return self._credential(name)
        if self.stored is None:
            raise Unresolved("secrets are not read here")
        return self.stored.get(name)

    def _file(self, name: str) -> str:
        if not name or "\0" in name:
            raise Unresolved("names no file: write its path after the colon")
        try:
            path = self.folder / Path(name).expanduser()
        except RuntimeError:  # there is no such user
            raise Unresolved("begins with ~, and that folder is not known") from None
        try:
            return _text_of(path)
        except FileNotFoundError:
            raise Unresolved(f"there is no file {quote_key(str(path))}") from None

    def _credential(self, name: str) -> str:
        if not _CREDENTIAL_NAME.fullmatch(name):
            raise Unresolved("expected the name of a credential, without / and spaces")
        folder = self.environ.get(CREDENTIALS_VARIABLE)
        way_out = f"pass it to the service with LoadCredential={name}:/path"
        if not folder:
            raise Unresolved(f"{CREDENTIALS_VARIABLE} is not set: {way_out}")
        try:
            return _text_of(Path(folder) / name)
        except FileNotFoundError:
            raise Unresolved(f"there is no such credential: {way_out}") from None


def expander_for(
    folder: Path,
    environ: Mapping[str, str],
    values: set[str] | None = None,
    *,
    stored: StoredSecrets | None = None,
    may_be_empty: bool = True,
) -> Expander:
    """Return what resolves the references in a file of this folder.

    Args:
        folder: of the file that refers to something.
        environ: the router's environment.
        values: gets the values that were used.
        stored: the secrets of the router's own file.
        may_be_empty: False to refuse variables that are set to nothing.
    """
    used = set[str]() if values is None else values
    return Expander(environ, SecretFiles(folder, environ, stored).read, may_be_empty, used)


def _text_of(path: Path) -> str:
    """Return the text of a file that is not empty.

    Raises:
        FileNotFoundError: there is no such file.
        Unresolved: it cannot be used.
    """
    shown = quote_key(str(path))
    try:
        text = read_bytes(path, shown, SECRET_LIMIT_BYTES).decode()
    except ConfigError as exc:
        raise Unresolved(f"{shown} {exc.problem}") from None
    except UnicodeDecodeError:
        raise Unresolved(f"{shown} is not UTF-8 text") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise Unresolved(f"{shown} is empty")
    return text

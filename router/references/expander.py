"""Resolves `${VAR}`, `${file:/path}`, `${secret:NAME}` and others in the texts of the user's files.

These references are understood:

- `${VAR}`, and `${VAR:-default}` of Claude Code; as in POSIX sh, the default also replaces an
  empty value;
- `${env:VAR}` of VS Code, Cursor and Windsurf;
- `${secret:NAME}`, a secret of the router's own file, `${file:/path}`, the content of a file, and
  `${credential:NAME}`, a credential of systemd (see `secret_files`);
- `${userHome}`, `${pathSeparator}` and `${/}`, which editors define.

References that only an editor could resolve, such as `${input:key}`, are errors. Any other text
stays as it is, so that `${x##y}` in the argument of a shell survives, and so does `${roots.0}`.

Invariants: pure, but for the function that it is given to read files; a value that was put in is
not searched for references again, and is never part of a message.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

import attrs

from router.files.json_files import quote_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PUBLIC_VARIABLES: Final = frozenset(
    {"HOME", "LANG", "LOGNAME", "PATH", "PWD", "SHELL", "TMPDIR", "USER", "USERPROFILE"}
)
"""Variables that hold no secrets: masking their values would make logs unreadable."""

_REFERENCE: Final = re.compile(r"\$\{([^{}]*)\}")
_VARIABLE: Final = re.compile(r"(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_SECRET: Final = re.compile(r"(file|credential|secret):(.*)", re.DOTALL)
_EDITOR_INPUT: Final = re.compile(r"(?:input|promptString|command|config):(.+)", re.DOTALL)
_WORKSPACE: Final = re.compile(r"workspace(?:Folder|Root|FolderBasename|RootFolderName)(?::.*)?")
_BARE_VARIABLE: Final = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")


def _no_values() -> set[str]:
    return set()


@attrs.frozen
class Unresolved(Exception):
    """A reference that cannot be resolved.

    Attributes:
        problem: a sentence for the user, which says what to set.
    """

    problem: str

    def __str__(self) -> str:
        return self.problem


def _read_nothing(kind: str, name: str) -> str:
    raise Unresolved(f"a {kind} is not read here")


@attrs.frozen
class Expander:
    """Resolves references.

    Attributes:
        environ: the router's environment; None leaves every text as it is.
        read: returns the secret that "file" and a path, or "credential" or "secret" and a name
            stand for, or raises `Unresolved`.
        may_be_empty: False to take a variable that is set to nothing for one that is not set.
        values: of the variables, files, credentials and secrets that were used, so that logs can
            mask them.
    """

    environ: Mapping[str, str] | None = attrs.field(repr=False)
    read: Callable[[str, str], str] = attrs.field(default=_read_nothing, repr=False)
    may_be_empty: bool = True
    values: set[str] = attrs.field(factory=_no_values, repr=False)

    def expand(self, text: str) -> str:
        """Return the text with its references resolved.

        Raises:
            Unresolved: a variable is not set and has no default, a file or a credential cannot be
                read, or only an editor knows what is meant.
        """
        if self.environ is None or "${" not in text:
            return text
        environ = self.environ
        return _REFERENCE.sub(lambda found: self._resolve(found, environ), text)

    def expand_value(self, text: str) -> str:
        """Return the same as `expand`, and the value of a text that is just `$VAR` (Gemini CLI).

        Raises:
            Unresolved: as `expand`.
        """
        found = _BARE_VARIABLE.fullmatch(text)
        if found is None or self.environ is None or found[1] not in self.environ:
            return self.expand(text)
        return self._used(found[1], self.environ[found[1]])

    def _resolve(self, found: re.Match[str], environ: Mapping[str, str]) -> str:
        secret = _SECRET.fullmatch(found[1])
        if secret is not None:
            return self._secret(found[0], secret[1], secret[2])
        variable = _VARIABLE.fullmatch(found[1])
        if variable is None:
            return os.sep if found[1] == "/" else _text_or_editor_input(found)
        value, default = environ.get(variable[1]), variable[2]
        if value == "" and default is None and not self.may_be_empty:
            raise Unresolved(f"{found[0]} is empty")
        if value or (value is not None and default is None):
            return self._used(variable[1], value)
        if default is None:
            return _editor_variable(found, environ)
        return default

    def _secret(self, reference: str, kind: str, name: str) -> str:
        """Return the content of a file, a credential or a secret, and remember it."""
        try:
            value = self.read(kind, name)
        except Unresolved as exc:
            raise Unresolved(f"{quote_key(reference)}: {exc}") from None
        self.values.add(value)
        return value

    def _used(self, name: str, value: str) -> str:
        """Return the value of a variable, and remember it."""
        if name not in PUBLIC_VARIABLES:
            self.values.add(value)
        return value


def secret_names_in(text: str) -> list[str]:
    """Return the names of the secrets that `${secret:NAME}` refers to in a text."""
    found = (_SECRET.fullmatch(one[1]) for one in _REFERENCE.finditer(text))
    return [one[2] for one in found if one is not None and one[1] == "secret"]


def variable_names_in(text: str) -> list[str]:
    """Return the names of the variables that a text refers to, and has no default for."""
    found = (_VARIABLE.fullmatch(one[1]) for one in _REFERENCE.finditer(text))
    return [one[1] for one in found if one is not None and one[2] is None]


def is_reference(text: str, *, bare: bool = False) -> bool:
    """Return whether a text holds a reference; with `bare`, also if it is just `$VAR`."""
    names = (found[1] for found in _REFERENCE.finditer(text))
    has_reference = any(
        any(kind.fullmatch(name) for kind in (_VARIABLE, _SECRET, _EDITOR_INPUT)) for name in names
    )
    return has_reference or (bare and _BARE_VARIABLE.fullmatch(text) is not None)


def _editor_variable(found: re.Match[str], environ: Mapping[str, str]) -> str:
    """Return the value that Cursor and VS Code define, where no variable has this name."""
    home = environ.get("HOME") or environ.get("USERPROFILE")
    if found[1] == "userHome" and home:
        return home
    if found[1] == "pathSeparator":
        return os.sep
    _refuse_workspace(found)
    raise Unresolved(f"{found[0]} is not set")


def _refuse_workspace(found: re.Match[str]) -> None:
    if _WORKSPACE.fullmatch(found[1]):
        raise Unresolved(
            f"{quote_key(found[0])} only works in an editor: write the folder itself instead"
        )


def _text_or_editor_input(found: re.Match[str]) -> str:
    """Return the text as it is, unless an editor would have asked its user for a value."""
    _refuse_workspace(found)
    editor_input = _EDITOR_INPUT.fullmatch(found[1])
    if editor_input is None:
        return found[0]
    name = re.sub(r"[^A-Za-z0-9]+", "_", editor_input[1]).strip("_").upper() or "VALUE"
    if name[0].isdigit():
        name = f"_{name}"
    raise Unresolved(
        f"{quote_key(found[0])} only works in an editor: set an environment variable, such as "
        f"{name}, for the router and write ${{{name}}} instead"
    )

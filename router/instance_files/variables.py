"""`${VAR}` in the entries of `mcp_settings.json`.

Job: resolve references against the router's environment. Neighbours: `entries` above, `files`
below. Understood: `${VAR}`, `${VAR:-default}` (Claude Code; as in POSIX sh, the default also
stands in for an empty value), `${env:VAR}` (VS Code, Cursor, Windsurf), and of what editors know
besides, `${userHome}`, `${pathSeparator}` and `${/}`. Anything else that looks like it stays as it
is, so that `${x##y}` in the argument of a shell survives.

Invariants: pure; one pass, what was put in is not looked at again; the value of a variable is
never part of a message.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

import attrs

from router.files.json_files import path_step

if TYPE_CHECKING:
    from collections.abc import Mapping

PUBLIC_VARIABLES: Final = frozenset(
    {"HOME", "LANG", "LOGNAME", "PATH", "PWD", "SHELL", "TMPDIR", "USER", "USERPROFILE"}
)
"""Variables whose values are no secrets: masking them would only make logs unreadable."""

_REFERENCE: Final = re.compile(r"\$\{([^{}]*)\}")
_VARIABLE: Final = re.compile(r"(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_ASKING: Final = re.compile(r"(?:input|promptString|command|config|file):(.+)", re.DOTALL)
_WORKSPACE: Final = re.compile(r"workspace(?:Folder|Root|FolderBasename|RootFolderName)(?::.*)?")
_BARE: Final = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")


def _no_values() -> set[str]:
    return set()


@attrs.frozen
class Unresolved(Exception):
    """A reference that stands for nothing; `problem` says what to set."""

    problem: str

    def __str__(self) -> str:
        return self.problem


@attrs.frozen
class Expander:
    """Resolves references.

    Attributes:
        environ: the router's environment; None leaves every text as it is.
        values: what variables stood for, so that logs can mask it.
    """

    environ: Mapping[str, str] | None = attrs.field(repr=False)
    values: set[str] = attrs.field(factory=_no_values, repr=False)

    def expand(self, text: str) -> str:
        """The text with its references resolved.

        Raises:
            Unresolved: a variable is not set and has no default, or only an editor could ask.
        """
        if self.environ is None or "${" not in text:
            return text
        environ = self.environ
        return _REFERENCE.sub(lambda found: self._resolve(found, environ), text)

    def expand_value(self, text: str) -> str:
        """As `expand`; also a text that is just `$VAR`, where it is set (Gemini CLI).

        Raises:
            Unresolved: as `expand`.
        """
        found = _BARE.fullmatch(text)
        if found is None or self.environ is None or found[1] not in self.environ:
            return self.expand(text)
        return self._seen(found[1], self.environ[found[1]])

    def _resolve(self, found: re.Match[str], environ: Mapping[str, str]) -> str:
        variable = _VARIABLE.fullmatch(found[1])
        if variable is None:
            return os.sep if found[1] == "/" else _unless_asking(found)
        value, default = environ.get(variable[1]), variable[2]
        if value or (value is not None and default is None):
            return self._seen(variable[1], value)
        if default is None:
            return _known_to_editors(found, environ)
        return default

    def _seen(self, name: str, value: str) -> str:
        if name not in PUBLIC_VARIABLES:
            self.values.add(value)
        return value


def is_reference(text: str, *, bare: bool = False) -> bool:
    """Would any of it stand for something else? `bare`: also where it is just `$VAR`."""
    inner = (found[1] for found in _REFERENCE.finditer(text))
    written = any(_VARIABLE.fullmatch(one) or _ASKING.fullmatch(one) for one in inner)
    return written or (bare and _BARE.fullmatch(text) is not None)


def _known_to_editors(found: re.Match[str], environ: Mapping[str, str]) -> str:
    """What Cursor and VS Code have for this, where no variable is called so."""
    home = environ.get("HOME") or environ.get("USERPROFILE")
    if found[1] == "userHome" and home:
        return home
    if found[1] == "pathSeparator":
        return os.sep
    _check_workspace(found)
    raise Unresolved(f"{found[0]} is not set")


def _check_workspace(found: re.Match[str]) -> None:
    if _WORKSPACE.fullmatch(found[1]):
        raise Unresolved(
            f"{path_step(found[0])} only works in an editor: write the folder itself instead"
        )


def _unless_asking(found: re.Match[str]) -> str:
    _check_workspace(found)
    asking = _ASKING.fullmatch(found[1])
    if asking is None:
        return found[0]
    name = re.sub(r"[^A-Za-z0-9]+", "_", asking[1]).strip("_").upper() or "VALUE"
    if name[0].isdigit():
        name = f"_{name}"
    raise Unresolved(
        f"{path_step(found[0])} only works in an editor: set an environment variable, such as "
        f"{name}, for the router and write ${{{name}}} instead"
    )

"""Translates the references in texts of clients into those that the router resolves.

| a client has | here it is |
|---|---|
| `${env:NAME}`, opencode's `{env:NAME}` | `${NAME}` |
| `$NAME` of Gemini CLI, and a text that is nothing else | `${NAME}` |
| `${NAME}`, `${NAME:-default}` | the same |
| `${file:path}`, opencode's `{file:path}` | `${file:/absolute/path}` |
| `${input:id}`, `${command:id}`, `${config:id}` | `${secret:id}`, which has to be set |
| `${workspaceFolder}`, `${CLAUDE_PROJECT_DIR}` | the project's folder, else `${roots.0}` |

Invariants: pure; a text without references stays as it is; translating twice is translating once.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct, field

from router.messages.instances.instance_spec import ROOT_REFERENCE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.client_files.clients.client import Dialect

_BRACED: Final = re.compile(r"\$\{([^{}]*)\}")
_ENVIRONMENT: Final = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)(:-.*)?", re.DOTALL)
_ASKED: Final = re.compile(r"(?:input|promptString|command|config):(.+)", re.DOTALL)
_FILE: Final = re.compile(r"file:(.+)", re.DOTALL)
_WORKSPACE: Final = re.compile(
    r"workspace(?:Folder|Root)(?::.*)?|CLAUDE_PROJECT_DIR(?::-\.)?", re.DOTALL
)
_OPENCODE: Final = re.compile(r"(?<!\$)\{(env|file):([^{}]+)\}")
_DOLLAR_NAME: Final = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")
_NOT_IN_SECRET_NAMES: Final = re.compile(r"[^A-Za-z0-9_.-]+")

_SECRET_NAME_LIMIT: Final = 100


def _nothing_asked() -> dict[str, None]:
    return {}


class ReferenceTranslator(Struct):
    """Translates the texts of one server, and notes what they need.

    Attributes:
        dialect: of the client.
        folder: of the file; relative paths in references begin there.
        project: the folder of the project that the server belongs to; None for all projects.
        defaults: id of an input -> the value that the client would offer.
        asked: the names of secrets in place of what the client would have asked for.
        taken: the ids of inputs in whose place the default was taken.
        needs_roots: True once a text depends on the project that a client has open.
    """

    dialect: Dialect
    folder: Path
    project: Path | None = None
    defaults: Mapping[str, str] = {}
    asked: dict[str, None] = field(default_factory=_nothing_asked)
    taken: dict[str, None] = field(default_factory=_nothing_asked)
    needs_roots: bool = False

    def translate(self, text: str, *, is_value: bool = False) -> str:
        """Return the text with references of the router.

        Args:
            text: of the client's file.
            is_value: True for the value of a variable or a header: `$NAME` alone is a reference
                there for all clients, as `router.references.expander` has it.
        """
        if self.dialect.env_key == "environment":  # opencode's
            text = _OPENCODE.sub(lambda found: "${" + found[1] + ":" + found[2] + "}", text)
        if self.dialect.expands_dollar_names:
            text = _DOLLAR_NAME.sub(r"${\1}", text)
        elif is_value and (bare := _DOLLAR_NAME.fullmatch(text)):
            text = "${" + bare[1] + "}"
        return _BRACED.sub(self._translate_one, text)

    def _translate_one(self, found: re.Match[str]) -> str:
        inner = found[1]
        if variable := _ENVIRONMENT.fullmatch(inner):
            return "${" + variable[1] + (variable[2] or "") + "}"
        if asked := _ASKED.fullmatch(inner):
            return self._ask(asked[1])
        if file := _FILE.fullmatch(inner):
            return "${file:" + self._absolute(file[1]) + "}"
        if _WORKSPACE.fullmatch(inner):
            return self._project_folder()
        return found[0]

    def _ask(self, key: str) -> str:
        default = self.defaults.get(key)
        if default:
            self.taken[key] = None
            return default
        name = secret_name(key)
        self.asked[name] = None
        return "${secret:" + name + "}"

    def _absolute(self, path: str) -> str:
        return path if path.startswith("~") else str(self.folder / Path(path))

    def _project_folder(self) -> str:
        if self.project is not None:
            return str(self.project)
        self.needs_roots = True
        return ROOT_REFERENCE


def secret_name(text: str) -> str:
    """Return a name that a secret may have, as like the text as possible."""
    name = _NOT_IN_SECRET_NAMES.sub("_", text).strip("_.-") or "secret"
    if not (name[0].isascii() and (name[0].isalpha())):
        name = f"_{name}"
    return name[:_SECRET_NAME_LIMIT]

"""Reads the values of variables and headers of a new entry: references, plain ones, secrets.

Invariants:

- A secret is never a word of the command line: it is typed without echo, or comes from a reference.
- A secret that was typed is kept among the router's secrets; the entry refers to it.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Final

from router.cli.terminal import ask_hidden, is_for_a_person
from router.logs.record_text import one_line
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from router.cli.changing.server_json import Input

_SECRET_NAME: Final = re.compile(r"token|key|secret|passw|auth|cookie|credential", re.IGNORECASE)
_REFERENCE: Final = re.compile(r"\$\{[^{}]+\}")


class GivenValues:
    """The values that are given for an entry, by name.

    Args:
        words: `KEY`, to be asked for, or `KEY=VALUE`; for headers also `KEY: VALUE`.
        option: where they come from, such as `--env`.

    Attributes:
        secrets: the values that were typed and are secret, by name.

    Raises:
        ConfigError: a value is a secret that stands on the command line.
    """

    def __init__(self, words: Iterable[str], option: str) -> None:
        self._option = option
        self._values: dict[str, str | None] = {}
        self.secrets: dict[str, str] = {}
        for word in words:
            found = re.fullmatch(r"([^=:\s]+)\s*(?:[=:]\s*(.*))?", word, re.DOTALL)
            if found is None:
                raise ConfigError(option, f"expected KEY or KEY=${{VARIABLE}}, got {word[:20]!r}")
            name, value = found[1], found[2]
            if value is not None and _SECRET_NAME.search(name) and not _REFERENCE.search(value):
                raise ConfigError(
                    f"{option} {one_line(name)}",
                    "a secret on the command line can be read by others: give the name alone, and "
                    f"it is asked for, or a reference such as {name}=${{VARIABLE}}",
                )
            self._values[name] = value

    @property
    def names(self) -> tuple[str, ...]:
        """The names that were given, in their order."""
        return tuple(self._values)

    def value(self, name: str) -> str:
        """Return a value that was given; ask for it if only its name was."""
        value = self._values[name]
        return self._asked(name) if value is None else value

    def value_for(self, name: str, wanted: Input) -> str | None:
        """Return the value for an input of a `server.json`; None if it needs none.

        Raises:
            ConfigError: it needs one, and there is none and nobody to ask.
        """
        if name in self._values:
            return self.value(name)
        if wanted.default is not None:
            return wanted.default
        if not wanted.is_required:
            return None
        about = wanted.description or wanted.placeholder
        return self._asked(name, about, choices=wanted.choices, is_secret=wanted.is_secret)

    def _asked(
        self, name: str, about: str = "", *, choices: Iterable[str] = (), is_secret: bool = True
    ) -> str:
        more = f" ({one_line(about)})" if about else ""
        if not is_for_a_person(sys.stdin):
            way_out = f"give {self._option} {one_line(name)}=${{VARIABLE}}"
            raise ConfigError(
                one_line(name), f"needs a value{more}, and nobody can be asked; {way_out}"
            )
        allowed = list(choices)
        options = f" [{'|'.join(map(one_line, allowed))}]" if allowed else ""
        question = f"{one_line(name)}{more}{options}: "
        value = ask_hidden(question) if is_secret else _read_line(question)
        if not value or (allowed and value not in allowed):
            raise ConfigError(one_line(name), f"needs a value{options}; nothing was added")
        if is_secret:
            self.secrets[name] = value
        return value


def _read_line(question: str) -> str:
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().rstrip("\n")

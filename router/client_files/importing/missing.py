"""Finds what an entry refers to and what is not there: variables and secrets. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast

from router.messages.instances.instance_spec import ROOT_REFERENCE
from router.references.expander import secret_names_in

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

_REFERENCE: Final = re.compile(r"\$\{(secret:)?([^{}:]+)(:-[^{}]*)?\}")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_EDITOR_VARIABLES: Final = frozenset({"userHome", "pathSeparator", "/", ROOT_REFERENCE[2:-1]})


def missing_in(
    entry: Mapping[str, Any], environ: Mapping[str, str], secrets: Collection[str]
) -> tuple[str, ...]:
    """Return what has to be set before the server works, such as `secret TOKEN`.

    Args:
        entry: in the router's keys.
        environ: the variables that are set.
        secrets: the names of the secrets that are set, or will be.
    """
    found: dict[str, None] = {}
    for text in _texts(entry):
        for secret, name, default in _REFERENCE.findall(text):
            if secret and name not in secrets:
                found[f"secret {name}"] = None
            elif not secret and not default and name not in environ and _is_variable(name):
                found[f"variable {name}"] = None
    return tuple(found)


def secrets_in(value: Any) -> set[str]:
    """Return the names of the secrets that the texts in a JSON value refer to."""
    return {name for text in _texts(value) for name in secret_names_in(text)}


def _is_variable(name: str) -> bool:
    return name not in _EDITOR_VARIABLES and _VARIABLE.fullmatch(name) is not None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in cast("dict[str, Any]", value).values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from _texts(item)

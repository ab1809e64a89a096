"""Finds literal secrets in an entry by the name or the shape of a value, and hides values.

Invariants: pure. A reference is no secret. Too much is hidden in what is shown rather than too
little; what is moved into the secrets has to look like one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast

from msgspec import Struct

from router.references.expander import is_reference

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MASK: Final = "•••"

_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRET_WORDS: Final = frozenset(
    {
        *("token", "key", "apikey", "secret", "password", "passwd", "passphrase", "pass", "pwd"),
        *("pat", "auth", "authorization", "cookie", "credential", "credentials", "jwt"),
    }
)
_SECRET_ENDS: Final = ("token", "secret", "password", "passwd", "apikey", "authorization")
_SHAPES: Final = re.compile(
    r"gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|sk-[\w-]{16,}|[sr]k_(?:live|test)_\w+"
    r"|xox[abeprs]-[\w-]+|xapp-[\w-]+|AKIA[A-Z0-9]{16}|AIza[\w-]{30,}|ya29\.[\w-]+|npm_\w{30,}"
    r"|pypi-[\w-]{30,}|hf_\w{20,}|lin_api_\w+|ntn_\w{20,}|figd_[\w-]{20,}|dop_v1_\w+|SG\.[\w.-]{30,}"
    r"|eyJ[\w-]+\.[\w-]+\.[\w-]*|-----BEGIN [A-Z ]*PRIVATE KEY-----.*",
    re.DOTALL,
)
_LOGIN_IN_URL: Final = re.compile(r"(?<=//)[^/?#\s:@]*:([^/?#\s@]+)(?=@)")
_QUERY: Final = re.compile(r"(?<=[?&])([^=&#\s]+)=([^&#\s]+)")
_RANDOM: Final = re.compile(r"(?=[^0-9]*[0-9])(?=[^A-Za-z]*[A-Za-z])[A-Za-z0-9+/=_-]{32,}")
_NO_SECRET: Final = re.compile(
    r"(?i:true|false|yes|no|on|off|none|null|basic|bearer|oauth2?|\d{1,6})"
    r"|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
    r"|(?:[/~.]|[A-Za-z]:\\).*|https?://[^@]*"
)
"""Words, numbers, UUIDs, paths and URLs: values that even a key of a telling name may have."""

_PLACEHOLDER: Final = re.compile(
    r"(?i)<[^>]*>|(?:your|my|insert|replace|enter|change|add)[ _-].*|x{4,}|\*{3,}|\.{3}|todo"
)
_SCHEME: Final = re.compile(r"((?:Bearer|Basic|Token|ApiKey|Api-Key)\s+)(.+)", re.IGNORECASE)


class Literal(Struct, frozen=True):
    """A literal secret that was found.

    Attributes:
        label: the name of its variable, header or option.
        value: the secret itself; empty for a placeholder, whose value is not there yet.
    """

    label: str
    value: str

    def __repr__(self) -> str:
        return f"Literal(label={self.label!r})"


def replace_secrets(entry: Mapping[str, Any], replace: Callable[[Literal], str]) -> dict[str, Any]:
    """Return the entry with each literal secret replaced.

    Args:
        entry: in the router's keys.
        replace: returns the text for the place of a secret.
    """
    result = dict(entry)
    for key in ("env", "headers"):
        if key in entry:
            table = cast("dict[str, str]", entry[key])
            result[key] = {name: _in_value(name, text, replace) for name, text in table.items()}
    if "args" in entry:
        result["args"] = _in_args(entry["args"], replace)
    if "url" in entry:
        result["url"] = _in_url(entry["url"], replace)
    return result


def masked(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entry with its secrets hidden, to be shown."""
    return replace_secrets(entry, lambda _: MASK)


def has_placeholder(entry: Mapping[str, Any]) -> bool:
    """Return whether a secret is not there yet, and something like `<YOUR_TOKEN>` stands for it."""
    values: list[str] = []

    def note(found: Literal) -> str:
        values.append(found.value)
        return ""

    replace_secrets(entry, note)
    return "" in values


def is_secret_name(name: str) -> bool:
    """Return whether a variable, header or option of this name holds a secret."""
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words:
        return False
    joined = "".join(words)
    return words[-1] in _SECRET_WORDS or joined.endswith(_SECRET_ENDS) or "secret" in words


def _in_value(name: str, text: str, replace: Callable[[Literal], str]) -> str:
    if not text or is_reference(text, bare=True):
        return text
    scheme, rest = _scheme_and_rest(text)
    if is_secret_name(name) and rest:
        if _PLACEHOLDER.fullmatch(rest):
            return scheme + replace(Literal(name, ""))
        if not _NO_SECRET.fullmatch(rest):
            return scheme + replace(Literal(name, rest))
    if _SHAPES.fullmatch(rest) or _is_random(rest):
        return scheme + replace(Literal(name, rest))
    return _in_url(text, replace, name)


def _scheme_and_rest(text: str) -> tuple[str, str]:
    """Return the scheme of an `Authorization` header with its space, and what follows it."""
    found = _SCHEME.fullmatch(text)
    return (found[1], found[2]) if found else ("", text)


def _is_random(text: str) -> bool:
    return _RANDOM.fullmatch(text) is not None and _NO_SECRET.fullmatch(text) is None


def _in_args(args: list[str], replace: Callable[[Literal], str]) -> list[str]:
    result: list[str] = []
    for arg, before in zip(args, ("", *args), strict=False):
        name, equals, value = arg.partition("=")
        if equals and value and name.startswith("-"):
            result.append(name + equals + _in_value(name, value, replace))
        elif before.startswith("-") and "=" not in before and not arg.startswith("-"):
            result.append(_in_value(before, arg, replace))
        elif _SHAPES.fullmatch(arg):
            result.append(replace(Literal("argument", arg)))
        else:
            result.append(_in_url(arg, replace))
    return result


def _in_url(text: str, replace: Callable[[Literal], str], label: str = "url") -> str:
    """Return a text with the password and the secrets in the query of a URL replaced."""
    if "//" not in text or is_reference(text):
        return text

    def password(found: re.Match[str]) -> str:
        return found[0][: -len(found[1])] + replace(Literal(f"{label}_PASSWORD", found[1]))

    def query(found: re.Match[str]) -> str:
        name, value = found[1], found[2]
        if not is_secret_name(name) or _NO_SECRET.fullmatch(value):
            return found[0]
        is_set = not _PLACEHOLDER.fullmatch(value)
        return f"{name}={replace(Literal(name, value if is_set else ''))}"

    return _QUERY.sub(query, _LOGIN_IN_URL.sub(password, text))
